"""Runs the workflow in moto's interpreter of the Amazon States Language, with an ECS whose exit codes a test plans.

moto takes every ECS task that ends for a success. Step Functions does not: a container that ends with another code than
0 fails the state as States.TaskFailed, with the task as ECS describes it for a cause. That is added here,
and the names' first letters, which moto leaves as they are.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict

import boto3
from botocore.validate import validate_parameters
from moto import mock_aws
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_ecs as service
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_factory as factory
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.backend import execution_worker

ROLE = "arn:aws:iam::123456789012:role/any"
DEADLINE_SECONDS = 60


class PlannedEcs:
    """Ends each task with the next exit code planned for it, 0 where none is; keeps what it was asked."""

    def __init__(self, plan: dict[str, list[int]]) -> None:
        self.plan = {key: list(codes) for key, codes in plan.items()}
        self.runs: list[dict] = []
        self._tasks: dict[str, dict] = {}
        self._shape = (
            boto3.client("ecs", region_name="eu-central-1").meta.service_model.operation_model("RunTask").input_shape
        )

    def run_task(self, **request) -> dict:
        validate_parameters(request, self._shape)
        self.runs.append(request)
        (override,) = request["overrides"]["containerOverrides"]
        codes = self.plan.get(self.key(override), [])
        arn = f"arn:aws:ecs:eu-central-1:123456789012:task/any/{len(self.runs)}"
        self._tasks[arn] = {
            "taskArn": arn,
            "clusterArn": request["cluster"],
            "lastStatus": "STOPPED",
            "containers": [{"name": override["name"], "exitCode": codes.pop(0) if codes else 0}],
        }
        return {"tasks": [dict(self._tasks[arn])], "failures": []}

    def describe_tasks(self, tasks: list[str], **_) -> dict:
        return {"tasks": [json.loads(json.dumps(self._tasks[arn])) for arn in tasks]}

    @staticmethod
    def key(override: dict) -> str:
        """`dbt build` or `strava-extract 17`: what a plan names."""
        variables = {it["name"]: it["value"] for it in override["environment"]}
        return " ".join(
            [override["name"], *override.get("command", []), variables.get("STRAVA_ATHLETE_ID", "")]
        ).strip()

    def order(self) -> list[str]:
        return [self.key(it["overrides"]["containerOverrides"][0]) for it in self.runs]


def renamed(value, first):
    """Step Functions writes the API's names with a capital letter, in what it sends and in what it gives back."""
    if isinstance(value, dict):
        return {first(name[0]) + name[1:]: renamed(it, first) for name, it in value.items()}
    return [renamed(it, first) for it in value] if isinstance(value, list) else value


def judging(ecs: PlannedEcs) -> type:
    """moto's service with that ECS, and with Step Functions' judgement of the exit code."""

    class JudgingEcs(service.StateTaskServiceEcs):
        def _eval_service_task(self, env, resource_runtime_part, normalised_parameters, state_credentials):
            env.stack.append(ecs.run_task(**renamed(normalised_parameters, str.lower))["tasks"][0])

        def _build_sync_resolver(self, env, resource_runtime_part, normalised_parameters, state_credentials):
            arn = env.stack.pop()["taskArn"]

            def judged():
                task = renamed(ecs.describe_tasks([arn])["tasks"][0], str.upper)
                if all(it["ExitCode"] == 0 for it in task["Containers"]):
                    return task
                details = TaskFailedEventDetails(
                    resource=self._get_sfn_resource(),
                    resourceType=self._get_sfn_resource_type(),
                    error=StatesErrorNameType.StatesTaskFailed.to_name(),
                    cause=json.dumps(task, separators=(",", ":")),
                )
                failed = StatesErrorName(typ=StatesErrorNameType.StatesTaskFailed)
                event = EventDetails(taskFailedEventDetails=details)
                raise FailureEventException(FailureEvent(env, failed, HistoryEventType.TaskFailed, event))

            return judged

    return JudgingEcs


def run(definition: str, plan: dict[str, list[int]], monkeypatch) -> tuple[dict, PlannedEcs]:
    """How the execution ended, and the ECS that it used. Waits of the definition are cut to nothing."""

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    ecs = PlannedEcs(plan)
    monkeypatch.setattr(factory, "StateTaskServiceEcs", judging(ecs))
    # Its context object holds a datetime where AWS has text, on which States.Format fails.
    monkeypatch.setattr(execution_worker, "ExecutionData", in_text)
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        states = boto3.client("stepfunctions")
        machine = states.create_state_machine(name="it", definition=hurried(definition), roleArn=ROLE)
        execution = states.start_execution(stateMachineArn=machine["stateMachineArn"], input="{}")
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (now := states.describe_execution(executionArn=execution["executionArn"]))["status"] == "RUNNING":
            assert time.monotonic() < deadline, f"still running after {DEADLINE_SECONDS} s: {ecs.order()}"
            time.sleep(0.05)
    return now, ecs


def in_text(**context) -> dict:
    return context | {"StartTime": context["StartTime"].strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"}


def hurried(definition: str) -> str:
    def cut(value):
        if isinstance(value, dict):
            if value.get("Type") == "Wait":
                assert value["Seconds"] > 0, "a retry at once helps nobody"
                return value | {"Seconds": 0}
            return {name: cut(it) for name, it in value.items()}
        return [cut(it) for it in value] if isinstance(value, list) else value

    return json.dumps(cut(json.loads(definition)))


def counts(order: list[str]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for key in order:
        found[key] += 1
    return dict(found)
