#!/usr/bin/env python3
"""Airflow on this machine, in the world that devstack made: every part of it, with our DAG folder as it is.

local_airflow.py up              the page on loopback until Ctrl-C
local_airflow.py run DAG […]     one run of each DAG to its end, with the table of its tasks
local_airflow.py join DAG […]    the same in an Airflow that is up already
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from airflow_api import ENDED, AirflowApi

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
STOP_SECONDS = 20
WELCOME = """
  {airflow.url}
  user admin, password {airflow.password}

Edit {dags}: what you save is on the page within seconds.
A DAG runs once it is switched on there. Ctrl-C stops everything; runs and logs are kept for the next time.
"""
# Logs are read as files here; their servers would listen on every address, on fixed ports.
OPTIONS = {"scheduler": ["--skip-serve-logs"], "triggerer": ["--skip-serve-logs"]}


class LocalAirflow(AirflowApi):
    """Scheduler, DAG processor, triggerer and API server, with a database in devstack's PostgreSQL."""

    def __init__(self, home: Path, options: dict[str, str] | None = None, database: str = "airflow") -> None:
        self.home = home
        self.database = database
        self.port = free_port()
        home.mkdir(parents=True, exist_ok=True)
        super().__init__(address(self.port), login(home))
        self.environment = os.environ | self._settings() | (options or {})
        self.parts: dict[str, subprocess.Popen] = {}

    def _settings(self) -> dict[str, str]:
        given = os.environ.get
        sections = {
            "core": {
                "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
                "dags_folder": HERE / "dags",
                "plugins_folder": HERE / "plugins",
                "executor": "LocalExecutor",
                "parallelism": 6,
                "load_examples": False,
                "execution_api_server_url": f"{self.url}/execution/",
                "simple_auth_manager_users": "admin:admin",
                "simple_auth_manager_passwords_file": self.home / "passwords.json",
                "fernet_key": "",
            },
            "database": {"sql_alchemy_conn": self._database()},
            "api": {"host": "127.0.0.1", "port": self.port, "workers": 1, "base_url": self.url},
            "api_auth": {"jwt_secret": secrets.token_urlsafe(32)},
            # A person who edits a DAG sees it within seconds.
            "dag_processor": {"min_file_process_interval": 5, "refresh_interval": 10, "parsing_processes": 1},
            "scheduler": {"enable_health_check": False},
            "triggerer": {"capacity": 100},
            "logging": {"base_log_folder": self.home / "logs"},
            "usage_data_collection": {"enabled": False},
            "data_voyager": {
                "cluster": given("ECS_CLUSTER", ""),
                "subnets": given("ECS_SUBNETS", ""),
                "security_groups": given("ECS_SECURITY_GROUPS", ""),
                "log_prefix": "data-voyager",
                "athletes": given("STRAVA_ATHLETE_ID", ""),
                "poll_seconds": 1,
            },
        }
        settings = {f"AIRFLOW__{s}__{n}".upper(): str(v) for s, names in sections.items() for n, v in names.items()}
        return {
            **settings,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",  # without it each log warns that there is none
            "PYTHONWARNINGS": "ignore",
            "NO_PROXY": "*",
        }

    def _database(self) -> str:
        address = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
        return urllib.parse.urlunsplit(("postgresql+psycopg2", address.netloc, f"/{self.database}", "", ""))

    def start(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """All parts, to the moment when every DAG can be run; `tell` hears of each step that is done."""
        create_database(os.environ["DATABASE_URL"], self.database)
        self._command("db", "migrate")
        tell("the database is ready")
        for name in ("api-server", "dag-processor", "scheduler", "triggerer"):
            self._start(name)
        self.wait_until("the API server answers", self.log_in)
        tell("the page answers")
        self._import_pools()
        wanted = {file.stem for file in (HERE / "dags").glob("*.py")}
        self.wait_until("every DAG is read", lambda: wanted <= set(self.dags()))
        tell(f"{len(wanted)} DAGs are read")

    def _start(self, name: str) -> None:
        log = (self.home / f"{name}.log").open("ab")
        # In a group of its own: Ctrl-C is for us, who then stop the parts in order.
        self.parts[name] = subprocess.Popen(
            [*parent_death(), BIN / "airflow", name, *OPTIONS.get(name, [])],
            env=self.environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            cwd=self.home, process_group=0,
        )  # fmt: skip

    def restart(self, name: str) -> None:
        """Kills a part with -9, as a lost machine would, and starts it again."""
        signal_group(self.parts[name], signal.SIGKILL)
        self.parts[name].wait()
        self._start(name)

    def stop(self) -> None:
        for name in reversed(self.parts):
            signal_group(self.parts[name], signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for part in self.parts.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.wait(max(0.1, deadline - time.monotonic()))
            signal_group(part, signal.SIGKILL)
            part.wait()
        self.parts.clear()

    def check(self) -> None:
        """Fails with the end of its log where a part has ended by itself."""
        for name, part in self.parts.items():
            if part.poll() is not None:
                tail = (self.home / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"airflow {name} ended with {part.returncode}:\n{tail}")

    def _import_pools(self) -> None:
        pools = json.loads((HERE / "pools.json").read_text())
        known = {pool["name"] for pool in self.call("GET", "/api/v2/pools?limit=100")["pools"]}
        for name, pool in pools.items():
            if name not in known:
                self.call("POST", "/api/v2/pools", {"name": name, **pool})

    def _command(self, *arguments: str) -> None:
        done = subprocess.run(
            [BIN / "airflow", *arguments], env=self.environment, capture_output=True, text=True, cwd=self.home
        )
        if done.returncode != 0:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")


def address(port: int | str) -> str:
    return f"http://127.0.0.1:{port}"


def login(home: Path) -> str:
    """The password of the page's user admin, kept from one start to the next."""
    file = home / "passwords.json"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(json.dumps({"admin": secrets.token_urlsafe(12)}))
    return json.loads(file.read_text())["admin"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def parent_death() -> list[str]:
    """The parts end with us, however we end."""
    return ["setpriv", "--pdeathsig", "TERM", "--"]


def signal_group(part: subprocess.Popen, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended, and so have its children
        os.killpg(part.pid, number)


def create_database(url: str, name: str) -> None:
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True  # no database is made inside a transaction
    with connection.cursor() as cursor:
        cursor.execute("select 1 from pg_database where datname = %s", (name,))
        if cursor.fetchone() is None:
            cursor.execute(f'create database "{name}"')
    connection.close()


def table(airflow: AirflowApi, dag: str, run_id: str) -> str:
    """The tasks of a run for a person."""
    rows = [("task", "state", "tries", "seconds", "came of it")]
    for task in airflow.tasks(dag, run_id):
        name = task["task_id"] + (
            f" [{task['rendered_map_index'] or task['map_index']}]" if task["map_index"] >= 0 else ""
        )
        rows.append(
            (
                name,
                task["state"] or "-",
                str(task["try_number"]),
                f"{task['duration'] or 0:.1f}",
                outcome(airflow, task),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    )


def outcome(airflow: AirflowApi, task: dict) -> str:
    try:
        closing = airflow.xcom(task["dag_id"], task["dag_run_id"], task["task_id"], map_index=task["map_index"])
    except RuntimeError:
        return ""
    if not isinstance(closing, dict) or "status" not in closing:
        return ""
    told = closing["status"] + ("" if closing.get("complete", True) else f", goes on after {closing.get('resume_at')}")
    return f"{told} in {closing.get('duration_seconds', 0)} s"


def follow(airflow: AirflowApi, dag: str) -> bool:
    """One run to its end, its tasks told as they change."""
    run_id = airflow.start_run(dag)
    print(f"{dag} {run_id}", flush=True)
    seen: dict[tuple, str] = {}
    while True:
        airflow.check()
        run = airflow.run(dag, run_id)
        for task in airflow.tasks(dag, run_id):
            key = (task["task_id"], task["map_index"])
            if task["state"] and seen.get(key) != task["state"]:
                seen[key] = task["state"]
                name = task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else "")
                print(f"  {time.strftime('%H:%M:%S')} {name}: {task['state']}", flush=True)
        if run["state"] in ENDED:
            print(f"\n{table(airflow, dag, run_id)}\n\n{dag}: {run['state']}", flush=True)
            return run["state"] == "success"
        time.sleep(1)


def start(airflow: LocalAirflow) -> None:
    """Starts it, with a line for each step."""
    began = time.monotonic()
    print("Airflow is starting, which takes half a minute, and longer on a busy machine", flush=True)
    airflow.start(lambda done: print(f"  {time.monotonic() - began:3.0f} s  {done}", flush=True))


def join(home: Path, dags: list[str]) -> int:
    """Runs in the Airflow whose page is up: a person follows them there too."""
    airflow = AirflowApi(address((home / "port").read_text()), login(home))
    if not airflow.log_in():
        print(f"no Airflow answers at {airflow.url}: start one by `make airflow`", file=sys.stderr)
        return 1
    print(f"in the Airflow at {airflow.url}", flush=True)
    return 0 if all(follow(airflow, dag) for dag in dags) else 1


def main() -> int:
    match sys.argv[1:]:
        case ["up"]:
            dags: list[str] = []
        case ["run" | "join", first, *more]:
            dags = [first, *more]
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    home = Path(os.environ.get("AIRFLOW_HOME") or Path.cwd() / ".devstack/airflow").resolve()
    if sys.argv[1] == "join":
        return join(home, dags)
    for name in ("ECS_CLUSTER", "DATABASE_URL"):
        if name not in os.environ:
            print("start me by `make airflow`: I need devstack's ECS and PostgreSQL", file=sys.stderr)
            return 2
    airflow = LocalAirflow(home)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        start(airflow)
        if dags:
            return 0 if all(follow(airflow, dag) for dag in dags) else 1
        (home / "port").write_text(str(airflow.port))
        print(WELCOME.format(airflow=airflow, dags=HERE / "dags"), flush=True)
        while True:
            airflow.check()
            time.sleep(2)
    except KeyboardInterrupt:
        return 0
    finally:
        (home / "port").unlink(missing_ok=True)
        airflow.stop()


if __name__ == "__main__":
    sys.exit(main())
