"""The world of a flow test: devstack with a state of its own, and the real programs run in it."""

import json
import os
import re
import subprocess
import time
import urllib.request
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARIES = ROOT / "target/debug"
PYTHON = ROOT / ".venv/bin/python"
RECORDED = ROOT.parent / "shared/data/strava"


class World:
    """A running devstack. `run` gives the closing line of a program, which must end with the exit expected."""

    def __init__(self, state: Path, *options: str) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [BINARIES / "devstack", "up", "--state-dir", state, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "World":
        wait_for(lambda: (self.state / "env").exists() or self.process.poll() is not None, "devstack's env file")
        assert self.process.poll() is None, "devstack ended at once, see its log above"
        exported = subprocess.check_output([BINARIES / "devstack", "env", "--state-dir", self.state], text=True)
        self.env = dict(re.findall(r"^export (\w+)='?(.*?)'?$", exported, re.MULTILINE))
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)

    def run(self, program: str, *arguments: str, exit_code: int = 0) -> dict:
        command = [PYTHON, ROOT / program] if program.endswith(".py") else [BINARIES / program]
        done = subprocess.run(
            [*command, *arguments], cwd=ROOT, env=os.environ | self.env, stdout=subprocess.PIPE, text=True
        )
        print(done.stdout)
        assert done.returncode == exit_code, f"{program} {arguments} ended with exit {done.returncode}"
        return json.loads(done.stdout.strip().splitlines()[-1])

    def strava(self, method: str, route: str, body: dict | None = None):
        """Asks the simulator's control address."""
        request = urllib.request.Request(
            self.env["DEVSTACK_STRAVA_CONTROL"] + route,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def query(self, sql: str) -> list[tuple]:
        with psycopg.connect(self.env["DATABASE_URL"]) as warehouse:
            return warehouse.execute(sql).fetchall()

    def execute(self, sql: str) -> None:
        with psycopg.connect(self.env["DATABASE_URL"]) as warehouse:
            warehouse.execute(sql)

    def one(self, sql: str):
        return self.query(sql)[0][0]

    @property
    def landing(self) -> Path:
        return Path(self.env["LANDING_URL"].removeprefix("file://"))

    def landed(self, source: str = "strava") -> dict[str, bytes]:
        """Every object of a source, by key."""
        return {
            str(path.relative_to(self.landing)): path.read_bytes()
            for path in sorted(self.landing.glob(f"source={source}/**/*"))
            if path.is_file()
        }

    def landed_rows(self, stream: str = "activities") -> int:
        """Rows of a stream that are visible by a manifest."""
        manifests = self.landing.glob(f"source=strava/type={stream}/**/*.manifest.json")
        return sum(json.loads(path.read_text())["counts"]["rows"] for path in manifests)

    def versions(self) -> dict[str, str]:
        """Per raw table, which transaction wrote each row: equal before and after means that nothing was written."""
        tables = self.query(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'strava' order by 1"
        )
        version = "concat(xmin, '/', ctid, '/', _id)"
        order = "_athlete_id, _id, _origin"
        digest = f"md5(string_agg({version}, ',' order by {order}))"
        return {table: self.one(f"select {digest} from {table}") for (table,) in tables}


def wait_for(condition, what: str, seconds: float = 60) -> None:
    """Waits for an effect with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def demo(state: Path, exit_code: int = 0, **settings: str) -> str:
    """`make demo` with the settings given, in a state folder of the test's own; returns what it printed."""
    done = subprocess.run(
        ["make", "--no-print-directory", "demo", *(f"{name}={value}" for name, value in settings.items())],
        cwd=ROOT,
        env=os.environ | {"DEMO_STATE": str(state)},
        stdout=subprocess.PIPE,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == exit_code, f"make demo ended with exit {done.returncode}"
    return done.stdout


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Path:
    """A folder that a PostgreSQL running as another user may enter."""
    folder = tmp_path_factory.mktemp("state")
    for parent in [folder, *folder.parents]:
        if parent == Path("/tmp") or parent == parent.parent:
            break
        parent.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def recorded() -> Path:
    if not RECORDED.exists():
        pytest.skip("the recorded input in ../shared/data is not here")
    return RECORDED
