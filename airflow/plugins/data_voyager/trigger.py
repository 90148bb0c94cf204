"""Waits for an ECS task in the triggerer, and stops it when the waiting Airflow task is killed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from airflow.providers.amazon.aws.hooks.ecs import EcsHook
from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.triggers.ecs import TaskDoneTrigger
from airflow.triggers.base import TriggerEvent
from asgiref.sync import sync_to_async
from botocore.exceptions import BotoCoreError, ClientError

from data_voyager import outcome, task_log

PATIENCE = 20  # polls in a row that may fail before the wait is given up
STATE_QUESTION_SECONDS = 10
# Airflow 3.0's scheduler takes a task that is resumed before it has looked at the executor for a lost one, and
# retries it: a wait that is over at once ends no sooner than this.
SHORTEST_WAIT_SECONDS = 5


class EcsTaskTrigger(TaskDoneTrigger):
    """The provider's trigger, mended: levels, late lines, CloudWatch's hiccups, and a kill that reaches ECS."""

    def __init__(self, *, container: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.container = container
        self._closed = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path, kwargs = super().serialize()
        return path, {**kwargs, "container": self.container}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        started = time.monotonic()
        try:
            await self._wait()
            await asyncio.sleep(max(0.0, SHORTEST_WAIT_SECONDS - (time.monotonic() - started)))
        except asyncio.CancelledError:
            await to_its_end(self._stop_if_killed())
            raise
        yield TriggerEvent({"status": "success", "task_arn": self.task_arn, "cluster": self.cluster})

    async def _wait(self) -> None:
        async with (
            await self._ecs().get_async_conn() as ecs,
            await AwsLogsHook(aws_conn_id=self.aws_conn_id, region_name=self.region).get_async_conn() as logs,
        ):
            token, failed = None, 0
            while True:
                try:
                    answer = await ecs.describe_tasks(cluster=self.cluster, tasks=[self.task_arn])
                    failed = 0
                except (BotoCoreError, ClientError, OSError) as error:
                    answer, failed = {}, failed + 1
                    if failed > PATIENCE:
                        raise
                    self.log.warning("could not ask for the task's state, trying again: %s", error)
                token = await self._forward_logs(logs, token)
                if answer.get("failures"):
                    return  # ECS forgot it; the resumed operator says so
                task = next(iter(answer.get("tasks", [])), {})
                if task.get("lastStatus") == "STOPPED":
                    break
                await asyncio.sleep(int(self.waiter_delay))
            if outcome.exit_code(task, self.container) in outcome.CLOSES_ITSELF:
                await self._await_late_lines(logs, token)

    async def _await_late_lines(self, logs: Any, token: str | None) -> None:
        deadline = time.monotonic() + task_log.CLOSING_LINE_WAIT_SECONDS
        while not self._closed and time.monotonic() < deadline:
            await asyncio.sleep(1)
            token = await self._forward_logs(logs, token)

    async def _forward_logs(self, logs_client: Any, next_token: str | None = None) -> str | None:
        """Shows what is new and returns the token to go on from."""
        while True:
            try:
                answer = await logs_client.get_log_events(
                    logGroupName=self.log_group,
                    logStreamName=self.log_stream,
                    startFromHead=True,
                    **({"nextToken": next_token} if next_token else {}),
                )
            except (BotoCoreError, ClientError, OSError) as error:
                code = getattr(error, "response", {}).get("Error", {}).get("Code")
                if code != "ResourceNotFoundException":  # that one means: no line yet
                    self.log.warning("could not read the task's log, trying again: %s", error)
                return next_token
            for event in answer["events"]:
                task_log.show(self.log, event)
                self._closed = self._closed or task_log.closing_line([event["message"]]) is not None
            if answer["nextForwardToken"] == next_token or not answer["events"]:
                return answer["nextForwardToken"]
            next_token = answer["nextForwardToken"]

    async def _stop_if_killed(self) -> None:
        """Stops the ECS task, unless it is only the triggerer that ends: then the next one waits on."""
        try:
            state = await asyncio.wait_for(self._state(), STATE_QUESTION_SECONDS)
        except Exception as error:  # whatever it was: the task may still be wanted
            self.log.warning("could not ask whether the task is still wanted, it goes on: %s", error)
            return
        if state == "deferred":
            return
        self.log.info("the Airflow task is %s: stopping ECS task %s", state or "cleared", self.task_arn)
        async with await self._ecs().get_async_conn() as ecs:
            await ecs.stop_task(
                cluster=self.cluster, task=self.task_arn, reason=f"Airflow task is {state or 'cleared'}"
            )

    async def _state(self) -> str | None:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ti = self.task_instance
        states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        name = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        return states.get(ti.run_id, {}).get(name)

    def _ecs(self) -> EcsHook:
        return EcsHook(aws_conn_id=self.aws_conn_id, region_name=self.region)


async def to_its_end(work: Coroutine) -> None:
    """Awaits it although we are cancelled again: the triggerer repeats that every second until the trigger is gone."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    task.result()
