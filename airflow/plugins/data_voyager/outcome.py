"""Judges a stopped ECS task: right, worth a retry, or beyond any."""

from __future__ import annotations

import json
from typing import Any

from airflow.exceptions import AirflowException, AirflowFailException

WRONG_CONFIGURATION = 2  # the tasks' exit code for what a retry cannot mend
# Only these exits are a program's own; after any other there is no closing line to wait for.
CLOSES_ITSELF = frozenset({0, 1, WRONG_CONFIGURATION, 143})


def exit_code(task: dict[str, Any], container: str) -> int | None:
    """The exit code of our container; none where it never ran."""
    codes = (c.get("exitCode") for c in task.get("containers", []) if c.get("name") == container)
    return next(codes, None)


def judge(task: dict[str, Any], container: str, closing: dict[str, Any] | None) -> None:
    """Returns where the task did its work; raises with what happened and what to do where it did not."""
    code = exit_code(task, container)
    if code == 0:
        return
    stopped = task.get("stoppedReason") or "no reason given"
    if code is None:
        raise _never_ran(container, stopped)
    said = json.dumps(closing, separators=(",", ":")) if closing else "no closing line"
    if code == WRONG_CONFIGURATION:
        raise AirflowFailException(
            f"{container} refused to run (exit 2: wrong use, configuration or credentials; no retry helps). "
            f"Its last ERROR line above says what to do. {said}"
        )
    if code == 137:
        reason = next((c["reason"] for c in task["containers"] if c.get("reason")), stopped)
        raise AirflowException(
            f"{container} was killed (exit 137: {reason}); after OutOfMemoryError raise its memory in iac/tasks.json"
        )
    if code == 143:
        raise AirflowException(f"{container} was stopped (exit 143: {stopped}). {said}")
    raise AirflowException(f"{container} failed with exit {code}. {said}")


def _never_ran(container: str, stopped: str) -> AirflowException:
    if "invalid ssm parameters" in stopped.lower():
        return AirflowFailException(
            f"{container} did not start, a secret is missing; store it with scripts/parameters: {stopped}"
        )
    return AirflowException(f"{container} did not start: {stopped}")
