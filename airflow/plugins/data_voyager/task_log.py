"""What a task wrote to CloudWatch: its lines with their own levels, and its closing line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook
from airflow.providers.amazon.aws.utils.task_log_fetcher import AwsTaskLogFetcher
from botocore.exceptions import BotoCoreError, ClientError

CLOSING_LINE_WAIT_SECONDS = 30  # CloudWatch may show the last lines that much after the task's end
CLOSING_LINE_AMONG_LAST = 50

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
# What stands in a JSON line beside the message and says nothing to a reader of this one task's log.
_QUIET = {"timestamp", "ts", "level", "message", "fields", "target", "task", "run_id", "span", "spans"}


def read_line(line: str) -> tuple[int, str]:
    """A line's level and its words: JSON as the Rust tasks and dbt write it, anything else as it stands."""
    record = _object(line)
    if record is None:
        return logging.INFO, line.rstrip()
    inner = record.get("fields") or record.get("info") or {}
    inner = inner if isinstance(inner, dict) else {}
    level = _LEVELS.get(str(record.get("level") or inner.get("level") or "").lower())
    message = record.get("message") or inner.get("message") or inner.get("msg")
    if level is None or message is None:
        return level or logging.INFO, line.rstrip()
    details = {**{k: v for k, v in record.items() if k not in _QUIET}, **record.get("fields", {})}
    if "info" in details:  # dbt repeats in `data` what the message says
        details = {}
    told = " ".join(f"{k}={_plain(v)}" for k, v in details.items() if k != "message")
    return level, f"{message} {told}".rstrip()


def closing_line(lines: Iterable[str]) -> dict[str, Any] | None:
    """The newest line that is a task's closing line (INTERFACES: it has `task` and `status`)."""
    found = None
    for line in lines:
        record = _object(line)
        if record is not None and "task" in record and "status" in record:
            found = record
    return found


def show(logger: logging.Logger, event: dict[str, Any]) -> None:
    """Writes one CloudWatch event to Airflow's log, at its own level and with its own time."""
    level, text = read_line(event["message"])
    at = datetime.fromtimestamp(event["timestamp"] / 1000, tz=UTC)
    logger.log(level, "[%s] %s", at.strftime("%H:%M:%S.%f")[:-3], text)


class TaskLog(AwsTaskLogFetcher):
    """Follows a task's log stream from its own thread; the provider's shows every line as INFO."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.daemon = True  # a killed worker must not wait for it
        self._token = AwsLogsHook.ContinuationToken()

    def run(self) -> None:
        while not self._event.wait(self.fetch_interval.total_seconds()):
            self.forward()
        self.forward()

    def forward(self) -> None:
        """Shows what is new. CloudWatch's hiccups are told and cost nothing: the token stays."""
        try:
            for event in self.hook.get_log_events(self.log_group, self.log_stream_name, continuation_token=self._token):
                show(self.logger, event)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":  # no line yet
                self.logger.warning("could not read the task's log, trying again: %s", error)
        except BotoCoreError as error:
            self.logger.warning("could not read the task's log, trying again: %s", error)


def _object(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
