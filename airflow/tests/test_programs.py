"""Real Airflow, real operators, the real programs: from a run to the marts, for three athletes, one of whom fails."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import airflow_world
import ecs_world
from conftest import ROOT

pytestmark = pytest.mark.needs_airflow
PROGRAMS = ROOT / "target/debug"
ACTIVITIES = {"20210001": 40, "20210002": 25}
STRANGER = "20210003"  # nobody logged in for this one

# What stands before the real program: the simulator of each athlete, and one request less than enough, once.
ENTRY = """
export STRAVA_API_URL=$(cat "$WORLDS/$STRAVA_ATHLETE_ID/api" 2>/dev/null || echo "$STRAVA_API_URL")
export STRAVA_OAUTH_URL=$(cat "$WORLDS/$STRAVA_ATHLETE_ID/oauth" 2>/dev/null || echo "$STRAVA_OAUTH_URL")
if [ -e "$WORLDS/$STRAVA_ATHLETE_ID/limit" ]; then
  set -- "$@" --max-requests 1
  rm "$WORLDS/$STRAVA_ATHLETE_ID/limit"
fi
exec "$PROGRAM" "$@"
"""


@pytest.fixture(scope="module", params=["synchronous", "deferrable"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def worlds(tmp_path_factory) -> Iterator[Path]:
    """A Strava for each athlete who has one, and the extractor's definition that knows them."""
    ecs_world.require()
    folder = tmp_path_factory.mktemp("worlds")
    running = []
    for number, (athlete, activities) in enumerate(ACTIVITIES.items()):
        own = folder / athlete
        own.mkdir()
        recorded = own / "activities.ndjson"
        recorded.write_text(generated(athlete, activities, seed=7 + number))
        state = own / "state"
        running.append(
            subprocess.Popen(
                [PROGRAMS / "devstack", "up", "--state-dir", state, "--only", "strava", "--recorded", recorded]
            )
        )
        variables = await_environment(state)
        (own / "api").write_text(variables["STRAVA_API_URL"])
        (own / "oauth").write_text(variables["STRAVA_OAUTH_URL"])
        log_in(athlete, variables["STRAVA_REFRESH_TOKEN"])
    define_extract(folder)
    for task in ("strava-load", "dbt"):
        define_again(task)
    yield folder
    for process in running:
        process.terminate()
        process.wait(ecs_world.PATIENCE)


def generated(athlete: str, activities: int, seed: int) -> str:
    """A made-up athlete's activities under another id, and with activity ids of their own."""
    done = subprocess.run(
        [PROGRAMS / "devstack", "generate", "--activities", str(activities), "--seed", str(seed)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = []
    for line in done.stdout.splitlines():
        activity = json.loads(line)
        activity["athlete"]["id"] = int(athlete)
        activity["id"] = int(athlete) * 1_000_000 + activity["id"] % 1_000_000
        lines.append(json.dumps(activity))
    return "\n".join(lines) + "\n"


def await_environment(state: Path) -> dict[str, str]:
    import time

    deadline = time.monotonic() + ecs_world.PATIENCE
    while time.monotonic() < deadline:
        done = subprocess.run(
            [PROGRAMS / "devstack", "env", "--state-dir", state], capture_output=True, text=True, check=False
        )
        found = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
        if "STRAVA_REFRESH_TOKEN" in found:
            return {name: value.strip("'") for name, value in found.items()}
        time.sleep(0.2)
    pytest.fail(f"no Strava in {state}")


def log_in(athlete: str, refresh_token: str) -> None:
    """What `strava-extract auth login` leaves."""
    file = Path(urlsplit(os.environ["STRAVA_TOKEN_STORE"].replace("{athlete_id}", athlete)).path)
    file.touch(mode=0o600)
    token = {"version": 1, "access_token": "", "refresh_token": refresh_token, "expires_at": 0,
             "scope": "read,activity:read_all,profile:read_all", "athlete_id": athlete}  # fmt: skip
    file.write_text(json.dumps(token))


def define_extract(folder: Path) -> None:
    family = f"{ecs_world.PREFIX}-strava-extract"
    definition = ecs_world.ecs().describe_task_definition(taskDefinition=f"{family}:1")["taskDefinition"]
    (container,) = definition["containerDefinitions"]
    (folder / "entry.sh").write_text(ENTRY)
    container["entryPoint"] = ["/bin/sh", str(folder / "entry.sh")]
    container["environment"] += [
        {"name": "WORLDS", "value": str(folder)},
        {"name": "PROGRAM", "value": str(PROGRAMS / "strava-extract")},
    ]
    register(definition)


def define_again(task: str) -> None:
    """Other tests of the same world put scripts in the place of the programs."""
    family = f"{ecs_world.PREFIX}-{task}:1"
    register(ecs_world.ecs().describe_task_definition(taskDefinition=family)["taskDefinition"])


def register(definition: dict) -> None:
    keys = ("family", "cpu", "memory", "networkMode", "requiresCompatibilities", "containerDefinitions")
    ecs_world.ecs().register_task_definition(**{key: definition[key] for key in keys})


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, worlds, mode):
    home = tmp_path_factory.mktemp(f"home-{mode}")
    athletes = ",".join([*ACTIVITIES, STRANGER])
    with airflow_world.running(
        home, deferrable=mode == "deferrable", AIRFLOW__DATA_VOYAGER__ATHLETES=athletes
    ) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def run(airflow, worlds):
    """strava_daily by the scheduler, and the marts that its asset starts; the first athlete's quota ends early."""
    (worlds / "20210001/limit").touch()
    airflow.unpause("marts")
    run_id = airflow.start_run("strava_daily")
    airflow.await_run("strava_daily", run_id)
    await_marts(airflow, 1)
    return run_id


def await_marts(airflow, number: int) -> list[dict]:
    ended = lambda: [r for r in airflow.runs("marts") if r["state"] in ("success", "failed")]  # noqa: E731
    runs = airflow.wait_until(f"marts has run {number} times", lambda: len(ended()) >= number and ended())
    assert [r["state"] for r in runs] == ["success"] * len(runs), str(
        airflow.log("marts", runs[-1]["dag_run_id"], "dbt_build")
    )[-3000:]
    return runs


def rows(query: str) -> list[tuple]:
    import psycopg2  # not in the environment of the next version, which runs none of these tests

    with psycopg2.connect(os.environ["DATABASE_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def in_marts() -> dict[str, int]:
    found = rows("select athlete_id::text, count(*) from marts.activities group by 1")
    return {athlete: count for athlete, count in found if athlete in ACTIVITIES}


def extract(airflow, run, athlete):
    index = [*ACTIVITIES, STRANGER].index(athlete)
    return airflow.task("strava_daily", run, "strava_extract", index)


def test_the_stranger_fails_without_a_retry_and_the_run_is_red(airflow, run):
    task = extract(airflow, run, STRANGER)
    assert (task["state"], task["try_number"]) == ("failed", 1)
    assert airflow.run("strava_daily", run)["state"] == "failed"
    log = str(airflow.log("strava_daily", run, "strava_extract", 1, task["map_index"]))
    assert "exit 2" in log


def test_the_athlete_whose_quota_ended_is_green_and_says_so(airflow, run):
    task = extract(airflow, run, "20210001")
    assert task["state"] == "success"
    closing = airflow.xcom("strava_daily", run, "strava_extract", map_index=task["map_index"])
    assert closing["status"] == "succeeded"
    assert closing["complete"] is False


def test_the_other_arrives_whole_in_the_marts(run):
    assert in_marts()["20210002"] == ACTIVITIES["20210002"]


def test_rust_log_lines_have_their_levels(airflow, run):
    task = extract(airflow, run, "20210002")
    log = airflow.log("strava_daily", run, "strava_extract", 1, task["map_index"])
    ours = [line for line in log if str(line.get("event", "")).startswith("[")]
    assert len(ours) >= 2
    assert {"info"} <= {line["level"] for line in ours}


def test_the_next_run_finishes_what_the_quota_left(airflow, run):
    before = len(airflow.runs("marts"))
    second = airflow.trigger("strava_daily")
    airflow.await_run("strava_daily", second)
    task = extract(airflow, second, "20210001")
    closing = airflow.xcom("strava_daily", second, "strava_extract", map_index=task["map_index"])
    assert closing["complete"] is True
    await_marts(airflow, before + 1)
    assert in_marts() == ACTIVITIES


def test_the_same_again_changes_no_table(airflow, run):
    def checksum():
        return rows(
            "select count(*), md5(string_agg(t::text, '|' order by t::text)) from strava.ods_strava__activities t"
        )

    before, number = checksum(), len(airflow.runs("marts"))
    third = airflow.trigger("strava_daily")
    airflow.await_run("strava_daily", third)
    loaded = airflow.xcom("strava_daily", third, "strava_load")
    assert all(not counts[kind] for counts in loaded["tables"].values() for kind in ("inserted", "updated", "deleted"))
    assert checksum() == before
    await_marts(airflow, number + 1)
