"""What the tests ask of devstack's ECS: clients, stand-in definitions, faults."""

from __future__ import annotations

import functools
import json
import os
import time
import urllib.request
from typing import Any

import boto3
import pytest

CLUSTER = os.environ.get("ECS_CLUSTER", "")
PREFIX = "data-voyager"
PATIENCE = 180  # seconds: a busy machine decides no test


def require() -> None:
    if "AWS_ENDPOINT_URL_ECS" not in os.environ:
        pytest.fail("this test needs devstack's ECS: run `make test-airflow`", pytrace=False)


@functools.cache
def ecs() -> Any:
    return boto3.client("ecs")


@functools.cache
def logs() -> Any:
    return boto3.client("logs")


def network() -> dict:
    return {
        "awsvpcConfiguration": {
            "subnets": [os.environ["ECS_SUBNETS"]],
            "securityGroups": [os.environ["ECS_SECURITY_GROUPS"]],
            "assignPublicIp": "DISABLED",
        }
    }


def register(script: str, family: str = "script", container: str = "main", **changes: Any) -> str:
    """Registers a definition whose program is a shell script; its arguments are the command's, from `$1` on."""
    definition = {
        "name": container,
        "image": "busybox",
        "essential": True,
        "command": ["-c", script, container],
        "stopTimeout": 2,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": f"/{family}",
                "awslogs-region": "eu-central-1",
                "awslogs-stream-prefix": container,
            },
        },
        **changes,
    }
    answer = ecs().register_task_definition(
        family=family,
        cpu="256",
        memory="512",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        containerDefinitions=[definition],
    )
    return answer["taskDefinition"]["taskDefinitionArn"]


def run(task_definition: str, **changes: Any) -> dict:
    """One task, as RunTask answers it."""
    request = {"launchType": "FARGATE", "networkConfiguration": network(), **changes}
    answer = ecs().run_task(cluster=CLUSTER, taskDefinition=task_definition, **request)
    assert answer["failures"] == []
    return answer["tasks"][0]


def stopped(task: dict, seconds: float = PATIENCE) -> dict:
    """The task once it is STOPPED."""
    return wait_for(task, "STOPPED", seconds)


def wait_for(task: dict, status: str, seconds: float = PATIENCE) -> dict:
    client, deadline = ecs(), time.monotonic() + seconds
    while True:
        (now,) = client.describe_tasks(cluster=CLUSTER, tasks=[task["taskArn"]])["tasks"]
        if now["lastStatus"] == status:
            return now
        assert time.monotonic() < deadline, f"still {now['lastStatus']}, not {status}"
        time.sleep(0.02)


def lines(task: dict, family: str = "script", container: str = "main") -> list[str]:
    stream = f"{container}/{container}/{task['taskArn'].rsplit('/', 1)[1]}"
    events = logs().get_log_events(logGroupName=f"/{family}", logStreamName=stream, startFromHead=True)["events"]
    return [event["message"] for event in events]


def await_line(task: dict, text: str, seconds: float = PATIENCE) -> None:
    """Waits until the task, in a definition of `register`, has said `text`."""
    wait_for(task, "RUNNING", seconds)
    deadline = time.monotonic() + seconds
    while text not in lines(task):
        assert time.monotonic() < deadline, f"the task has not said {text!r}"
        time.sleep(0.02)


def fault(kind: str, **details: Any) -> None:
    _control("faults", "POST", {"kind": kind, **details})


def no_faults() -> None:
    _control("faults", "DELETE")


def calls() -> list[dict]:
    return json.loads(_control("calls", "GET"))


def asked(task_arn: str) -> int:
    """How often the task's state was asked for: an operator or a trigger that waits asks again and again."""
    described = (call["request"]["tasks"] for call in calls() if call["operation"] == "DescribeTasks")
    return sum(task_arn in tasks for tasks in described)


def await_asked(task_arn: str, more_than: int = 0, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while asked(task_arn) <= more_than:
        assert time.monotonic() < deadline, f"nobody waits for {task_arn}"
        time.sleep(0.1)


def _control(path: str, method: str, body: dict | None = None) -> bytes:
    request = urllib.request.Request(
        f"{os.environ['DEVSTACK_ECS_CONTROL']}/{path}",
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return answer.read()
