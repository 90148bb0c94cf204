"""run.py as a task: its address, its closing line, its exit codes, and what it never prints."""

from __future__ import annotations

import signal
import subprocess
import sys

import psycopg
import pytest

import database_url as address
from conftest import DBT
from errors import Refused

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


def test_a_page_before_the_first_build_says_what_to_do(run, tmp_path):
    outcome = run("report", DBT_TARGET_PATH=str(tmp_path))
    assert outcome.code == 1, outcome.log
    assert "run `dbt/run.py build` first" in outcome.log


def test_a_database_that_is_away_is_exit_1_and_named_without_the_password(run):
    outcome = run("build", DATABASE_URL=f"postgresql://me:{SECRET}@127.0.0.1:1/d")
    assert outcome.code == 1
    assert "me at 127.0.0.1:1/d, 3 times" in outcome.log
    assert "s3cr" not in outcome.log + str(outcome.closing)


def test_a_database_that_does_not_exist_is_exit_2(run, database_url):
    outcome = run("build", DATABASE_URL=psycopg.conninfo.make_conninfo(database_url, dbname="nowhere"))
    assert outcome.code == 2
    assert 'database "nowhere" does not exist' in outcome.log


def test_check_changes_nothing(run, environment):
    assert run("check").code == 0


def test_sigterm_is_143_with_a_closing_line(environment):
    process = subprocess.Popen(
        [sys.executable, DBT / "run.py", "build"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "Concurrency" in line:
            break
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert '"status": "failed"' in output.splitlines()[-1] or '"status": "partial"' in output.splitlines()[-1]
