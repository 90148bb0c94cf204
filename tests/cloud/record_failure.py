"""A failed Airflow task tells the alerts topic, as the DAGs' on_failure_callback does; record.py calls this."""

from types import SimpleNamespace

from data_voyager import failure

task = SimpleNamespace(closing=None)
instance = SimpleNamespace(dag_id="strava_daily", task_id="strava_load", map_index=-1, log_url="none")
failure.tell({"task": task, "ti": instance, "run_id": "recorded", "exception": "exit 1"})
