"""
### marts

Models and page, whenever new rows stand in the raw tables of Strava or of the weather.

`dbt_build` builds and tests all models in one command; `dbt_report` then draws the page into the report bucket.
Both read what is there and build it anew: running them twice gives the same tables.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from data_voyager.defaults import STRAVA_ODS, WEATHER_ODS, task_defaults
from data_voyager.operators import DbtOperator

with DAG(
    "marts",
    schedule=(STRAVA_ODS | WEATHER_ODS),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(),
    doc_md=__doc__,
    tags=["dbt"],
):
    build = DbtOperator(task_id="dbt_build", arguments=["build"])
    report = DbtOperator(task_id="dbt_report", arguments=["report"])

    build >> report
