"""Shell scripts in the place of the programs: they end as a test wants, and tell how often they ran."""

from __future__ import annotations

import time
from pathlib import Path

from ecs_world import PATIENCE, PREFIX, register

# Each athlete has a folder; `plan` there has a line for each run: an exit code and, optionally, what it does first.
EXTRACT = r"""
mkdir -p "$TALLY/$STRAVA_ATHLETE_ID"; cd "$TALLY/$STRAVA_ATHLETE_ID"
echo "$RUN_ID $*" >> runs
number=$(wc -l < runs)
step=$(sed -n "${number}p" plan 2>/dev/null); step=${step:-0}
trap 'echo stopped >> ends; echo "{\"task\":\"strava-extract\",\"status\":\"partial\"}"; exit 143' TERM
echo $$ > pid
echo '{"timestamp":"t","level":"INFO","message":"fetched activities","task":"strava-extract","activities.count":3}'
echo '{"timestamp":"t","level":"WARN","message":"waiting for the quota","task":"strava-extract","wait.seconds":4}'
set -- $step
case "$2" in
  hang) while [ ! -e go ]; do sleep 0.05; done ;;
  incomplete) echo '{"task":"strava-extract","status":"succeeded","complete":false,"resume_at":"2026-11-25T00:15:00Z"}'
    echo ended >> ends; exit 0 ;;
esac
refused='{"timestamp":"t","level":"ERROR","message":"the token was refused: run auth login","task":"strava-extract"}'
[ "$1" = 0 ] || echo "$refused"
status=succeeded; [ "$1" = 0 ] || status=failed
echo "{\"task\":\"strava-extract\",\"command\":\"api\",\"status\":\"$status\",\"complete\":true,\"number\":$number}"
echo ended >> ends
exit "$1"
"""
LOAD = r"""
mkdir -p "$TALLY"; echo "$RUN_ID $*" >> "$TALLY/loads"
echo '{"task":"strava-load","command":"sync","status":"succeeded","complete":true,"tables":{}}'
"""
DBT = r"""
mkdir -p "$TALLY"; echo "$*" >> "$TALLY/dbt"
echo '{"task":"dbt","status":"succeeded","complete":true}'
"""


class StandIn:
    """The tasks' definitions, made to run scripts; what they did lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for task, script in (("strava-extract", EXTRACT), ("strava-load", LOAD), ("dbt", DBT)):
            self.define(task, script)

    def define(self, task: str, script: str, **changes) -> None:
        # The operators replace the command, so the script is the entry point's first file.
        file = self.folder / f"{task}.sh"
        file.write_text(script)
        register(
            "",
            family=f"{PREFIX}-{task}",
            container=task,
            entryPoint=["/bin/sh", str(file)],
            environment=[{"name": "TALLY", "value": str(self.folder)}],
            logConfiguration={
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": f"/{PREFIX}/{task}",
                    "awslogs-region": "eu-central-1",
                    "awslogs-stream-prefix": task,
                },
            },
            **changes,
        )

    def plan(self, athlete: str, *steps: str) -> None:
        (self.folder / athlete).mkdir(exist_ok=True)
        (self.folder / athlete / "plan").write_text("\n".join(steps) + "\n")

    def runs(self, athlete: str) -> list[str]:
        return self._lines(f"{athlete}/runs")

    def await_runs(self, athlete: str, number: int, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while len(self.runs(athlete)) < number:
            assert time.monotonic() < deadline, f"the task of athlete {athlete} did not run {number} times"
            time.sleep(0.05)

    def ends(self, athlete: str) -> list[str]:
        return self._lines(f"{athlete}/ends")

    def go(self, athlete: str) -> None:
        (self.folder / athlete / "go").touch()

    def pid(self, athlete: str, seconds: float = PATIENCE) -> int:
        """The running script's process, once it is there."""
        file, deadline = self.folder / athlete / "pid", time.monotonic() + seconds
        while not file.exists() or not file.read_text().strip():
            assert time.monotonic() < deadline, f"the task of athlete {athlete} did not start"
            time.sleep(0.05)
        return int(file.read_text())

    def _lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []
