"""What devstack's ECS and CloudWatch Logs answer to boto3 and aiobotocore, as Airflow's provider asks."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

import ecs_world as world
from ecs_world import CLUSTER, PATIENCE, ecs, lines, logs, network, register, run, stopped

pytestmark = pytest.mark.needs_ecs


def test_tasks_are_listed_by_who_started_them_and_how_they_are():
    definition = register("sleep 600")
    arns = [run(definition, startedBy=by)["taskArn"] for by in ("p", "q", "q")]
    listed = lambda **how: set(ecs().list_tasks(cluster=CLUSTER, **how)["taskArns"])  # noqa: E731
    assert listed(startedBy="q", desiredStatus="RUNNING") == set(arns[1:])
    assert listed(startedBy="q", desiredStatus="STOPPED") == set()
    ecs().stop_task(cluster=CLUSTER, task=arns[1])
    stopped({"taskArn": arns[1]})
    assert listed(startedBy="q") == {arns[2]}
    assert listed(startedBy="q", desiredStatus="STOPPED") == {arns[1]}
    pages = (
        ecs().get_paginator("list_tasks").paginate(cluster=CLUSTER, family="script", PaginationConfig={"PageSize": 1})
    )
    assert {arns[0], arns[2]} <= {arn for page in pages for arn in page["taskArns"]}
    for arn in arns:
        ecs().stop_task(cluster=CLUSTER, task=arn)


def test_log_events_come_in_order_page_by_page_and_the_token_repeats_at_the_end():
    task = run(register("i=0; while [ $i -lt 2500 ]; do echo line $i; i=$((i+1)); done"))
    stopped(task)
    stream = {"logGroupName": "/script", "logStreamName": f"main/main/{task['taskArn'].rsplit('/', 1)[1]}"}
    seen, token = [], {}
    while True:
        page = logs().get_log_events(**stream, startFromHead=True, limit=1000, **token)
        seen += [event["message"] for event in page["events"]]
        if token.get("nextToken") == page["nextForwardToken"]:
            break
        token = {"nextToken": page["nextForwardToken"]}
    assert seen == [f"line {i}" for i in range(2500)]
    last = logs().get_log_events(**stream, startFromHead=False, limit=10)
    assert [event["message"] for event in last["events"]] == seen[-10:]
    before = logs().get_log_events(**stream, nextToken=last["nextBackwardToken"], limit=10)
    assert [event["message"] for event in before["events"]] == seen[-20:-10]
    found = logs().filter_log_events(
        logGroupName="/script", logStreamNames=[stream["logStreamName"]], filterPattern='"line 24"'
    )
    assert len(found["events"]) == 1 + 10 + 100
    (described,) = logs().describe_log_streams(logGroupName="/script", logStreamNamePrefix=stream["logStreamName"])[
        "logStreams"
    ]
    assert described["firstEventTimestamp"] <= described["lastEventTimestamp"]


def test_output_of_both_streams_odd_bytes_and_long_lines_arrive():
    task = run(register("echo err >&2; printf 'a\\r\\n\\n\\377\\n'; head -c 300000 /dev/zero | tr '\\0' x; printf end"))
    stopped(task)
    got = lines(task)
    assert "err" in got
    assert "a" in got
    assert "�" in got
    assert "".join(line for line in got if line.startswith("x")).count("x") == 300_000
    assert got[-1].endswith("end")
    assert max(map(len, got)) <= 262_118


def test_aiobotocore_drives_the_calls_of_the_deferrable_operator():
    from aiobotocore.session import get_session

    async def follow() -> tuple[dict, list[str]]:
        session = get_session()
        async with session.create_client("ecs") as ecs, session.create_client("logs") as logs:
            answer = await ecs.run_task(
                cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=network()
            )
            arn = answer["tasks"][0]["taskArn"]
            await ecs.get_waiter("tasks_stopped").wait(
                cluster=CLUSTER, tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE}
            )
            task = (await ecs.describe_tasks(cluster=CLUSTER, tasks=[arn]))["tasks"][0]
            stream = f"main/main/{arn.rsplit('/', 1)[1]}"
            page = await logs.get_log_events(logGroupName="/script", logStreamName=stream, startFromHead=True)
            return task, [event["message"] for event in page["events"]]

    definition = register("echo one; echo two; exit 4")
    task, messages = asyncio.run(follow())
    assert task["containers"][0]["exitCode"] == 4
    assert messages == ["one", "two"]


def test_every_field_of_every_answer_is_one_of_the_service_model():
    """botocore's parser drops what the model does not know, so the raw answers are compared with the model."""
    seen = []
    client_ecs, client_logs = ecs(), logs()
    for client in (client_ecs, client_logs):
        client.meta.events.register(
            "before-parse", lambda response_dict, operation_model, **_: seen.append((operation_model, response_dict))
        )
    definition = register("echo x", secrets=[], environment=[{"name": "A", "value": "1"}])
    task = run(definition, tags=[{"key": "k", "value": "v"}], startedBy="model")
    stopped(task)
    arn, stream = task["taskArn"], f"main/main/{task['taskArn'].rsplit('/', 1)[1]}"
    client_ecs.run_task(
        cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE", networkConfiguration=network()
    )
    client_ecs.describe_tasks(cluster=CLUSTER, tasks=[arn, "0" * 32], include=["TAGS"])
    client_ecs.list_tasks(cluster=CLUSTER, maxResults=1)
    client_ecs.stop_task(cluster=CLUSTER, task=arn)
    client_ecs.describe_task_definition(taskDefinition=definition)
    client_ecs.describe_clusters(clusters=[CLUSTER, "other"])
    client_logs.get_log_events(logGroupName="/script", logStreamName=stream, startFromHead=True)
    client_logs.describe_log_streams(logGroupName="/script", limit=1)
    client_logs.filter_log_events(logGroupName="/script", limit=1)

    operations = set()
    fields = 0
    for operation, response in seen:
        operations.add(operation.name)
        fields += conforms(json.loads(response["body"]), operation.output_shape, operation.name)
    assert len(operations) == 10
    print(f"{fields} fields of {len(operations)} answers")


KINDS = {"string": str, "integer": int, "long": int, "boolean": bool, "timestamp": (int, float), "double": float}


def conforms(value, shape, path: str) -> int:
    """How many fields were compared; fails at the first that the model does not have or has otherwise."""
    if shape.type_name == "structure":
        assert isinstance(value, dict), path
        unknown = value.keys() - shape.members.keys()
        assert not unknown, f"{path} has no {unknown}"
        return sum(1 + conforms(v, shape.members[k], f"{path}.{k}") for k, v in value.items())
    if shape.type_name == "list":
        assert isinstance(value, list), path
        return sum(conforms(v, shape.member, f"{path}[]") for v in value)
    if shape.type_name == "map":
        return sum(1 + conforms(v, shape.value, f"{path}[{k}]") for k, v in value.items())
    assert isinstance(value, KINDS[shape.type_name]), f"{path}: {value!r} is no {shape.type_name}"
    if getattr(shape, "enum", None):
        assert value in shape.enum, f"{path}: {value!r} is none of {shape.enum}"
    return 0


def test_calls_are_remembered_with_their_caller():
    register("exit 0")
    last = world.calls()[-1]
    assert last["operation"] == "RegisterTaskDefinition"
    assert last["caller"] == os.environ["AWS_ACCESS_KEY_ID"]
