"""Tells a person what failed: in the log, and by SNS where `[data_voyager] alerts_topic` names one."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from data_voyager.settings import optional

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)


def tell(context: Context) -> None:
    """The `on_failure_callback`: names the task, its log and its closing line."""
    text = message(context)
    log.error(text)
    if topic := optional("alerts_topic"):
        from airflow.providers.amazon.aws.hooks.sns import SnsHook

        SnsHook().publish_to_target(topic, text, subject=f"data-voyager: {_name(context)} failed"[:100])


def message(context: Context) -> str:
    closing = getattr(context["task"], "closing", None)
    return "\n".join(
        [
            f"task {_name(context)} failed in run {context['run_id']}: {context.get('exception') or 'killed'}",
            f"log: {getattr(context['ti'], 'log_url', 'not known')}",
            f"closing line: {json.dumps(closing) if closing else 'none'}",
        ]
    )


def _name(context: Context) -> str:
    ti = context["ti"]
    return f"{ti.dag_id}.{ti.task_id}" + (f"[{ti.map_index}]" if ti.map_index >= 0 else "")
