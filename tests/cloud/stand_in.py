"""Terraform and a provider that needs no account: the stand-in where it is at hand, else the real one's schema."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target/cloud"
SCHEMA = Path(__file__).with_name("aws-schema.json")
SETUP = ROOT.parent / "shared/tools/aws-schema-provider/setup.sh"

# What a person gives by TF_VAR_ or a variable file; invented.
VARIABLES = {
    "TF_VAR_region": "eu-central-1",
    "TF_VAR_alert_email": "somebody@example.org",
    "TF_VAR_github_owner": "owner",
    "TF_VAR_github_owner_id": "1",
    "TF_VAR_github_repository": "repository",
    "TF_VAR_github_repository_id": "2",
}


class Missing(Exception):
    """What is not on this machine, in words for the skip."""


@dataclass(frozen=True)
class Terraform:
    """Runs terraform with a provider. `applies`: without an account only the stand-in does, the real one plans."""

    environment: dict[str, str]
    applies: bool

    def __call__(self, folder: Path, *arguments: str, exits: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            [ROOT / "scripts/terraform", *arguments], cwd=folder, env=self.environment, capture_output=True, text=True
        )
        said = done.stdout + done.stderr
        assert done.returncode in exits, f"terraform {' '.join(arguments)} ended with {done.returncode}:\n{said}"
        return done.stdout


def terraform() -> Terraform:
    """The best that this machine has, or Missing."""
    environment = {
        **os.environ,
        **VARIABLES,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "PATH": f"{os.environ['PATH']}:{ROOT / 'scripts'}:/usr/local/go/bin",
    }
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        environment.pop(name, None)
    if subprocess.run([ROOT / "scripts/terraform", "version"], capture_output=True).returncode:
        raise Missing("no terraform on the PATH and none in .venv-cloud; `scripts/setup cloud` installs it")
    if SETUP.exists() and shutil.which("go", path=environment["PATH"]):
        return Terraform(environment | _stand_in(environment), applies=True)
    return Terraform(environment, applies=False)


def _stand_in(environment: dict[str, str]) -> dict[str, str]:
    work = WORK / "provider"
    work.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(SCHEMA, work / "schema.json")
    done = subprocess.run([SETUP, work], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"the stand-in provider could not be built: {done.stderr[-2000:]}"
    exported = shlex.split((work / "env").read_text())
    return dict(word.split("=", 1) for word in exported if "=" in word)


def copy(name: str) -> Path:
    """A copy of iac/ with a state of its own, so that nothing is written beside the sources."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*", "backend_override.tf", "kubernetes")
    shutil.copytree(ROOT / "iac", folder, ignore=ignored)
    shutil.copyfile(folder / "backends/local_override.tf.example", folder / "backend_override.tf")
    return folder
