#!/usr/bin/env python3
"""Airflow on this machine, in the world that devstack made: every part of it, with our DAG folder as it is.

local_airflow.py up              the page on loopback until Ctrl-C
local_airflow.py run DAG […]     one run of each DAG to its end, with the table of its tasks
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
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
READY_SECONDS = 180
STOP_SECONDS = 20
ENDED = {"success", "failed"}
# Logs are read as files here; their servers would listen on every address, on fixed ports.
OPTIONS = {"scheduler": ["--skip-serve-logs"], "triggerer": ["--skip-serve-logs"]}


class LocalAirflow:
    """Scheduler, DAG processor, triggerer and API server, with a database in devstack's PostgreSQL."""

    def __init__(self, home: Path, options: dict[str, str] | None = None, database: str = "airflow") -> None:
        self.home = home
        self.database = database
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.password = self._password()
        self.environment = os.environ | self._settings() | (options or {})
        self.parts: dict[str, subprocess.Popen] = {}
        self._token = ""

    def _password(self) -> str:
        """The page's login, kept from one start to the next."""
        self.home.mkdir(parents=True, exist_ok=True)
        file = self.home / "passwords.json"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(json.dumps({"admin": secrets.token_urlsafe(12)}))
        return json.loads(file.read_text())["admin"]

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
        return {**settings, "AIRFLOW_HOME": str(self.home), "PYTHONWARNINGS": "ignore", "NO_PROXY": "*"}

    def _database(self) -> str:
        address = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
        return urllib.parse.urlunsplit(("postgresql+psycopg2", address.netloc, f"/{self.database}", "", ""))

    def start(self) -> None:
        create_database(os.environ["DATABASE_URL"], self.database)
        self._command("db", "migrate")
        for name in ("api-server", "dag-processor", "scheduler", "triggerer"):
            self._start(name)
        self._wait_until("the API server answers", self._log_in)
        self._import_pools()
        wanted = {file.stem for file in (HERE / "dags").glob("*.py")}
        self._wait_until("every DAG is read", lambda: wanted <= set(self.dags()))

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

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """One request to the REST API."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={
                "authorization": f"Bearer {self._token}", "content-type": "application/json",
                "accept": "application/json", **(headers or {}),
            },
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            detail = error.read()[:500].decode(errors="replace")
            raise RuntimeError(f"{method} {path} answered {error.code}: {detail}") from error

    def dags(self) -> list[str]:
        return [dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"]]

    def unpause(self, *dags: str, paused: bool = False) -> None:
        for dag in dags:
            self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": paused})

    def start_run(self, dag: str) -> str:
        """The run that is due, which unpausing a DAG starts by itself; else one by hand."""
        known = {run["dag_run_id"] for run in self.runs(dag)}
        due = self.call("GET", f"/api/v2/dags/{dag}")["next_dagrun_run_after"]
        self.unpause(dag)
        if due is None or datetime.fromisoformat(due) > datetime.now(UTC):
            return self.trigger(dag)
        new = lambda: [run["dag_run_id"] for run in self.runs(dag) if run["dag_run_id"] not in known]  # noqa: E731
        return self._wait_until(f"the due run of {dag} has started", new, 60)[0]

    def trigger(self, dag: str) -> str:
        """Starts a run and returns its id, which has the date that the landing keys need."""
        now = datetime.now(UTC)
        body = {"dag_run_id": f"manual__{now.isoformat()}", "logical_date": now.isoformat()}
        return self.call("POST", f"/api/v2/dags/{dag}/dagRuns", body)["dag_run_id"]

    def run(self, dag: str, run_id: str) -> dict:
        return self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run_id)}")

    def runs(self, dag: str) -> list[dict]:
        return self.call("GET", f"/api/v2/dags/{dag}/dagRuns?limit=100&order_by=run_after")["dag_runs"]

    def await_run(self, dag: str, run_id: str, seconds: float = 600) -> dict:
        return self._wait_until(
            f"{dag} {run_id} has ended",
            lambda: (run := self.run(dag, run_id))["state"] in ENDED and run,
            seconds,
        )

    def tasks(self, dag: str, run_id: str) -> list[dict]:
        """The task instances, mapped ones each by itself, in the order of their start."""
        path = f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances?limit=200"
        return sorted(self.call("GET", path)["task_instances"], key=lambda t: (t["start_date"] or "~", t["map_index"]))

    def task(self, dag: str, run_id: str, task: str, map_index: int = -1) -> dict:
        found = (t for t in self.tasks(dag, run_id) if t["task_id"] == task and t["map_index"] in (map_index, -1))
        return next(found)

    def log(self, dag: str, run_id: str, task: str, attempt: int = 1, map_index: int = -1) -> list[dict]:
        """The log lines of one try, as the page gets them."""
        path = (
            f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances/{task}/logs/{attempt}"
            f"?map_index={map_index}&full_content=true"
        )
        content = self.call("GET", path)["content"]
        return [line if isinstance(line, dict) else {"event": line} for line in content]

    def xcom(self, dag: str, run_id: str, task: str, key: str = "return_value", map_index: int = -1) -> Any:
        path = (
            f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances/{task}/xcomEntries/{key}"
            f"?map_index={map_index}&stringify=false"
        )
        value = self.call("GET", path)["value"]
        try:
            return json.loads(value)  # Airflow keeps objects as JSON text
        except (TypeError, ValueError):
            return value

    def set_state(self, dag: str, run_id: str, task: str, state: str) -> None:
        """What a person does on the page: mark a task failed or successful."""
        path = f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run_id)}/taskInstances/{task}"
        self.call("PATCH", path, {"new_state": state})

    def _log_in(self) -> bool:
        try:
            answer = self.call("POST", "/auth/token", {"username": "admin", "password": self.password})
        except (OSError, RuntimeError):
            return False
        self._token = answer["access_token"]
        return True

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

    def _wait_until(self, what: str, is_so: Any, seconds: float = READY_SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := is_so()):
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:.0f} s: {what}")
            time.sleep(0.5)
        return found

    wait_until = _wait_until


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


def table(airflow: LocalAirflow, dag: str, run_id: str) -> str:
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


def outcome(airflow: LocalAirflow, task: dict) -> str:
    try:
        closing = airflow.xcom(task["dag_id"], task["dag_run_id"], task["task_id"], map_index=task["map_index"])
    except RuntimeError:
        return ""
    if not isinstance(closing, dict) or "status" not in closing:
        return ""
    told = closing["status"] + ("" if closing.get("complete", True) else f", goes on after {closing.get('resume_at')}")
    return f"{told} in {closing.get('duration_seconds', 0)} s"


def follow(airflow: LocalAirflow, dag: str) -> bool:
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


def main() -> int:
    match sys.argv[1:]:
        case ["up"]:
            dags: list[str] = []
        case ["run", first, *more]:
            dags = [first, *more]
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    for name in ("ECS_CLUSTER", "DATABASE_URL"):
        if name not in os.environ:
            print("start me by `make airflow`: I need devstack's ECS and PostgreSQL", file=sys.stderr)
            return 2
    home = Path(os.environ.get("AIRFLOW_HOME") or Path.cwd() / ".devstack/airflow").resolve()
    airflow = LocalAirflow(home)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        print("Airflow is starting, which takes half a minute", flush=True)
        airflow.start()
        if dags:
            return 0 if all(follow(airflow, dag) for dag in dags) else 1
        print(f"\n  {airflow.url}\n  user admin, password {airflow.password}\n\nCtrl-C stops it.", flush=True)
        while True:
            airflow.check()
            time.sleep(2)
    except KeyboardInterrupt:
        return 0
    finally:
        airflow.stop()


if __name__ == "__main__":
    sys.exit(main())
