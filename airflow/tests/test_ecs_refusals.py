"""What devstack's ECS refuses as AWS does, and what goes wrong on demand."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError

import ecs_world as world
from ecs_world import CLUSTER, ecs, logs, network, register, run, stopped

pytestmark = pytest.mark.needs_ecs


def refusal(call, **request) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as refused:
        call(**request)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("capacity_at_start", "Capacity is unavailable at this time"),
        ("image_pull", "CannotPullContainerError"),
        ("missing_secret", "invalid ssm parameters"),
    ],
)
def test_a_start_fails_on_demand_and_the_next_is_right(kind, reason):
    definition = register("exit 0")
    world.fault(kind, family="script")
    done = stopped(run(definition))
    assert done["stopCode"] == "TaskFailedToStart"
    assert reason in done["stoppedReason"]
    assert stopped(run(definition))["containers"][0]["exitCode"] == 0


def test_no_capacity_is_a_failure_without_a_task():
    definition = register("exit 0")
    world.fault("capacity")
    answer = ecs().run_task(
        cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=network()
    )
    assert answer["tasks"] == []
    assert "Capacity is unavailable" in answer["failures"][0]["reason"]


def test_a_slow_start_can_be_stopped():
    world.fault("slow_start", seconds=3600)
    task = run(register("exit 0"))
    ecs().stop_task(cluster=CLUSTER, task=task["taskArn"])
    done = stopped(task)  # long before the start would have come
    assert done["stopCode"] == "UserInitiated"
    assert "startedAt" not in done


def test_throttling_is_retried_by_the_client_and_seen_by_one_that_does_not():
    task = run(register("exit 0"))
    world.fault("throttle", operation="DescribeTasks", times=2)
    stopped(task)
    impatient = boto3.client("ecs", config=boto3.session.Config(retries={"total_max_attempts": 1}))
    world.fault("throttle", operation="ListTasks")
    code, _, status = refusal(impatient.list_tasks, cluster=CLUSTER)
    assert (code, status) == ("ThrottlingException", 400)
    world.fault("server_error", operation="DescribeClusters")
    assert refusal(impatient.describe_clusters)[2] == 500


WRONG = [
    ({"cluster": "other"}, "ClusterNotFoundException"),
    ({"taskDefinition": "unknown"}, "ClientException"),
    ({"taskDefinition": "script:999"}, "ClientException"),
    ({"networkConfiguration": {}}, "InvalidParameterException"),
    ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": []}}}, "InvalidParameterException"),
    ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["vpc-1"]}}}, "InvalidParameterException"),
    ({"launchType": "EC2"}, "InvalidParameterException"),
    ({"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, "InvalidParameterException"),
    ({"count": 11}, "InvalidParameterException"),
    ({"startedBy": "x" * 129}, "InvalidParameterException"),
    ({"platformVersion": "9.9"}, "PlatformUnknownException"),
    ({"overrides": {"containerOverrides": [{"name": "other"}]}}, "InvalidParameterException"),
    ({"overrides": {"containerOverrides": [{"name": "main", "command": ["x" * 9000]}]}}, "InvalidParameterException"),
    ({"overrides": {"cpu": "256", "memory": "9999"}}, "ClientException"),
]


@pytest.mark.parametrize(("change", "code"), WRONG, ids=lambda value: value if isinstance(value, str) else None)
def test_a_wrong_request_is_refused_as_aws_does(change, code):
    right = {"cluster": CLUSTER, "taskDefinition": register("exit 0"), "launchType": "FARGATE",
             "networkConfiguration": network()}  # fmt: skip
    refused, message, status = refusal(ecs().run_task, **right | change)
    assert (refused, status) == (code, 400)
    assert message


def test_a_field_of_another_type_is_a_serialization_exception():
    unchecked = boto3.client("ecs", config=boto3.session.Config(parameter_validation=False))
    assert refusal(unchecked.describe_tasks, cluster=7, tasks=["one"])[0] == "SerializationException"
    assert refusal(unchecked.run_task, cluster=CLUSTER, taskDefinition=7)[0] == "SerializationException"


def test_other_calls_refuse_what_aws_refuses():
    assert refusal(ecs().describe_tasks, cluster=CLUSTER, tasks=[])[0] == "InvalidParameterException"
    assert refusal(ecs().stop_task, cluster=CLUSTER, task="0" * 32)[0] == "InvalidParameterException"
    assert refusal(ecs().list_tasks, cluster=CLUSTER, desiredStatus="DONE")[0] == "InvalidParameterException"
    assert refusal(ecs().describe_task_definition, taskDefinition="none")[0] == "ClientException"
    assert refusal(ecs().list_services, cluster=CLUSTER)[0] == "UnknownOperationException"
    absent = {"logGroupName": "/none", "logStreamName": "x"}
    assert refusal(logs().get_log_events, **absent)[0] == "ResourceNotFoundException"
    assert refusal(logs().get_log_events, **absent | {"logGroupName": "/script"})[0] == "ResourceNotFoundException"
    missing = ecs().describe_tasks(cluster=CLUSTER, tasks=["0" * 32])
    assert missing["tasks"] == []
    assert missing["failures"][0]["reason"] == "MISSING"


@pytest.mark.parametrize(
    "change",
    [
        {"stopTimeout": 121},
        {"secrets": [{"name": "A", "valueFrom": "/a"}], "environment": [{"name": "A", "value": "1"}]},
        {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/x"}}},
    ],
)
def test_a_wrong_definition_is_refused(change):
    assert refusal(register, script="exit 0", **change)[0] == "ClientException"


def test_the_same_client_token_starts_one_task():
    request = {"cluster": CLUSTER, "taskDefinition": register("sleep 1"), "launchType": "FARGATE",
               "networkConfiguration": network(), "clientToken": "the-token"}  # fmt: skip
    first, second = (ecs().run_task(**request)["tasks"][0]["taskArn"] for _ in range(2))
    assert first == second
    assert refusal(ecs().run_task, **request | {"count": 2})[0] == "ConflictException"
