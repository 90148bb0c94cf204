"""Airflow's REST API, as far as a person's command and the tests use it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from typing import Any

PATIENCE = 600  # seconds: far more than a busy machine needs, so that it decides nothing
ENDED = {"success", "failed"}
DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not reach this machine


class AirflowApi:
    """A running Airflow; `log_in` comes first."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self.password = password
        self._token = ""

    def check(self) -> None:
        """Fails where it is known that no answer will come."""

    def log_in(self) -> bool:
        try:
            answer = self.call("POST", "/auth/token", {"username": "admin", "password": self.password})
        except (OSError, RuntimeError):
            return False
        self._token = answer["access_token"]
        return True

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
            with DIRECTLY.open(request, timeout=PATIENCE) as answer:
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
        return self.wait_until(f"the due run of {dag} has started", new)[0]

    def trigger(self, dag: str) -> str:
        """Starts a run and returns its id, which has the date that the landing keys need."""
        now = datetime.now(UTC)
        body = {"dag_run_id": f"manual__{now.isoformat()}", "logical_date": now.isoformat()}
        return self.call("POST", f"/api/v2/dags/{dag}/dagRuns", body)["dag_run_id"]

    def run(self, dag: str, run_id: str) -> dict:
        return self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run_id)}")

    def runs(self, dag: str) -> list[dict]:
        return self.call("GET", f"/api/v2/dags/{dag}/dagRuns?limit=100&order_by=run_after")["dag_runs"]

    def await_run(self, dag: str, run_id: str, seconds: float = PATIENCE) -> dict:
        return self.wait_until(
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

    def wait_until(self, what: str, is_so: Any, seconds: float = PATIENCE) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := is_so()):
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:.0f} s: {what}")
            time.sleep(0.5)
        return found
