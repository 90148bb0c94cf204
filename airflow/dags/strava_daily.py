"""
### strava_daily

Every athlete's new and edited activities: Strava → landing bucket → Postgres, once a day.

- `strava_extract` is mapped over `[data_voyager] athletes`; the pool `strava` caps how many run at once,
  since all of them share the application's quota. A quota that ends a run early is green: the task's log and
  its XCom `note` say when it goes on, and the next run does.
- `strava_load` runs when some of them arrived, whatever became of the others, and sends the asset `strava_ods`.
- `any_failed` makes the run red when one task failed; otherwise it is skipped.

Clearing a task is safe: the same run id writes the same keys, and a load that has been made is a no-op.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.exceptions import AirflowFailException
from airflow.sdk import DAG, task

from data_voyager import settings
from data_voyager.defaults import STRAVA_ODS, task_defaults
from data_voyager.operators import S3ToSupabaseOperator, StravaToS3Operator

with DAG(
    "strava_daily",
    schedule="30 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(),
    doc_md=__doc__,
    tags=["strava"],
):

    @task(doc_md="The athletes of the option `[data_voyager] athletes`.")
    def athletes() -> list[str | None]:
        return settings.athletes()

    @task(trigger_rule="one_failed", retries=0, on_failure_callback=None, doc_md="Makes the run red.")
    def any_failed() -> None:
        raise AirflowFailException("a task of this run failed, see its own log")

    extract = StravaToS3Operator.partial(
        task_id="strava_extract",
        pool="strava",
        execution_timeout=timedelta(hours=6),  # a long history waits for many quarter hours
        map_index_template="{{ task.athlete_id or 'athlete' }}",
    ).expand(athlete_id=athletes())
    load = S3ToSupabaseOperator(task_id="strava_load", source="strava", trigger_rule="all_done", outlets=[STRAVA_ODS])

    extract >> load
    [extract, load] >> any_failed()
