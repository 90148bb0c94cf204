"""The versions on MWAA are the ones that MWAA's images install."""

import re
from pathlib import Path

import pytest

from conftest import AIRFLOW, ROOT

UPSTREAM = ROOT.parent / "shared/data/airflow"


def pins(file: Path) -> dict[str, str]:
    """Name and version of every `name==version`."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*])?==([^\s;\\]+)", file.read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("version", ["3.0.6", "3.2.1"])
def test_our_constraints_are_the_images_own(version):
    if not UPSTREAM.is_dir():
        pytest.skip(f"{UPSTREAM} is absent: MWAA's own constraints are not at hand")
    ours, theirs = (pins(folder / f"constraints-{version}.txt") for folder in (AIRFLOW / "plugins", UPSTREAM))
    assert len(ours) > 50
    assert {name: v for name, v in ours.items() if theirs.get(name, v) != v} == {}


@pytest.mark.parametrize(("version", "suffix"), [("3.0.6", ""), ("3.2.1", "-3.2.1")])
def test_mwaa_and_the_local_environment_have_the_same_airflow_and_provider(version, suffix):
    mwaa, local = (pins(AIRFLOW / f"requirements{kind}{suffix}.txt") for kind in ("", "-local"))
    assert mwaa["apache-airflow"] == local["apache-airflow"] == version
    for name in ("apache-airflow", "apache-airflow-providers-amazon"):
        assert mwaa[name] == local[name] == pins(AIRFLOW / f"plugins/constraints-{version}.txt")[name]
    assert (
        f'--constraint "/usr/local/airflow/plugins/constraints-{version}.txt"'
        in (AIRFLOW / f"requirements{suffix}.txt").read_text().splitlines()
    )
