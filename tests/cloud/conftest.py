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
