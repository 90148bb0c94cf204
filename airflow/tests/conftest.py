"""What all tests share: an Airflow home of their own, our plugins on the path, the options set."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

AIRFLOW = Path(__file__).resolve().parent.parent
ROOT = AIRFLOW.parent

# Airflow reads these when it is first imported, so they stand here and not in a fixture.
if "AIRFLOW_HOME" not in os.environ:
    home = tempfile.mkdtemp(prefix="data-voyager-airflow.")
    os.environ.update(
        AIRFLOW_HOME=home,
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{home}/airflow.db",
    )
os.environ.update(
    AIRFLOW__CORE__DAGS_FOLDER=str(AIRFLOW / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(AIRFLOW / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATA_VOYAGER__CLUSTER="voyager",
    AIRFLOW__DATA_VOYAGER__SUBNETS="subnet-1, subnet-2",
    AIRFLOW__DATA_VOYAGER__SECURITY_GROUPS="sg-1",
    AIRFLOW__DATA_VOYAGER__LOG_PREFIX="data-voyager",
)
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
sys.path += [str(AIRFLOW), str(AIRFLOW / "plugins")]


@pytest.fixture(autouse=True)
def _ecs(request) -> None:
    """No test that needs devstack's ECS inherits faults from the one before."""
    if request.node.get_closest_marker("needs_ecs"):
        import ecs_world

        ecs_world.require()
        ecs_world.no_faults()


@pytest.fixture(scope="session")
def tasks() -> dict:
    """The tasks of iac/tasks.json."""
    return json.loads((ROOT / "iac/tasks.json").read_text())["tasks"]
