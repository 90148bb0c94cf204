"""Runs one task of the platform on Fargate and brings back its closing line."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.exceptions import AirflowException
from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.triggers.ecs import TaskDoneTrigger
from airflow.providers.amazon.aws.utils import validate_execute_complete_event
from airflow.providers.amazon.aws.utils.identifiers import generate_uuid

from data_voyager import outcome, task_log
from data_voyager.settings import Settings
from data_voyager.trigger import EcsTaskTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class EcsTaskOperator(EcsRunTaskOperator):
    """The ground of all our operators: a subclass names its task and builds its command.

    XCom is the closing line as a dict. Exit 2 fails without a retry. Synchronous, or deferrable by the
    argument or Airflow's option `[operators] default_deferrable`; a kill stops the ECS task in both.
    """

    task_name: ClassVar[str]  # key in iac/tasks.json, and so container, log stream and end of the family's name

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("botocore_config", {"retries": {"mode": "standard", "max_attempts": 10}})
        super().__init__(
            task_definition="",  # these three come from the options when the task runs
            cluster="",
            overrides={},
            launch_type="FARGATE",
            container_name=self.task_name,
            awslogs_stream_prefix=self.task_name,
            propagate_tags="TASK_DEFINITION",
            reattach=True,
            **kwargs,
        )
        self.closing: dict[str, Any] | None = None
        self._killed = False

    def command(self) -> list[str]:
        """Arguments of the program, as a list; they replace the definition's command whole."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Variables beside the definition's own."""
        return {}

    def execute(self, context: Context) -> dict[str, Any] | None:
        self._configure(context)
        super().execute(context)
        return self._told(context)

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, try_number: int | None = None
    ) -> dict[str, Any] | None:
        if try_number != context["ti"].try_number:
            # Airflow 3.0 resumes a retry where the failed try was resumed, with that one's event.
            return self.execute(context)
        self._configure(context)
        event = validate_execute_complete_event(event)
        if event["status"] != "success":
            raise AirflowException(f"waiting for {self.task_name} failed: {event}")
        self.arn = event["task_arn"]
        self._after_execution()
        return self._told(context)

    def defer(self, *, trigger: Any, method_name: str, kwargs: Any = None, timeout: Any = None) -> NoReturn:
        """Defers to our own trigger, and no longer than `execution_timeout`, which Airflow forgets here."""
        if isinstance(trigger, TaskDoneTrigger):
            trigger = EcsTaskTrigger(container=self.task_name, **trigger.serialize()[1])
        super().defer(
            trigger=trigger,
            method_name=method_name,
            kwargs={**(kwargs or {}), "try_number": self._try_number},
            timeout=self.execution_timeout or timeout,
        )

    def on_kill(self) -> None:
        self._killed = True
        super().on_kill()

    def _configure(self, context: Context) -> None:
        settings = Settings.read()
        self.cluster = settings.cluster
        self.task_definition = f"{settings.log_prefix}-{self.task_name}"
        self.network_configuration = settings.network_configuration()
        self.awslogs_group = f"/{settings.log_prefix}/{self.task_name}"
        self.awslogs_fetch_interval = timedelta(seconds=settings.poll_seconds)
        self.waiter_delay = settings.poll_seconds
        variables = {"RUN_ID": context["run_id"], **self.environment()}
        self.overrides = {
            "containerOverrides": [
                {
                    "name": self.task_name,
                    "command": self.command(),
                    "environment": [{"name": name, "value": value} for name, value in variables.items()],
                }
            ]
        }
        # Who started it: the same for every retry; another one once a person clears the task (`max_tries`
        # grows), deletes the run and starts it anew, or runs the DAG in a second Airflow (`start_date`).
        ti = context["ti"]
        self._try_number = ti.try_number
        started = context["dag_run"].start_date
        parts = [ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.max_tries, started]
        self._owner = generate_uuid(*map(str, parts))

    def _start_task(self) -> None:
        super()._start_task()
        if self._killed:  # the signal came while RunTask was under way
            self.on_kill()

    def _try_reattach_task(self, started_by: str) -> None:
        """Takes over what an earlier try left: a running task, or one that ended well meanwhile."""
        self._started_by = started_by = self._owner
        super()._try_reattach_task(started_by)
        if self.arn:
            return
        stopped = self.client.list_tasks(cluster=self.cluster, desiredStatus="STOPPED", startedBy=started_by)
        for task in self._describe(stopped["taskArns"]) if stopped["taskArns"] else []:
            if outcome.exit_code(task, self.task_name) == 0:
                self.arn = task["taskArn"]
                self.log.info("an earlier try's task has done the work meanwhile: %s", self.arn)
                return

    def _get_task_log_fetcher(self) -> task_log.TaskLog:
        return task_log.TaskLog(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            log_group=self.awslogs_group,
            log_stream_name=self._get_logs_stream_name(),
            fetch_interval=self.awslogs_fetch_interval,
            logger=self.log,
        )

    def _after_execution(self) -> None:
        """Judges the stopped task; the parent calls this in both modes once it is STOPPED."""
        tasks = self._describe([self.arn])
        if not tasks:
            raise AirflowException(f"ECS does not know task {self.arn} any more")
        if outcome.exit_code(tasks[0], self.task_name) in outcome.CLOSES_ITSELF:
            self.closing = self._await_closing_line()
        outcome.judge(tasks[0], self.task_name, self.closing)

    def _describe(self, arns: list[str]) -> list[dict[str, Any]]:
        return self.client.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"]

    def _await_closing_line(self) -> dict[str, Any] | None:
        logs = AwsLogsHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name).conn
        deadline = time.monotonic() + task_log.CLOSING_LINE_WAIT_SECONDS
        while True:
            try:
                events = logs.get_log_events(
                    logGroupName=self.awslogs_group,
                    logStreamName=self._get_logs_stream_name(),
                    startFromHead=False,
                    limit=task_log.CLOSING_LINE_AMONG_LAST,
                )["events"]
            except logs.exceptions.ResourceNotFoundException:
                events = []
            closing = task_log.closing_line(event["message"] for event in events)
            if self.task_log_fetcher:
                self.task_log_fetcher.forward()  # what came after the fetcher was stopped
            if closing or time.monotonic() > deadline:
                return closing
            time.sleep(1)

    def _told(self, context: Context) -> dict[str, Any] | None:
        """What a person should know of a task that did its work."""
        if self.closing is None:
            self.log.warning("%s ended well without a closing line; XCom is empty", self.task_name)
        elif self.closing.get("complete") is False:
            note = f"not complete; the next run goes on, best after {self.closing.get('resume_at')}"
            self.log.warning("%s: %s", self.task_name, note)
            context["ti"].xcom_push(key="note", value=note)
        return self.closing
