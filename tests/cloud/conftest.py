"""What the cloud tests share: terraform, and the states that it made without an account."""

from __future__ import annotations

from pathlib import Path

import pytest

import stand_in
from stand_in import Missing, Terraform
from states import State, applied, initialise


@pytest.fixture(scope="session")
def terraform() -> Terraform:
    try:
        return stand_in.terraform()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def initialised(terraform) -> Path:
    """A copy of iac/ after `terraform init`."""
    folder = stand_in.copy("plans")
    initialise(terraform, folder)
    return folder


@pytest.fixture(scope="session")
def everything(terraform) -> State:
    """Every part switched on."""
    return applied(terraform, "everything", "-var-file=environments/everything.tfvars")


@pytest.fixture(scope="session")
def production(terraform) -> State:
    """The cheap default, for two athletes."""
    return applied(
        terraform,
        "production",
        "-var-file=environments/production.tfvars",
        "-var=keep_images=false",
        '-var=athletes=["17","18"]',
    )


@pytest.fixture(scope="session")
def bootstrap(terraform) -> State:
    """What Scalr needs before it can run."""
    names = ("environment=production", "scalr_account=acc-1", "scalr_environment=env-1", "scalr_workspace=ws-1")
    return applied(terraform, "bootstrap", *(f"-var={name}" for name in names), below="bootstrap")
