"""Real Airflow with its scheduler, real operators, devstack's ECS; scripts in the place of the programs."""

from __future__ import annotations

import local_airflow
import pytest

import airflow_world
import ecs_world
from standin import StandIn

pytestmark = pytest.mark.needs_airflow
ATHLETES = {
    "101": ["0"],  # right at once
    "102": ["1", "0"],  # fails, then right
    "103": ["2"],  # refuses: configuration or credentials
    "104": ["0 incomplete"],  # a quota ended it
    "105": ["137"] * 4,  # killed, and again at each retry
}


@pytest.fixture(scope="module", params=["synchronous", "deferrable"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def standin(tmp_path_factory, mode):
    ecs_world.require()
    ecs_world.no_faults()
    return StandIn(tmp_path_factory.mktemp(mode))


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, standin, mode):
    home = tmp_path_factory.mktemp(f"home-{mode}")
    with airflow_world.running(
        home, deferrable=mode == "deferrable", AIRFLOW__DATA_VOYAGER__ATHLETES=",".join(ATHLETES)
    ) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def run(airflow, standin):
    """One run of strava_daily over five athletes, each with another fate; one RunTask finds no capacity."""
    for athlete, steps in ATHLETES.items():
        standin.plan(athlete, *steps)
    ecs_world.fault("capacity", family="data-voyager-strava-load")
    airflow.unpause("marts")
    run_id = airflow.start_run("strava_daily")
    airflow.await_run("strava_daily", run_id)
    airflow.wait_until("marts has run", lambda: [r for r in airflow.runs("marts") if r["state"] == "success"])
    return run_id


def instance(airflow, run, athlete):
    return airflow.task("strava_daily", run, "strava_extract", list(ATHLETES).index(athlete))


def words(airflow, run, athlete, attempt=1):
    index = list(ATHLETES).index(athlete)
    return airflow.log("strava_daily", run, "strava_extract", attempt, index)


def test_exit_1_is_retried_and_then_right(airflow, run, standin):
    task = instance(airflow, run, "102")
    assert (task["state"], task["try_number"]) == ("success", 2)
    assert len(standin.runs("102")) == 2


def test_a_retry_gives_the_same_run_id(airflow, run, standin):
    assert standin.runs("102") == [f"{run} api"] * 2


def test_exit_2_is_not_retried_and_the_log_says_why(airflow, run, standin):
    task = instance(airflow, run, "103")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    assert len(standin.runs("103")) == 1
    text = str(words(airflow, run, "103"))
    assert "refused to run (exit 2" in text
    assert "the token was refused: run auth login" in text


def test_the_failure_callback_names_task_log_and_closing_line(airflow, run):
    told = [line for line in words(airflow, run, "103") if "closing line:" in str(line.get("event"))]
    assert told, "the callback said nothing"
    event = str(told[0]["event"])
    assert "strava_daily.strava_extract[2]" in event
    assert f"run {run}" in event
    assert "http://127.0.0.1" in event
    assert '"status": "failed"' in event


def test_exit_137_is_retried_until_no_retry_is_left(airflow, run, standin):
    task = instance(airflow, run, "105")
    assert (task["state"], task["try_number"]) == ("failed", 4)
    assert len(standin.runs("105")) == 4


def test_what_a_quota_ended_is_green_and_says_when_it_goes_on(airflow, run):
    task = instance(airflow, run, "104")
    index = task["map_index"]
    assert (task["state"], task["try_number"]) == ("success", 1)
    closing = airflow.xcom("strava_daily", run, "strava_extract", map_index=index)
    assert closing["complete"] is False
    assert closing["resume_at"] == "2026-11-25T00:15:00Z"
    assert "2026-11-25T00:15:00Z" in airflow.xcom("strava_daily", run, "strava_extract", "note", index)
    warnings = [line for line in words(airflow, run, "104") if line.get("level") == "warning"]
    assert any("the next run goes on" in str(line["event"]) for line in warnings)


def test_xcom_is_the_closing_line_as_a_dict(airflow, run):
    index = instance(airflow, run, "101")["map_index"]
    closing = airflow.xcom("strava_daily", run, "strava_extract", map_index=index)
    assert closing == {"task": "strava-extract", "command": "api", "status": "succeeded", "complete": True, "number": 1}


def test_lines_of_the_task_have_their_own_levels(airflow, run):
    levels = {}
    for line in words(airflow, run, "103"):
        for text in ("fetched activities", "waiting for the quota", "the token was refused"):
            # The line itself begins with its time; what quotes it does not.
            if text in str(line.get("event")) and str(line["event"]).startswith("["):
                levels[text] = line["level"]
    assert levels == {
        "fetched activities": "info",
        "waiting for the quota": "warning",
        "the token was refused": "error",
    }


def test_nothing_but_the_task_warns_in_its_log(airflow, run):
    warnings = [str(line["event"]) for line in words(airflow, run, "101") if line.get("level") == "warning"]
    assert len(warnings) == 1, str(warnings)
    assert "waiting for the quota" in warnings[0]


def test_a_person_runs_a_dag_in_an_airflow_that_is_up(airflow, run, capsys):
    (airflow.home / "port").write_text(str(airflow.port))
    assert local_airflow.join(airflow.home, ["weather_hourly"]) == 0
    told = capsys.readouterr().out
    assert airflow.url in told
    assert "strava_load: skipped" in told
    assert told.endswith("weather_hourly: success\n")


def test_no_capacity_is_retried(airflow, run):
    task = airflow.task("strava_daily", run, "strava_load")
    assert (task["state"], task["try_number"]) == ("success", 2)
    assert "Capacity is unavailable" in str(airflow.log("strava_daily", run, "strava_load", 1))


def test_the_others_are_loaded_and_the_run_is_red(airflow, run, standin):
    loads = (standin.folder / "loads").read_text().splitlines()
    assert [load for load in loads if "strava" in load] == [f"{run} sync --source strava"]
    assert airflow.run("strava_daily", run)["state"] == "failed"
    assert airflow.task("strava_daily", run, "any_failed")["state"] == "failed"


def test_the_load_s_asset_starts_the_marts(airflow, run, standin):
    assert (standin.folder / "dbt").read_text().splitlines()[:2] == ["build", "report"]


def test_a_missing_secret_is_named_and_not_retried(airflow, run, standin):
    from standin import DBT

    standin.define("dbt", DBT, secrets=[{"name": "DATABASE_URL", "valueFrom": "/data-voyager/local/database/no-such"}])
    run_id = airflow.trigger("marts")
    assert airflow.await_run("marts", run_id)["state"] == "failed"
    task = airflow.task("marts", run_id, "dbt_build")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    assert "/data-voyager/local/database/no-such" in str(airflow.log("marts", run_id, "dbt_build"))
    standin.define("dbt", DBT)


# A task that hangs until it is told to go on: `dbt` with the extractor's script.
HANG = "STRAVA_ATHLETE_ID=hang\n"


@pytest.fixture
def hanging(airflow, standin, run):
    """A run of marts whose first task runs and does not end by itself."""
    import shutil

    from standin import DBT, EXTRACT

    shutil.rmtree(standin.folder / "hang", ignore_errors=True)
    standin.define("dbt", HANG + EXTRACT.replace("strava-extract", "dbt"))
    standin.plan("hang", "0 hang", "0 hang", "0 hang")
    run_id = airflow.trigger("marts")
    pid = standin.pid("hang")
    yield run_id, pid
    standin.go("hang")
    standin.define("dbt", DBT)
    if airflow.run("marts", run_id)["state"] not in ("success", "failed"):
        airflow.await_run("marts", run_id)


def test_a_task_that_a_person_marks_failed_is_stopped(airflow, standin, hanging, mode):
    run_id, pid = hanging
    await_waiting(airflow, run_id, mode)  # before a trigger runs nobody could stop the task, as README says
    airflow.set_state("marts", run_id, "dbt_build", "failed")
    airflow_world.await_death(pid)
    assert standin.ends("hang") == ["stopped"], "the program got no SIGTERM"
    assert airflow.await_run("marts", run_id)["state"] == "failed"
    assert len(standin.runs("hang")) == 1


def await_waiting(airflow, run_id, mode) -> str:
    """Waits until a worker or a triggerer asks for the running ECS task, whose ARN is returned."""
    state = "deferred" if mode == "deferrable" else "running"
    airflow.wait_until(state, lambda: airflow.task("marts", run_id, "dbt_build")["state"] == state)
    (arn,) = ecs_world.ecs().list_tasks(cluster=ecs_world.CLUSTER, family="data-voyager-dbt")["taskArns"]
    ecs_world.await_asked(arn)
    return arn


def test_a_worker_that_dies_leaves_one_task_which_the_retry_takes_over(airflow, standin, hanging, mode):
    run_id, pid = hanging
    arn = await_waiting(airflow, run_id, mode)
    if mode == "deferrable":
        airflow.restart("triggerer")  # killed with -9; the trigger waits on in the next one
    else:
        assert airflow_world.kill_workers(airflow) > 0
    ecs_world.await_asked(arn, more_than=ecs_world.asked(arn))
    assert airflow.task("marts", run_id, "dbt_build")["try_number"] == (1 if mode == "deferrable" else 2)
    assert airflow_world.alive(pid)
    standin.go("hang")
    assert airflow.await_run("marts", run_id)["state"] == "success"
    assert standin.runs("hang")[0].endswith(" build")
    assert len(standin.runs("hang")) <= 2
    assert standin.ends("hang")[0] == "ended"
    assert standin.runs("hang").count(f"{run_id} build") == 1
    closing = airflow.xcom("marts", run_id, "dbt_build")
    assert closing["number"] == 1


def test_a_worker_that_dies_leaves_an_end_which_the_retry_adopts(airflow, standin, hanging, mode):
    if mode == "deferrable":
        pytest.skip("no worker waits in this mode")
    run_id, pid = hanging
    await_waiting(airflow, run_id, mode)
    assert airflow_world.kill_workers(airflow) > 0
    standin.go("hang")
    airflow_world.await_death(pid)
    assert airflow.await_run("marts", run_id)["state"] == "success"
    assert standin.runs("hang").count(f"{run_id} build") == 1
    assert airflow.task("marts", run_id, "dbt_build")["try_number"] == 2
