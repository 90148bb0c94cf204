"""Each image, really built by BuildKit from its Dockerfile and run as its user on a read-only root.

The compile stages are replaced by what is compiled already, the base images by root file systems of the same Debian.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import BINARIES, PROGRAMS, ROOT, TOOLS, helper, run, succeed, tool

DOCKERFILE = ROOT / "docker/Dockerfile"
DBT = ROOT / "docker/dbt.Dockerfile"
RELEASE = ROOT / "target/release"
MOST_BYTES = 30_000_000
LIBZ = sorted(Path("/lib").glob("*-linux-gnu/libz.so.1"))


class Image:
    """A built image: its manifest, its configuration, and its files below a folder."""

    def __init__(self, work: Path) -> None:
        index = json.loads((work / "image/index.json").read_text())
        manifest = self._blob(work, index["manifests"][0]["digest"])
        self.files = work / "fs"
        self.config = self._blob(work, manifest["config"]["digest"])["config"]
        self.bytes = manifest["config"]["size"] + sum(layer["size"] for layer in manifest["layers"])

    @staticmethod
    def _blob(work: Path, digest: str) -> dict:
        return json.loads((work / "image/blobs" / digest.replace(":", "/")).read_text())

    def run(self, *arguments: str, env: dict | None = None, bind: Path | None = None) -> subprocess.CompletedProcess:
        """Runs the entry point as the image's user; nothing can be written to but /tmp and the folder `bind`."""
        root = self.files
        for place in ("dev", "proc", "tmp"):
            (root / place).mkdir(exist_ok=True)
        mounts = [
            f"mount --bind {root} {root}",
            f"mount -o remount,ro,bind {root}",
            f"mount --rbind /dev {root}/dev",
            f"mount -t proc proc {root}/proc",
            f"mount -t tmpfs tmpfs {root}/tmp",
        ]
        if bind:
            mounts += [f"mkdir -p {root}/tmp/bound", f"mount --bind {bind} {root}/tmp/bound"]
        variables = [*self.config.get("Env", []), *(f"{name}={value}" for name, value in (env or {}).items())]
        command = ["env", "-i", *variables, "chroot", f"--userspec={self.config['User']}", str(root)]
        command += [*self.config["Entrypoint"], *arguments]
        return run("unshare", "--mount", "bash", "-c", " && ".join([*mounts, f"exec {shlex.join(command)}"]))


def build(work: Path, dockerfile: Path, base: tuple[str, str], stage: tuple[str, Path]) -> Image:
    """Builds with the base image and the stage replaced; fails on a lint warning as well."""
    for name in ("buildkitd", "buildctl", "runc", "jq", "unshare"):
        tool(name)
    if os.geteuid() != 0:
        pytest.skip("BuildKit with runc needs root here")
    tar = TOOLS / base[1]
    if not tar.exists():
        pytest.skip(f"no {base[1]} here; scripts/delivery-tools bases makes it")
    check = helper("image_check.sh")
    said = succeed(
        *(check, work, ROOT, dockerfile, "--base", f"{base[0]}={tar}", "--stage", f"{stage[0]}={stage[1]}"),
        *("--", "--help"),
    )
    assert "built sha256:" in said
    return Image(work)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> tuple[Path, bool]:
    """The four programs as the compile stage leaves them, and whether they are those of a release."""
    released = all((RELEASE / name).exists() for name in PROGRAMS)
    source = RELEASE if released else BINARIES
    if not all((source / name).exists() for name in PROGRAMS) or not LIBZ:
        pytest.skip("the programs are not built; make test-rust or cargo build does it")
    folder = tmp_path_factory.mktemp("compiled")
    for name in PROGRAMS:
        succeed("strip", "--strip-debug", "-o", folder / name, source / name)
    shutil.copy(LIBZ[0], folder / "libz.so.1")
    return folder, released


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request, compiled, tmp_path_factory) -> tuple[str, Image, bool]:
    """One Rust image. BuildKit builds the last stage, so what comes behind the target is cut off."""
    text = DOCKERFILE.read_text()
    begin = re.search(rf"^FROM \w+ AS {request.param}$", text, re.MULTILINE).start()
    end = text.find("\nFROM ", begin)
    work = tmp_path_factory.mktemp(request.param)
    # BuildKit looks for the ignore file beside the Dockerfile.
    dockerfile = work / "Dockerfile"
    dockerfile.write_text(text if end < 0 else text[:end])
    shutil.copy(f"{DOCKERFILE}.dockerignore", f"{dockerfile}.dockerignore")
    base = ("gcr.io/distroless/cc-debian12:nonroot", "cc-debian12.tar")
    image = build(work, dockerfile, base, ("build", compiled[0]))
    return request.param, image, compiled[1]


def test_a_rust_image_runs_its_program_as_nobody_on_a_read_only_root(program):
    name, image, _ = program
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == [f"/{name}"], "the exec form, so that the program gets SIGTERM"
    done = image.run("--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(name)


def test_a_rust_image_holds_its_program_and_nothing_of_devstack(program):
    name, image, _ = program
    others = {*PROGRAMS, "devstack", "ecs-run"} - {name}
    found = {path.name for path in image.files.rglob("*") if path.is_file()}
    assert not found & others
    assert b"DEVSTACK_" not in (image.files / name).read_bytes()


def test_a_rust_image_says_where_it_is_from(program):
    labels = program[1].config["Labels"]
    assert {f"org.opencontainers.image.{part}" for part in ("source", "revision", "licenses")} <= set(labels)


def test_a_rust_image_is_at_most_thirty_megabytes_compressed(program, record_property):
    name, image, released = program
    print(f"{name}: {image.bytes / 1e6:.1f} MB compressed")
    record_property(name, image.bytes)
    if not released:
        pytest.skip(f"{name} of a debug build has {image.bytes / 1e6:.1f} MB; the limit is for a release")
    assert image.bytes <= MOST_BYTES


@pytest.fixture(scope="module")
def dbt(tmp_path_factory) -> Image:
    stage = TOOLS / "dbt-packages"
    stamp, wanted = stage / "stamp", (ROOT / "dbt/requirements.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(stage, ignore_errors=True)
        succeed(
            *(tool("uv"), "pip", "install", "--quiet", "--python-version", "3.11", "--require-hashes"),
            *("--target", stage / "packages", "--requirements", ROOT / "dbt/requirements.txt"),
        )
        stamp.write_text(wanted)
    base = ("gcr.io/distroless/python3-debian12:nonroot", "python3-debian12.tar")
    return build(tmp_path_factory.mktemp("dbt"), DBT, base, ("packages", stage))


def test_the_dbt_image_runs_as_nobody_and_holds_no_test(dbt):
    print(f"dbt: {dbt.bytes / 1e6:.1f} MB compressed")
    assert dbt.config["User"] == "65532:65532"
    assert dbt.config["Entrypoint"] == ["/usr/bin/python3", "/dbt/run.py"]
    kept = {path.relative_to(dbt.files / "dbt").parts[0] for path in (dbt.files / "dbt").rglob("*") if path.is_file()}
    assert {"run.py", "models", "report"} <= kept
    assert not kept & {"target", "logs", ".ruff_cache"}
    assert not (dbt.files / "dbt/tests/python").exists()


def test_the_dbt_image_without_a_database_says_so_with_exit_two(dbt):
    done = dbt.run("build")
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "failed"
    assert "DATABASE_URL is not set" in done.stderr + done.stdout


def test_the_dbt_image_builds_the_marts_and_draws_the_page(dbt, warehouse, tmp_path):
    report = tmp_path / "report"
    report.mkdir()
    report.chmod(0o777)
    env = {"DATABASE_URL": warehouse, "REPORT_URL": "file:///tmp/bound"}
    built = dbt.run("build", "--exclude-resource-type", "unit_test", env=env)
    assert built.returncode == 0, built.stdout + built.stderr
    assert json.loads(built.stdout.splitlines()[-1])["models"] > 0
    drawn = dbt.run("report", env=env, bind=report)
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
    page = (report / "index.html").read_text()
    assert page.rstrip().endswith("</html>")


def test_every_dockerfile_is_clean_for_hadolint():
    files = sorted((ROOT / "docker").glob("*Dockerfile"))
    assert len(files) == 2
    succeed(tool("hadolint"), *files)


def test_the_compiler_of_the_image_is_the_one_of_the_repository():
    channel = re.search(r'channel = "(.+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    assert f"FROM rust:{channel}-slim-bookworm AS" in DOCKERFILE.read_text()


def test_there_is_an_image_for_every_task_and_for_the_consumer(tasks):
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text() + DBT.read_text(), re.MULTILINE))
    assert set(tasks) | {"weather-consumer"} <= targets
