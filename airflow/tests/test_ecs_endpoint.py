"""devstack's ECS and CloudWatch Logs, driven by boto3 and aiobotocore as by Airflow's provider."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from datetime import datetime
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

import ecs_world as world
from ecs_world import CLUSTER, ecs, lines, logs, network, register, run, stopped, wait_for

pytestmark = pytest.mark.needs_ecs
OVERHEAD_SECONDS = 0.05


@pytest.fixture(autouse=True)
def _world():
    world.require()
    world.no_faults()


def refusal(call, **request) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as refused:
        call(**request)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_task_goes_its_whole_way():
    task = run(register("sleep 0.3; echo hello; exit 3"), startedBy="me", tags=[{"key": "a", "value": "b"}])
    assert task["lastStatus"] == "PROVISIONING"
    assert task["desiredStatus"] == "RUNNING"
    assert wait_for(task, "RUNNING")["startedAt"]
    done = stopped(task)
    (container,) = done["containers"]
    assert container["exitCode"] == 3
    assert container["lastStatus"] == "STOPPED"
    assert done["stopCode"] == "EssentialContainerExited"
    assert done["stoppedReason"] == "Essential container in task exited"
    assert done["createdAt"] <= done["pullStartedAt"] <= done["startedAt"] <= done["stoppedAt"]
    assert lines(task) == ["hello"]


def test_the_provider_s_waiter_sees_the_end():
    task = run(register("exit 0"))
    ecs().get_waiter("tasks_stopped").wait(
        cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )


def test_overrides_replace_the_command_and_lie_over_the_environment():
    definition = register("exit 9", environment=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}])
    override = {"name": "main", "command": ["-c", 'echo "$A $B $C"'],
                "environment": [{"name": "B", "value": "2"}, {"name": "C", "value": "3"}]}  # fmt: skip
    task = run(definition, overrides={"containerOverrides": [override]})
    assert stopped(task)["containers"][0]["exitCode"] == 0
    assert lines(task) == ["1 2 3"]
    assert task["overrides"]["containerOverrides"] == [override]


def test_a_task_sees_what_its_definition_gives_and_what_an_agent_adds_and_nothing_else():
    task = run(register("cat /proc/$$/environ | tr '\\0' '\\n'", environment=[{"name": "OWN", "value": "x"}]))
    stopped(task)
    names = {line.split("=", 1)[0] for line in lines(task)}
    agent = {"AWS_EXECUTION_ENV", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
             "AWS_ENDPOINT_URL"}  # fmt: skip
    assert names == {"OWN", "PATH", "HOME"} | agent


def test_a_secret_comes_from_ssm_and_a_missing_one_is_named():
    ssm = boto3.client("ssm")
    ssm.put_parameter(Name="/t/present", Value="s3cret value", Type="SecureString", Overwrite=True)
    arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/t/"
    secrets = [{"name": "A", "valueFrom": f"{arn}present"}, {"name": "B", "valueFrom": "/t/present"}]
    task = run(register('echo "$A|$B"', secrets=secrets))
    stopped(task)
    assert lines(task) == ["s3cret value|s3cret value"]
    task = stopped(run(register("echo no", secrets=[*secrets, {"name": "C", "valueFrom": f"{arn}absent"}])))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "invalid ssm parameters: /t/absent" in task["stoppedReason"]
    assert "exitCode" not in task["containers"][0]


def test_stop_task_is_sigterm_first_and_sigkill_after_the_stop_timeout():
    polite = run(register("trap 'echo bye; exit 143' TERM; while :; do sleep 0.05; done"))
    deaf = run(register("trap '' TERM; while :; do sleep 0.05; done"))
    for task in (polite, deaf):
        wait_for(task, "RUNNING")
        answer = ecs().stop_task(cluster=CLUSTER, task=task["taskArn"], reason="by a test")["task"]
        assert answer["desiredStatus"] == "STOPPED"
    started = time.monotonic()
    done = stopped(polite)
    assert (done["containers"][0]["exitCode"], done["stopCode"], done["stoppedReason"]) == (
        143,
        "UserInitiated",
        "by a test",
    )
    assert lines(polite) == ["bye"]
    assert stopped(deaf)["containers"][0]["exitCode"] == 137
    assert 1.5 < time.monotonic() - started < 4


def test_what_a_program_leaves_behind_ends_with_it():
    task = run(register("sleep 600 & echo $!"))
    stopped(task)
    (pid,) = lines(task)
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or state.read_text().rsplit(") ", 1)[1][0] == "Z"


def test_too_much_memory_is_137_with_its_reason():
    hog = "a=x; while :; do a=$a$a; done"
    done = stopped(run(register(hog)))
    assert done["containers"][0]["exitCode"] == 137
    assert done["containers"][0]["reason"] == "OutOfMemoryError: Container killed due to memory usage"


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
    world.fault("slow_start", seconds=60)
    task = run(register("exit 0"))
    ecs().stop_task(cluster=CLUSTER, task=task["taskArn"])
    done = stopped(task, 5)
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


def test_the_platform_s_own_definitions_stand_as_terraform_makes_them(tasks):
    for name, entry in tasks.items():
        definition = ecs().describe_task_definition(taskDefinition=f"data-voyager-{name}:1")["taskDefinition"]
        (container,) = definition["containerDefinitions"]
        assert (definition["cpu"], definition["memory"]) == (str(entry["cpu"]), str(entry["memory"]))
        assert container["name"] == name
        assert container["command"] == entry["command"]
        assert {s["name"] for s in container["secrets"]} == set(entry["secrets"])
        assert container["logConfiguration"]["options"]["awslogs-group"] == f"/data-voyager/{name}"
    (cluster,) = ecs().describe_clusters(clusters=[CLUSTER])["clusters"]
    assert cluster["status"] == "ACTIVE"


def test_200_tasks_started_at_once_end_right():
    definition = register('echo "task $N"; exit $((N % 7))')
    tasks = {}
    for number in range(200):
        override = {"name": "main", "environment": [{"name": "N", "value": str(number)}]}
        tasks[run(definition, overrides={"containerOverrides": [override]})["taskArn"]] = number
    arns = list(tasks)
    for first in (0, 100):
        ecs().get_waiter("tasks_stopped").wait(
            cluster=CLUSTER, tasks=arns[first : first + 100], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        for done in ecs().describe_tasks(cluster=CLUSTER, tasks=arns[first : first + 100])["tasks"]:
            number = tasks[done["taskArn"]]
            assert done["containers"][0]["exitCode"] == number % 7
            assert lines(done) == [f"task {number}"]


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
                cluster=CLUSTER, tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
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
    import json as decoder

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
        fields += conforms(decoder.loads(response["body"]), operation.output_shape, operation.name)
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


def test_the_endpoint_adds_little_to_a_task():
    """From RunTask's answer to the first line, and from exit to STOPPED; a process alone takes its time too."""
    definition = register("date +%s.%N")
    before, after = [], []
    client = ecs()
    for _ in range(30):
        asked = time.time()
        task = run(definition)
        while True:
            (now,) = client.describe_tasks(cluster=CLUSTER, tasks=[task["taskArn"]])["tasks"]
            if now["lastStatus"] == "STOPPED":
                break
            time.sleep(0.005)
        first = float(lines(task)[0])
        before.append(first - asked)
        after.append(now["stoppedAt"].timestamp() - first)
    p50 = statistics.median
    print(f"p50: RunTask to first line {p50(before) * 1e3:.0f} ms, first line to STOPPED {p50(after) * 1e3:.0f} ms")
    assert p50(before) <= OVERHEAD_SECONDS
    assert p50(after) <= OVERHEAD_SECONDS
    assert isinstance(now["stoppedAt"], datetime)


def test_calls_are_remembered_with_their_caller():
    register("exit 0")
    last = world.calls()[-1]
    assert last["operation"] == "RegisterTaskDefinition"
    assert last["caller"] == os.environ["AWS_ACCESS_KEY_ID"]
