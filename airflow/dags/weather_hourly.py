"""
### weather_hourly

Loads the weather files that the consumer landed since the last run: landing bucket → Postgres, every hour.

Where nothing changed the task is skipped, so that no asset event rebuilds the marts for nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from data_voyager.defaults import WEATHER_ODS, task_defaults
from data_voyager.operators import S3ToSupabaseOperator

with DAG(
    "weather_hourly",
    schedule="10 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(),
    doc_md=__doc__,
    tags=["weather"],
):
    S3ToSupabaseOperator(task_id="strava_load", source="weather", skip_when_unchanged=True, outlets=[WEATHER_ODS])
