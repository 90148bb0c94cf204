"""What a person's own settings make in this folder never gets into a commit."""

import os
from pathlib import Path

import pytest

from conftest import ROOT, run, succeed


def made_by_the_example(folder: Path) -> list[str]:
    """Every path below the folder that a filled-in .envrc leads to, relative to it."""
    environment = succeed(
        "bash", "-euc", f"source {ROOT / '.envrc.example'}; env -0", cwd=folder, env={"PATH": os.environ["PATH"]}
    )
    values = (entry.partition("=")[2] for entry in environment.split("\0"))
    addresses = [value.removeprefix("file://") for value in values if value.startswith("file://")]
    assert addresses
    # A directory is ignored as far as what lies in it is.
    return [
        (path if path.suffix else path / "some" / "file").relative_to(folder).as_posix()
        for path in (Path(address.replace("{athlete_id}", "4711")) for address in addresses)
    ]


def is_ignored(path: str) -> bool:
    return run("git", "check-ignore", "--quiet", "--no-index", path, cwd=ROOT).returncode == 0


def test_what_the_example_of_envrc_leads_to_is_ignored(tmp_path):
    paths = made_by_the_example(tmp_path)
    assert {path.partition("/")[0] for path in paths} >= {"landing", "report"}
    assert [path for path in paths if not is_ignored(path)] == []


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".envrc",
        ".strava-token-.json",
        ".strava-token-4711.json.lock",
        ".strava-token-4711.json.new",
        "docker/.env",
        "docker/locations.csv",
        "locations.csv",
    ],
)
def test_what_holds_tokens_or_places_is_ignored(path):
    assert is_ignored(path)


def test_what_is_ours_is_not_ignored():
    assert not is_ignored("crates/common/src/landing/key.rs")
