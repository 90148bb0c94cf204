#!/usr/bin/env python3
"""The demo through the DAGs: Airflow starts every batch arrow as an ECS task of devstack.

The weather consumer is a service and no task: it runs beside, as it would on Kubernetes, between the DAG that
fills Kafka and the one that loads what it landed.

demo.py CONSUMER     the program weather-consumer
"""

import os
import subprocess
import sys
from pathlib import Path

from local_airflow import LocalAirflow, follow, start

BEFORE = ["strava_daily", "weather_backfill"]
AFTER = ["weather_hourly", "marts"]


def main() -> int:
    (consumer,) = sys.argv[1:]
    airflow = LocalAirflow(Path(os.environ["AIRFLOW_HOME"]))
    try:
        start(airflow)
        for dag in BEFORE:
            if not follow(airflow, dag):
                return 1
        print("\nweather-consumer takes what is in Kafka", flush=True)
        subprocess.run([consumer, "run", "--until-caught-up", "--max-age", "2s"], check=True, stdout=subprocess.DEVNULL)
        return 0 if all(follow(airflow, dag) for dag in AFTER) else 1
    finally:
        airflow.stop()


if __name__ == "__main__":
    sys.exit(main())
