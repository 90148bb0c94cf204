#!/usr/bin/env python3
"""Runs every program, operator and script against devstack and records the AWS calls that they make.

usage: .venv/bin/python tests/cloud/record.py        (needs target/debug and .venv-airflow; about three minutes)
Each role has an access key of its own; a proxy before the endpoints keeps who called what. Writes recorded_calls.json:
one call of each kind and shape, with the names of buckets, parameters and tasks as this script chose them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3

from recording_proxy import Proxy

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DEBUG = ROOT / "target/debug"
RECORDED = HERE / "recorded_calls.json"
PREFIX = "data-voyager"  # devstack's own
TOKEN = "ssm:///data-voyager/test/strava/token"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LOCATIONS = b"location_id,name,latitude,longitude,timezone\nhere,Here,50,8,Europe/Berlin\n"


class Recorder:
    """Runs commands as a role: its access key, and the proxy in the place of AWS."""

    def __init__(self) -> None:
        env = os.environ
        self.proxy = Proxy(env["AWS_ENDPOINT_URL"], env["AWS_ENDPOINT_URL_ECS"])
        self.direct = env["AWS_ENDPOINT_URL"]
        self.failed: list[str] = []

    def environment(self, role: str, **variables: str) -> dict[str, str]:
        endpoints = (
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_ECS",
            "AWS_ENDPOINT_URL_LOGS",
            "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
        )
        ours = dict.fromkeys(endpoints, self.proxy.url)
        return {
            **os.environ,
            **ours,
            "AWS_ACCESS_KEY_ID": key_of(role),
            "AWS_DEFAULT_REGION": os.environ["AWS_REGION"],
            **variables,
        }

    def run(
        self, role: str, *command: str | Path, stop_after: float | None = None, exits=(0,), **variables: str
    ) -> None:
        shown = " ".join(Path(word).name if isinstance(word, Path) else word for word in command)
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment(role, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if stop_after:
            time.sleep(stop_after)
            process.send_signal(signal.SIGINT if role == "ecs-run" else signal.SIGTERM)
        said = process.communicate(timeout=240)[0]
        told = f"{role}: {shown}: exit {process.returncode}"
        print(told, file=sys.stderr)
        if process.returncode not in exits:
            self.failed.append(f"{told}\n{said[-1500:]}")


def key_of(role: str) -> str:
    return "AKIA" + re.sub(r"[^A-Z]", "", role.upper()).ljust(16, "X")[:16]


def main() -> int:
    if "AWS_ENDPOINT_URL_ECS" not in os.environ:
        state = ROOT / "target/cloud/record"
        shutil.rmtree(state, ignore_errors=True)  # what is loaded already would not be read again
        again = [sys.executable, str(Path(__file__).resolve())]
        services = "postgres,kafka,mongodb,aws,strava,open-meteo,ecs"
        options = ["--state-dir", str(state), "--only", services, "--no-quota", "--activities", "12"]
        return subprocess.run([DEBUG / "devstack", "exec", *options, "--", *again], cwd=ROOT).returncode
    recorder = Recorder()
    prepare(recorder.direct)
    tasks(recorder)
    starters(recorder)
    deployment(recorder)
    recorder.proxy.close()
    calls = distinct(recorder.proxy.calls)
    if recorder.failed:
        print("\n\n".join(recorder.failed), file=sys.stderr)
        return 1
    RECORDED.write_text(json.dumps({"made_by": "tests/cloud/record.py", "calls": calls}, indent=1) + "\n")
    print(f"record: {len(recorder.proxy.calls)} calls, {len(calls)} distinct ones in {RECORDED.name}", file=sys.stderr)
    return 0


def prepare(endpoint: str) -> None:
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name=os.environ["AWS_REGION"])
    for bucket in ("landing", "report", "dags"):
        where = {"LocationConstraint": os.environ["AWS_REGION"]}
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    s3.put_object(Bucket="landing", Key="configuration/weather-locations.csv", Body=LOCATIONS)


def tasks(recorder: Recorder) -> None:
    """What the programs do, with the commands of tasks.json and those that people run by ecs-run."""
    landing = {"LANDING_URL": "s3://landing", "LOG_FORMAT": "json"}
    strava = {**landing, "STRAVA_TOKEN_STORE": TOKEN, "RUN_ID": "workflow__2026-11-22T03:30:00.000Z"}
    extract = ("strava-extract", DEBUG / "strava-extract")
    recorder.run(*extract, "api", **strava)
    recorder.run(*extract, "api", **strava)  # a retry of the same run
    recorder.run(*extract, "api", **strava | {"RUN_ID": "second"})
    recorder.run(*extract, "check", **strava)
    recorder.run(*extract, "status", **strava)
    recorder.run(*extract, "auth", "status", **strava)

    load = ("strava-load", DEBUG / "strava-load")
    recorder.run(*load, "sync", **landing)
    recorder.run(*load, "check", **landing)
    recorder.run(*load, "status", **landing)
    recorder.run(*load, "rejects", "list", **landing)

    dbt = {"REPORT_URL": "s3://report/page", "LOG_FORMAT": "json"}
    python = ROOT / ".venv/bin/python"
    for command in ("build", "report", "check"):
        recorder.run("dbt", python, ROOT / "dbt/run.py", command, **dbt)

    weather = {
        **landing,
        "WEATHER_TOPIC": "weather",
        "WEATHER_LOCATIONS": "s3://landing/configuration/weather-locations.csv",
    }
    producer = ("weather-producer", DEBUG / "weather-producer")
    recorder.run(*producer, "once", **weather)
    recorder.run(*producer, "backfill", **weather)
    recorder.run(*producer, "backfill", **weather)
    recorder.run(*producer, "check", **weather)
    consumer = ("weather-consumer", DEBUG / "weather-consumer")
    recorder.run(*consumer, "run", "--max-age", "2s", stop_after=20, **weather)
    # A second group meets the files that the first one landed.
    recorder.run(*consumer, "run", "--max-age", "2s", stop_after=20, **weather, KAFKA_GROUP_ID="weather-consumer.again")
    recorder.run(*consumer, "check", **weather)
    recorder.run(*load, "sync", **landing)


def starters(recorder: Recorder) -> None:
    """What ecs-run and Airflow's operators do; the second one is stopped while it runs."""
    ecs_run = (DEBUG / "ecs-run", "--prefix", PREFIX)
    recorder.run("ecs-run", *ecs_run, "strava-load", "--", "status")
    given = [
        "--environment=WEATHER_TOPIC=weather",
        "--environment=WEATHER_LOCATIONS=s3://landing/configuration/weather-locations.csv",
    ]
    recorder.run("ecs-run", *ecs_run, *given, "weather-producer", "--", "stream", stop_after=8, exits=(0, 143))
    python, suite = ROOT / ".venv-airflow/bin/python", ROOT / "airflow/tests/test_execute.py"
    chosen = "closing_line_comes_back or taken_over or ended_well or cancelled_trigger or stopped or kill"
    recorder.run("airflow", python, "-m", "pytest", "-q", "-p", "no:cacheprovider", suite, "-k", chosen, exits=(0, 1))
    topic = boto3.client("sns", endpoint_url=recorder.direct, region_name=os.environ["AWS_REGION"]).create_topic(
        Name="alerts"
    )
    recorder.run(
        "airflow", python, HERE / "record_failure.py", AIRFLOW__DATA_VOYAGER__ALERTS_TOPIC=topic["TopicArn"],
        PYTHONPATH=str(ROOT / "airflow/plugins"),
    )  # fmt: skip


def deployment(recorder: Recorder) -> None:
    """What the workflows' scripts do; docker's own calls to ECR are in calls.py, after AWS's documentation."""
    python = ROOT / ".venv/bin/python"
    recorder.run("deploy", python, ROOT / "scripts/sync-dags", "--bucket", "dags")
    boto3.client("s3", endpoint_url=recorder.direct).put_object(Bucket="dags", Key="dags/gone.py", Body=b"")
    recorder.run("deploy", python, ROOT / "scripts/sync-dags", "--bucket", "dags")

    tasks = json.loads((ROOT / "iac/tasks.json").read_text())["tasks"]
    ecr = boto3.client("ecr", endpoint_url=recorder.direct, region_name=os.environ["AWS_REGION"])
    for task in tasks:
        ecr.create_repository(repositoryName=f"{PREFIX}/{task}")
        manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"digest": f"sha256:{task}"}})
        ecr.put_image(repositoryName=f"{PREFIX}/{task}", imageManifest=manifest, imageTag="new")
    images = ROOT / "target/cloud/record/images.json"
    images.write_text(json.dumps([{"image": task, "tag": "new"} for task in tasks]))
    registry = f"123456789012.dkr.ecr.{os.environ['AWS_REGION']}.amazonaws.com/{PREFIX}"
    recorder.run("deploy", python, ROOT / "scripts/deploy-tasks", "--registry", registry, "--images", images)


def distinct(calls: list[dict]) -> list[dict]:
    """One call of each role, operation and shape of request, without what tests and this script did themselves."""
    roles = {
        key_of(role): role for role in ("strava-extract", "strava-load", "dbt", "weather-producer", "weather-consumer")
    }
    roles |= {key_of(role): role for role in ("ecs-run", "airflow", "deploy")}
    kept = {}
    for it in calls:
        role = roles[it["key"]]
        if role == "airflow" and "Airflow/" not in it["agent"]:
            continue  # a test's own client
        request = {name: it["request"][name] for name in FIELDS if name in it["request"]}
        shape = re.sub(r"[0-9a-f]{6,}|\d+", "#", json.dumps(request, sort_keys=True))
        kept.setdefault((role, it["service"], it["operation"], shape), request)
    return [
        {"role": role, "service": service, "operation": operation, "request": request}
        for (role, service, operation, _), request in sorted(kept.items())
    ]


# What decides whether a call is allowed; a value, a log line or a message never does.
FIELDS = (
    *("Bucket", "Prefix", "Key"),
    *("Name", "Names", "TopicArn", "TargetArn"),
    *(
        "cluster",
        "taskDefinition",
        "family",
        "task",
        "tasks",
        "propagateTags",
        "repositoryName",
        "executionRoleArn",
        "taskRoleArn",
    ),
    *("logGroupName", "logStreamName"),
)

if __name__ == "__main__":
    sys.exit(main())
