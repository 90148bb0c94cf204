"""The operators: what they send to ECS, compared with the tasks that Terraform defines."""

import pytest
from airflow.exceptions import AirflowFailException
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator

from data_voyager.operators import DbtOperator, S3ToSupabaseOperator, StravaToS3Operator, WeatherBackfillOperator
from data_voyager.trigger import EcsTaskTrigger

OPERATORS = [StravaToS3Operator, S3ToSupabaseOperator, DbtOperator, WeatherBackfillOperator]


class TaskInstance:
    dag_id, task_id, run_id, map_index, max_tries, try_number = (
        "d",
        "t",
        "scheduled__2026-11-22T03:30:00+00:00",
        -1,
        3,
        1,
    )


class DagRun:
    def __init__(self, start_date="2026-11-22T03:30:01Z"):
        self.start_date = start_date


CONTEXT = {"run_id": TaskInstance.run_id, "ti": TaskInstance(), "dag_run": DagRun()}


def sent(operator):
    operator._configure(CONTEXT)
    (override,) = operator.overrides["containerOverrides"]
    return override["command"], {e["name"]: e["value"] for e in override["environment"]}


def test_every_task_has_one_operator_and_every_operator_its_task(tasks):
    assert sorted(operator.task_name for operator in OPERATORS) == sorted(tasks)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.__name__)
def test_an_operator_without_arguments_sends_the_command_of_its_definition(operator, tasks):
    assert sent(operator(task_id="t"))[0] == tasks[operator.task_name]["command"]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda o: o.__name__)
def test_names_follow_the_rule_that_terraform_follows(operator, tasks):
    instance = operator(task_id="t")
    instance._configure(CONTEXT)
    name = operator.task_name
    instance.arn = "arn:aws:ecs:eu-central-1:1:task/voyager/0123"
    assert isinstance(instance, EcsRunTaskOperator)
    assert instance.launch_type == "FARGATE"
    assert instance.cluster == "voyager"
    assert instance.task_definition == f"data-voyager-{name}"
    assert instance.awslogs_group == f"/data-voyager/{name}"
    assert instance._get_logs_stream_name() == f"{tasks[name]['log_prefix']}/{name}/0123"
    assert instance.network_configuration == {
        "awsvpcConfiguration": {
            "subnets": ["subnet-1", "subnet-2"],
            "securityGroups": ["sg-1"],
            "assignPublicIp": "DISABLED",
        }
    }


def test_variables_set_by_operators_are_not_also_set_by_the_definition(tasks):
    _, variables = sent(StravaToS3Operator(task_id="t", athlete_id="17"))
    assert variables == {"RUN_ID": TaskInstance.run_id, "STRAVA_ATHLETE_ID": "17"}
    assert not variables.keys() & (tasks["strava-extract"]["environment"] | tasks["strava-extract"]["secrets"]).keys()


@pytest.mark.parametrize(
    ("operator", "command"),
    [
        (StravaToS3Operator(task_id="t", streams=["activities", "gear"], max_requests=50, max_wait="20m"),
         ["api", "--streams", "activities,gear", "--max-requests", "50", "--max-wait", "20m"]),
        (S3ToSupabaseOperator(task_id="t", source="weather"), ["sync", "--source", "weather"]),
        (DbtOperator(task_id="t", arguments=["report"]), ["report"]),
        (WeatherBackfillOperator(task_id="t", max_wait="1h"), ["backfill", "--max-wait", "1h"]),
    ],
)  # fmt: skip
def test_a_command_is_a_list_of_arguments(operator, command):
    assert sent(operator)[0] == command


def test_a_retry_has_the_same_owner_and_whatever_else_begins_anew_another():
    retry, cleared = TaskInstance(), TaskInstance()
    retry.try_number, cleared.max_tries = 2, 4
    first = owner(TaskInstance(), DagRun())
    assert owner(retry, DagRun()) == first
    assert owner(cleared, DagRun()) != first
    assert owner(TaskInstance(), DagRun("2026-11-22T08:00:00Z")) != first, "a run that was deleted and started anew"


def owner(ti, dag_run):
    operator = DbtOperator(task_id="t")
    operator._configure({"run_id": ti.run_id, "ti": ti, "dag_run": dag_run})
    return operator._owner


def test_a_missing_option_fails_without_a_retry_and_is_named(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATA_VOYAGER__CLUSTER", "")
    with pytest.raises(AirflowFailException, match="AIRFLOW__DATA_VOYAGER__CLUSTER"):
        DbtOperator(task_id="t")._configure(CONTEXT)


def test_the_trigger_survives_its_way_through_the_database():
    trigger = EcsTaskTrigger(
        container="dbt", cluster="c", task_arn="a", waiter_delay=6, waiter_max_attempts=9,
        aws_conn_id=None, region=None, log_group="/g", log_stream="s",
    )  # fmt: skip
    path, kwargs = trigger.serialize()
    assert path == "data_voyager.trigger.EcsTaskTrigger"
    assert EcsTaskTrigger(**kwargs).serialize() == (path, kwargs)
