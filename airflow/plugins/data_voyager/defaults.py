"""What every DAG has in common: who owns it, how it retries, whom a failure tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset

from data_voyager import failure

STRAVA_ODS = Asset("strava_ods")
WEATHER_ODS = Asset("weather_ods")


def task_defaults(**changes: Any) -> dict[str, Any]:
    """The `default_args` of a DAG."""
    return {
        "owner": "data-voyager",
        "retries": 3,
        "retry_delay": timedelta(minutes=2),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
        "execution_timeout": timedelta(hours=1),
        "on_failure_callback": failure.tell,
        **changes,
    }
