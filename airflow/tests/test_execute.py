"""The operators' own methods against devstack's ECS, without a scheduler: also on the next version of Airflow."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest
from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException

import ecs_world
from data_voyager.operators import DbtOperator, S3ToSupabaseOperator, StravaToS3Operator
from data_voyager.trigger import EcsTaskTrigger
from standin import StandIn

try:
    from airflow.sdk.exceptions import TaskDeferred  # 3.2
except ImportError:
    from airflow.exceptions import TaskDeferred

pytestmark = pytest.mark.needs_ecs


class TaskInstance:
    """As much of a task instance as an operator asks for."""

    dag_id, task_id, map_index, max_tries, try_number = "d", "t", -1, 3, 1

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.pushed: dict = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


class DagRun:
    start_date = "2026-11-22T03:30:01Z"


@pytest.fixture(autouse=True)
def _options(monkeypatch):
    import os

    for option, value in {
        "CLUSTER": ecs_world.CLUSTER, "SUBNETS": os.environ["ECS_SUBNETS"],
        "SECURITY_GROUPS": os.environ["ECS_SECURITY_GROUPS"], "LOG_PREFIX": ecs_world.PREFIX, "POLL_SECONDS": "1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"AIRFLOW__DATA_VOYAGER__{option}", value)


@pytest.fixture
def standin(tmp_path):
    return StandIn(tmp_path)


@pytest.fixture(params=[False, True], ids=["synchronous", "deferrable"])
def execute(request, tmp_path):
    """Runs an operator as Airflow does in that mode; the deferred one resumes as a new object."""

    def run(make, run_id: str = "", **context):
        ti = TaskInstance(run_id or f"run-{tmp_path.name}")
        context = {"ti": ti, "run_id": ti.run_id, "dag_run": DagRun(), **context}
        operator = make(deferrable=request.param, aws_conn_id=None)
        if not request.param:
            return operator.execute(context), ti
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute(context)
        path, kwargs = deferred.value.trigger.serialize()
        assert path.endswith("EcsTaskTrigger")
        event = asyncio.run(first_event(EcsTaskTrigger(**kwargs)))
        resumed = make(deferrable=True, aws_conn_id=None)
        return getattr(resumed, deferred.value.method_name)(context, event, **deferred.value.kwargs), ti

    return run


async def first_event(trigger: EcsTaskTrigger) -> dict:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger ended without an event")


def athlete(athlete_id: str):
    return lambda **kwargs: StravaToS3Operator(task_id="t", athlete_id=athlete_id, **kwargs)


def test_the_closing_line_comes_back_and_every_line_has_its_level(execute, standin, capsys):
    closing, _ = execute(athlete("1"))
    assert closing == {"task": "strava-extract", "command": "api", "status": "succeeded", "complete": True, "number": 1}
    shown = shown_lines(capsys)
    assert [level for level, text in shown if "waiting for the quota" in text] == ["warning"]
    assert [level for level, text in shown if "activities.count=3" in text] == ["info"], "shown twice or not at all"


def shown_lines(capsys) -> list[tuple[str, str]]:
    """Level and text of every line of Airflow's log, whichever way this version writes it."""
    said = "".join(capsys.readouterr())
    found = (
        re.search(r"\b(DEBUG|INFO|WARNING|ERROR|debug|info|warning|error)\b(.*)", line) for line in said.splitlines()
    )
    return [(match[1].lower(), match[2]) for match in found if match]


def test_exit_2_fails_without_a_retry_also_on_resumption(execute, standin):
    standin.plan("1", "2")
    with pytest.raises(AirflowFailException, match="refused to run"):
        execute(athlete("1"))


def test_exit_1_is_a_failure_that_may_be_retried(execute, standin):
    standin.plan("1", "1")
    with pytest.raises(AirflowException, match="exit 1") as failure:
        execute(athlete("1"))
    assert not isinstance(failure.value, AirflowFailException)


def test_a_retry_that_airflow_resumes_with_the_failed_try_s_event_starts_anew(standin):
    standin.plan("1", "1", "0")
    ti = TaskInstance(f"run-{standin.folder.name}")
    context = {"ti": ti, "run_id": ti.run_id, "dag_run": DagRun()}
    with pytest.raises(TaskDeferred) as deferred:
        athlete("1")(deferrable=True, aws_conn_id=None).execute(context)
    event = asyncio.run(first_event(deferred.value.trigger))
    ti.try_number = 2
    with pytest.raises(TaskDeferred):
        athlete("1")(deferrable=True, aws_conn_id=None).execute_complete(context, event, **deferred.value.kwargs)
    standin.await_runs("1", 2)


def test_an_unfinished_run_is_right_and_told(execute, standin):
    standin.plan("1", "0 incomplete")
    closing, ti = execute(athlete("1"))
    assert closing["complete"] is False
    assert "2026-11-25T00:15:00Z" in ti.pushed["note"]


def test_a_program_without_a_closing_line_is_right_with_a_warning(execute, standin, capsys, monkeypatch):
    monkeypatch.setattr("data_voyager.task_log.CLOSING_LINE_WAIT_SECONDS", 2)
    standin.define("dbt", "echo done")
    closing, _ = execute(lambda **kwargs: DbtOperator(task_id="t", **kwargs))
    assert closing is None
    assert [level for level, text in shown_lines(capsys) if "without a closing line" in text] == ["warning"]


def test_a_load_that_changed_nothing_may_be_skipped_with_its_xcom(execute, standin):
    make = lambda **kwargs: S3ToSupabaseOperator(task_id="t", skip_when_unchanged=True, **kwargs)  # noqa: E731
    with pytest.raises(AirflowSkipException):
        execute(make)
    standin.define(
        "strava-load", """echo '{"task":"strava-load","status":"succeeded","tables":{"w.r":{"inserted":2}}}'"""
    )
    assert execute(make, "another")[0]["tables"]["w.r"]["inserted"] == 2


def test_hiccups_of_cloudwatch_and_ecs_cost_nothing(execute, standin):
    ecs_world.fault("server_error", operation="GetLogEvents", times=3)
    ecs_world.fault("throttle", operation="DescribeTasks", times=3)
    assert execute(athlete("1"))[0]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("kind", "retried"),
    [("capacity", True), ("capacity_at_start", True), ("image_pull", True), ("missing_secret", False)],
)
def test_what_does_not_start_is_told_with_ecs_s_own_reason(execute, standin, kind, retried):
    ecs_world.fault(kind)
    reason = "Capacity|CannotPull|invalid ssm parameters"
    with pytest.raises(Exception, match=reason) as failure:
        execute(athlete("1"))
    assert isinstance(failure.value, AirflowFailException) is not retried


def test_a_task_that_runs_already_is_taken_over(execute, standin):
    standin.plan("1", "0 hang")
    first = start(standin)

    def go_once_taken_over() -> None:
        ecs_world.await_asked(first)
        standin.go("1")

    watch = threading.Thread(target=go_once_taken_over)
    watch.start()
    closing, _ = execute(athlete("1"))
    watch.join()
    assert closing["number"] == 1
    assert len(standin.runs("1")) == 1
    assert ecs_world.stopped({"taskArn": first})["containers"][0]["exitCode"] == 0


def test_a_task_that_has_ended_well_meanwhile_is_adopted_and_a_failed_one_is_not(execute, standin):
    standin.plan("1", "1", "0")
    ecs_world.stopped({"taskArn": start(standin)})
    assert execute(athlete("1"))[0]["number"] == 2, "the failed task was taken for the work"
    assert execute(athlete("1"))[0]["number"] == 2, "the work was done again"
    assert len(standin.runs("1")) == 2


def start(standin) -> str:
    """Starts the task of this test's run and leaves it, as a worker that dies does."""
    operator = StravaToS3Operator(task_id="t", athlete_id="1", aws_conn_id=None)
    ti = TaskInstance(f"run-{standin.folder.name}")
    operator._configure({"ti": ti, "run_id": ti.run_id, "dag_run": DagRun()})
    operator._try_reattach_task(operator._owner)
    operator._start_task()
    standin.pid("1")
    return operator.arn


@pytest.mark.parametrize(("state", "stops"), [("failed", True), (None, True), ("deferred", False)])
def test_a_cancelled_trigger_stops_the_task_unless_it_is_still_wanted(standin, monkeypatch, state, stops):
    standin.plan("1", "0 hang")
    arn = start(standin)

    async def cancel() -> None:
        trigger = make_trigger(arn)

        async def answer():
            return state

        monkeypatch.setattr(trigger, "_state", answer)
        waiting = asyncio.create_task(first_event(trigger))
        await asyncio.to_thread(ecs_world.await_asked, arn)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancel())
    if stops:
        done = ecs_world.stopped({"taskArn": arn})
        assert done["stopCode"] == "UserInitiated"
        assert standin.ends("1") == ["stopped"]
    else:
        standin.go("1")
        assert ecs_world.stopped({"taskArn": arn})["stopCode"] == "EssentialContainerExited"
        assert standin.ends("1") == ["ended"]


def test_a_trigger_that_is_cancelled_again_and_again_still_stops_the_task(standin, monkeypatch):
    """As the triggerer does it: once a second, until the trigger is gone."""
    standin.plan("1", "0 hang")
    arn = start(standin)

    async def cancel() -> None:
        trigger = make_trigger(arn)
        asked = asyncio.Event()

        async def answer():
            asked.set()
            await asyncio.sleep(0.2)
            return "failed"

        monkeypatch.setattr(trigger, "_state", answer)
        waiting = asyncio.create_task(first_event(trigger))
        await asyncio.to_thread(ecs_world.await_asked, arn)
        waiting.cancel()
        await asked.wait()
        while not waiting.done():
            waiting.cancel()
            await asyncio.sleep(0.01)

    asyncio.run(cancel())
    assert ecs_world.stopped({"taskArn": arn})["stopCode"] == "UserInitiated"


def make_trigger(arn: str) -> EcsTaskTrigger:
    return EcsTaskTrigger(
        container="strava-extract", cluster=ecs_world.CLUSTER, task_arn=arn, waiter_delay=1, waiter_max_attempts=100,
        aws_conn_id=None, region=None, log_group="/data-voyager/strava-extract",
        log_stream=f"strava-extract/strava-extract/{arn.rsplit('/', 1)[1]}",
    )  # fmt: skip


def test_a_signal_during_run_task_still_stops_the_task(standin):
    standin.plan("1", "0 hang")
    operator = StravaToS3Operator(task_id="t", athlete_id="1", aws_conn_id=None)
    ti = TaskInstance(f"kill-{standin.folder.name}")
    operator._configure({"ti": ti, "run_id": ti.run_id, "dag_run": DagRun()})
    operator.on_kill()  # before there is a task
    operator._start_task()
    assert ecs_world.stopped({"taskArn": operator.arn})["stoppedReason"] == "Task killed by the user"


def test_the_failure_callback_publishes_to_sns(monkeypatch):
    import boto3

    from data_voyager import failure

    topic = boto3.client("sns").create_topic(Name="alerts")["TopicArn"]
    queue = boto3.client("sqs").create_queue(QueueName="alerts")["QueueUrl"]
    attributes = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["QueueArn"])
    monkeypatch.setenv("AIRFLOW__DATA_VOYAGER__ALERTS_TOPIC", topic)
    operator = DbtOperator(task_id="t")
    operator.closing = {"task": "dbt", "status": "failed"}
    ti = TaskInstance("run-9")
    ti.log_url = "http://127.0.0.1/log"
    failure.tell({"task": operator, "ti": ti, "run_id": "run-9", "exception": "exit 1"})
    (message,) = boto3.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    for part in ("d.t failed in run run-9: exit 1", "http://127.0.0.1/log", "failed"):
        assert part in message["Body"]
