"""The DAGs as Airflow reads them."""

import ast
import subprocess
import sys
from datetime import timedelta

import pytest

from conftest import AIRFLOW

EXPECTED = {"strava_daily", "marts", "weather_hourly", "weather_backfill"}
PARSE_SECONDS = 0.5


@pytest.fixture(scope="session")
def bag():
    try:
        from airflow.dag_processing.dagbag import DagBag  # 3.2

        return DagBag(str(AIRFLOW / "dags"))
    except ImportError:
        from airflow.models.dagbag import DagBag

        return DagBag(str(AIRFLOW / "dags"), include_examples=False)


def test_every_dag_is_read_without_an_error(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == EXPECTED


def test_a_file_is_read_in_half_a_second(bag):
    """Once Airflow, the provider and boto3 are loaded, which the first file of a process pays for."""
    from time import process_time  # what it costs, however busy the machine is

    for file in (AIRFLOW / "dags").glob("*.py"):
        started = process_time()
        bag.process_file(str(file), only_if_updated=False)
        took = process_time() - started
        print(f"{file.name}: {took:.3f} s")
        assert took < PARSE_SECONDS, file.name


def test_reading_a_dag_needs_neither_options_nor_aws_nor_a_network():
    """In a process of its own, where every socket is an error and no option is set."""
    program = """
import socket, sys
def refuse(*_, **__): raise AssertionError("a socket while a DAG was read")
import airflow.providers.amazon.aws.operators.ecs
socket.socket.connect = refuse
import glob, runpy
for file in sorted(glob.glob(sys.argv[1] + "/*.py")): runpy.run_path(file)
"""
    import os

    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW__DATA_VOYAGER", "AWS_"))}
    environment["PYTHONPATH"] = str(AIRFLOW / "plugins")
    done = subprocess.run(
        [sys.executable, "-c", program, str(AIRFLOW / "dags")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_dag_says_what_it_is_and_every_task_can_end(bag):
    for dag in bag.dags.values():
        assert dag.doc_md
        assert dag.doc_md.strip().startswith(f"### {dag.dag_id}")
        assert dag.max_active_runs == 1
        assert dag.catchup is False
        for task in dag.tasks:
            arguments = task.partial_kwargs if task.is_mapped else task.__dict__
            assert arguments.get("execution_timeout"), f"{dag.dag_id}.{task.task_id} may run for ever"
            assert task.owner == "data-voyager"
            if task.task_id != "any_failed":
                assert task.retries == 3
                assert task.retry_exponential_backoff
                assert task.retry_delay == timedelta(minutes=2)
                assert task.on_failure_callback


def test_a_failed_athlete_stops_neither_the_load_nor_the_red_end(bag):
    dag = bag.dags["strava_daily"]
    extract, load, end = (dag.get_task(name) for name in ("strava_extract", "strava_load", "any_failed"))
    assert extract.is_mapped
    assert extract.pool == "strava"
    assert load.trigger_rule == "all_done"
    assert load.upstream_task_ids == {"strava_extract"}
    assert end.trigger_rule == "one_failed"
    assert end.upstream_task_ids == {"strava_extract", "strava_load"}
    assert [asset.name for asset in load.outlets] == ["strava_ods"]


def test_the_readme_lists_every_dag_with_its_time(bag):
    text = (AIRFLOW / "README.md").read_text()
    for dag in bag.dags.values():
        assert f"`{dag.dag_id}`" in text
    assert "03:30" in text
    assert "hh:10" in text


def test_nothing_reads_a_file_or_the_environment():
    """What a task needs comes by Airflow's options; iac/tasks.json is not in the bucket of MWAA."""
    for file in [*(AIRFLOW / "dags").glob("*.py"), *(AIRFLOW / "plugins/data_voyager").glob("*.py")]:
        nodes = list(ast.walk(ast.parse(file.read_text())))
        names = {n.attr for n in nodes if isinstance(n, ast.Attribute)}
        names |= {n.id for n in nodes if isinstance(n, ast.Name)}
        assert not names & {"environ", "getenv", "open", "read_text", "Path"}, file.name
