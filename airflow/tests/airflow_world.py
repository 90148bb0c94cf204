"""A running Airflow for the tests: retries without the wait, dead workers noticed within a minute."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from local_airflow import LocalAirflow

from ecs_world import PATIENCE

# The DAGs stay as they are; Airflow's own hook for policies shortens their waits.
POLICY = """
from datetime import timedelta

def task_policy(task):
    task.retry_delay = timedelta(seconds=1)
    task.retry_exponential_backoff = False
"""


@contextmanager
def running(home: Path, *, deferrable: bool, **options: str) -> Iterator[LocalAirflow]:
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config/airflow_local_settings.py").write_text(POLICY)
    airflow = LocalAirflow(
        home,
        {
            "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": str(deferrable),
            # Long enough for a living worker on a busy machine, whose task would be run again.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
            **options,
        },
        database=f"airflow_{secrets.token_hex(4)}",
    )
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(") ", 1)[1][0] != "Z"


def await_death(pid: int, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.1)


def kill_workers(airflow: LocalAirflow) -> int:
    """kill -9 of every worker that has a task, and of the task's process, as a lost machine would do it.

    An idle worker stays: it holds the lock of the executor's queue, which no machine shares with another.
    """
    workers = [pid for pid in descendants(airflow.parts["scheduler"].pid) if b"LocalExecutor" in command(pid)]
    victims = [pid for worker in workers if (below := descendants(worker)) for pid in (worker, *below)]
    for pid in victims:
        with suppress(ProcessLookupError):  # it ended with the one before
            os.kill(pid, signal.SIGKILL)
    return len(victims)


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def command(pid: int) -> bytes:
    file = Path(f"/proc/{pid}/cmdline")
    return file.read_bytes().replace(b"\0", b" ") if file.exists() else b""
