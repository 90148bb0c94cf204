"""
### weather_backfill

The weather in which the activities happened, whenever new ones stand in Postgres: archive → Kafka.

The consumer lands it, and `weather_hourly` loads it. What the service's limit leaves for later is green;
the next run goes on from there, in whichever run it comes.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from data_voyager.defaults import STRAVA_ODS, task_defaults
from data_voyager.operators import WeatherBackfillOperator

with DAG(
    "weather_backfill",
    schedule=[STRAVA_ODS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(),
    doc_md=__doc__,
    tags=["weather"],
):
    WeatherBackfillOperator(task_id="weather_backfill")
