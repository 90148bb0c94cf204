"""What the delivery tests share: where the repository is, and the tools that scripts/delivery-tools builds."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/tools"
HELPERS = ROOT.parent / "shared/tools"
BINARIES = ROOT / "target/debug"
PROGRAMS = ("strava-extract", "strava-load", "weather-producer", "weather-consumer")

os.environ["PATH"] = f"{TOOLS}:{ROOT / '.venv/bin'}:{os.environ['PATH']}:/usr/sbin:/usr/local/go/bin"


def tool(name: str) -> str:
    """A program on PATH or built by scripts/delivery-tools; a test without it is skipped with the reason."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"no {name} here; scripts/delivery-tools builds it or says what it lacks")
    return found


def helper(name: str) -> Path:
    """A script beside the repository that stands in for what needs an account or a container engine."""
    script = HELPERS / name
    if not script.exists():
        pytest.skip(f"no ../shared/tools/{name} here")
    return script


def run(*command, **options) -> subprocess.CompletedProcess:
    """Runs a command to its end and keeps what it said; the caller looks at the exit code."""
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def succeed(*command, **options) -> str:
    """Runs a command that must succeed, and gives its standard output."""
    done = run(*command, **options)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def tasks() -> dict:
    """The tasks of iac/tasks.json by name."""
    return json.loads((ROOT / "iac/tasks.json").read_text())["tasks"]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory) -> str:
    """A PostgreSQL of devstack's for as long as the module's tests run; gives its address."""
    devstack = BINARIES / "devstack"
    if not devstack.exists():
        pytest.skip("devstack is not built; make test-rust or cargo build does it")
    state = tmp_path_factory.mktemp("world")
    for folder in [state, *state.parents]:
        if folder.parent == Path("/"):
            break
        folder.chmod(0o755)  # PostgreSQL runs as another user
    process = subprocess.Popen([devstack, "up", "--state-dir", state, "--only", "postgres"], cwd=ROOT)
    try:
        deadline = time.monotonic() + 120
        while not (state / "env").exists():
            assert process.poll() is None, "devstack ended at once, see its log"
            assert time.monotonic() < deadline, "waited 120 s for devstack"
            time.sleep(0.1)
        yield re.search(r"^export DATABASE_URL='(.+)'$", (state / "env").read_text(), re.MULTILINE)[1]
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.fixture
def load_script(monkeypatch):
    """Loads a Python script of scripts/ as a module, for tests that replace what it talks to."""

    def load(name: str):
        loader = SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
        module = module_from_spec(spec_from_loader(loader.name, loader))
        monkeypatch.setitem(sys.modules, loader.name, module)
        loader.exec_module(module)
        return module

    return load
