"""What the tests share: a warehouse, run.py as a process, a page, a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

DBT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(DBT))

from browser import Browser  # noqa: E402
from landed import TODAY  # noqa: E402

DATABASE = "dbt_tests"


@dataclass(frozen=True)
class Outcome:
    """How a call of run.py ended."""

    code: int
    closing: dict
    log: str


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """A database of our own on the server of DATABASE_URL."""
    url = os.environ.get("DATABASE_URL")
    assert url, "DATABASE_URL is not set; run `make test-dbt`"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"drop database if exists {DATABASE}")
        server.execute(f"create database {DATABASE}")
        yield psycopg.conninfo.make_conninfo(url, dbname=DATABASE)
        server.execute(f"drop database {DATABASE} with (force)")


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One target folder for all, so that dbt parses the project once."""
    return tmp_path_factory.mktemp("target")


@pytest.fixture(scope="session")
def environment(database_url: str, target: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DBT_", "PG", "STRAVA_"))}
    return kept | {
        "DATABASE_URL": database_url,
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(tmp_path_factory.mktemp("logs")),
        "REPORT_URL": tmp_path_factory.mktemp("report").as_uri(),
        "HOME_TIMEZONE": "Europe/Berlin",
        "LOG_FORMAT": "text",
        "RUN_ID": "tests",
    }


Run = Callable[..., Outcome]


@pytest.fixture(scope="session")
def run(environment: dict[str, str]) -> Run:
    """Calls run.py as make and the image do; `changed` replaces variables, None takes one away."""

    def run(*arguments: str, **changed: str | None) -> Outcome:
        variables = {name: value for name, value in (environment | changed).items() if value is not None}
        done = subprocess.run(
            [sys.executable, DBT / "run.py", *arguments], env=variables, capture_output=True, text=True
        )
        lines = done.stdout.strip().splitlines()
        return Outcome(done.returncode, json.loads(lines[-1]), done.stderr + "\n".join(lines[:-1]))

    return run


@pytest.fixture(scope="session")
def build(run: Run) -> Callable[..., Outcome]:
    """Builds everything; unit tests prove code and not data, so once is enough for them."""

    def build(*, unit_tests: bool = False, today: str | None = TODAY) -> Outcome:
        options = [] if unit_tests else ["--exclude-resource-type", "unit_test"]
        return run("build", "--vars", json.dumps({"today": today}), *options)

    return build


@pytest.fixture(scope="session")
def warehouse(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened
