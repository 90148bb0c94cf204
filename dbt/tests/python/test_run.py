"""run.py as a task: its address, its closing line, its exit codes, and what it never prints."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

import database_url as address
from conftest import DBT
from errors import Refused
from landed import fill, history

SECRET = "s3cr%40t"  # s3cr@t


def test_an_address_is_taken_apart_as_libpq_does():
    url = f"postgresql://dbt%2Bme:{SECRET}@db.example.com:6543/post%20gres?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem"
    assert address.variables(url) == {
        "DBT_HOST": "db.example.com",
        "DBT_PORT": "6543",
        "DBT_USER": "dbt+me",
        "DBT_PASSWORD": "s3cr@t",
        "DBT_DBNAME": "post gres",
        "DBT_SSLMODE": "verify-full",
        "DBT_SSLROOTCERT": "/etc/ca.pem",
    }


def test_what_the_profile_has_no_place_for_goes_to_libpq():
    found = address.variables("host=/run/postgresql user=me dbname=d connect_timeout=7 application_name=x")
    assert (found["DBT_HOST"], found["DBT_PORT"], found["DBT_SSLMODE"]) == ("/run/postgresql", "5432", "prefer")
    assert (found["PGCONNECT_TIMEOUT"], found["PGAPPNAME"]) == ("7", "x")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cr@t@host/d",
        "postgresql://me:s3cr/t@host:5432/d",
        "postgresql://me:s3cr%zzt@host/d",
        "postgresql://host/d?unknown=s3cr",
        "mysql://me:s3cr@host/d",
        "postgresql://:s3cr@host/d",
        "postgresql:///d?user=s3cr",
    ],
)
def test_a_mistyped_address_is_refused_without_quoting_it(url):
    with pytest.raises(Refused) as refused:
        address.variables(url)
    assert "s3cr" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "changed", "said"),
    [
        ([], {}, "no command"),
        (["build"], {"DATABASE_URL": None}, "DATABASE_URL is not set"),
        (["build"], {"HOME_TIMEZONE": "Berlin"}, "HOME_TIMEZONE is 'Berlin'"),
        (["no-such-command"], {}, "no-such-command"),
        (["report"], {"REPORT_URL": None}, "REPORT_URL is not set"),
        (["report"], {"REPORT_URL": "ftp://x/y"}, "REPORT_URL is 'ftp://x/y'"),
        (["report"], {"STRAVA_ATHLETE_ID": "me"}, "which is no number"),
        (["check", "--quick"], {}, "check takes --json and nothing else"),
    ],
)
def test_wrong_use_is_exit_2_with_a_closing_line(run, arguments, changed, said):
    outcome = run(*arguments, **changed)
    assert outcome.code == 2, outcome.log
    assert said in outcome.log
    closing = outcome.closing
    assert (closing["task"], closing["status"], closing["complete"], closing["run_id"]) == (
        "dbt",
        "failed",
        False,
        "tests",
    )


def test_an_empty_time_zone_is_one_that_is_not_set(run):
    outcome = run("compile", "--inline", "select {{ today() }}, '{{ home_timezone() }}'", HOME_TIMEZONE="")
    assert outcome.code == 0, outcome.log
    assert ", 'UTC'" in outcome.log


def test_a_page_before_the_first_build_says_what_to_do(run, tmp_path):
    outcome = run("report", DBT_TARGET_PATH=str(tmp_path))
    assert outcome.code == 1, outcome.log
    assert "run `dbt/run.py build` first" in outcome.log


def test_a_database_that_is_away_is_exit_1_and_named_without_the_password(run):
    outcome = run("build", DATABASE_URL=f"postgresql://me:{SECRET}@127.0.0.1:1/d")
    assert outcome.code == 1
    assert "me at 127.0.0.1:1/d: " in outcome.log
    assert "tried 3 times" in outcome.log
    assert "s3cr" not in outcome.log + str(outcome.closing)


def test_a_database_that_does_not_exist_is_exit_2(run, database_url):
    outcome = run("build", DATABASE_URL=psycopg.conninfo.make_conninfo(database_url, dbname="nowhere"))
    assert outcome.code == 2
    assert 'database "nowhere" does not exist' in outcome.log


def test_check_changes_nothing_and_says_how_both_are(run, environment, warehouse):
    fill(warehouse, [], [])
    outcome = run("check")
    assert outcome.code == 0, outcome.log
    assert [line.rpartition(": ")[0] for line in outcome.log.splitlines()] == ["ok: database", "ok: report"]
    schemas = "select count(*) from pg_namespace where nspname in ('staging', 'intermediate', 'marts')"
    assert warehouse.execute(schemas).fetchone() == (0,)
    assert not any(Path(environment["REPORT_URL"].removeprefix("file://")).iterdir())


@pytest.mark.parametrize(
    ("changed", "code", "good"),
    [
        ({}, 0, [True, True]),
        ({"DATABASE_URL": None}, 2, [False, True]),
        ({"HOME_TIMEZONE": "", "STRAVA_ATHLETE_ID": ""}, 0, [True, True]),
        ({"HOME_TIMEZONE": "Berlin"}, 2, [False, True]),
        ({"REPORT_URL": "s3:nowhere"}, 2, [True, False]),
        ({"DATABASE_URL": f"postgresql://me:{SECRET}@127.0.0.1:1/d"}, 1, [False, True]),
        ({"DATABASE_URL": f"postgresql://me:{SECRET}@127.0.0.1:1/d", "REPORT_URL": None}, 2, [False, False]),
    ],
)
def test_check_looks_at_both_whatever_is_wrong_with_one(run, changed, code, good):
    outcome = run("check", "--json", **changed)
    assert outcome.code == code, outcome.log
    findings = json.loads(outcome.log.splitlines()[-1])
    assert [finding.keys() for finding in findings] == [{"what", "says", "is_good"}] * 2
    assert [(finding["what"], finding["is_good"]) for finding in findings] == list(
        zip(("database", "report"), good, strict=True)
    )
    assert "s3cr" not in outcome.log + str(outcome.closing)


def test_check_ends_within_ten_seconds_where_nobody_answers(run):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        port = silent.getsockname()[1]
        away = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "eu-central-1"}
        keys = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "s3cr"}
        url = f"postgresql://me:{SECRET}@127.0.0.1:{port}/d"
        outcome = run("check", DATABASE_URL=url, REPORT_URL="s3://page", **away, **keys)
        assert time.monotonic() - started < 10
    assert outcome.code == 1
    assert "not ok: report: no answer within 8 s" in outcome.log
    assert "not ok: database: " in outcome.log


def test_a_table_that_never_landed_has_no_freshness_to_fail_by(run, warehouse):
    fill(warehouse, history(days=60), [])
    warehouse.execute("update strava.ods_strava__activities set _loaded_at = now()")
    outcome = run("source", "freshness")
    assert outcome.code == 0, outcome.log
    assert (outcome.closing["failed"], outcome.closing["skipped"]) == (0, 1)
    assert "weather.ods_weather__readings never landed" in outcome.log


def test_a_source_that_cannot_be_asked_counts_as_failed(run, warehouse):
    fill(warehouse, history(days=60), [])
    warehouse.execute("update strava.ods_strava__activities set _loaded_at = now()")
    warehouse.execute("create schema weather")
    warehouse.execute("create table weather.ods_weather__readings ()")
    outcome = run("source", "freshness")
    assert outcome.code == 1
    assert (outcome.closing["failed"], outcome.closing["skipped"]) == (1, 0)
    assert "1 failed" in outcome.log


def test_sigterm_is_143_and_partial_with_what_was_built_by_then(environment, warehouse):
    fill(warehouse, history(), [])
    process = subprocess.Popen(
        [sys.executable, DBT / "run.py", "build"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # dbt tells of a model just before it counts as finished, so the second one is waited for.
    models = (line for line in process.stderr if "OK created sql" in line)
    assert next(models)
    assert next(models)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    closing = json.loads(output.splitlines()[-1])
    assert (closing["status"], closing["complete"]) == ("partial", False)
    assert closing["models"] >= 1
