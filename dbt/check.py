"""`check`: whether what dbt and the report need is there and lets them in, within ten seconds and changing nothing."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import warehouse
from errors import Failed, Refused
from logs import say

# All answers together may take so long.
SECONDS = 8


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it is, or what is wrong and what to do."""

    what: str
    says: str
    is_good: bool


class Look(threading.Thread):
    """Looks at one thing beside the others; a client that does not come back is left behind."""

    def __init__(self, what: str, looked: Callable[[], str]) -> None:
        super().__init__(name=what, daemon=True)
        self.is_refused = False
        self._looked = looked
        self._finding = Finding(what, f"no answer within {SECONDS} s", is_good=False)
        self.start()

    def run(self) -> None:
        try:
            self._finding = Finding(self.name, self._looked(), is_good=True)
        except Exception as error:
            self.is_refused = isinstance(error, Refused)
            says = str(error) if isinstance(error, (Refused, Failed)) else f"{type(error).__name__}: {error}"
            self._finding = Finding(self.name, says, is_good=False)

    def finding(self, until: float) -> Finding:
        self.join(max(0, until - time.monotonic()))
        return self._finding


def check(prepare: Callable[[], None], *, as_json: bool) -> None:
    """Says how the warehouse is, which `prepare` reads from the environment, and the page's place."""
    until = time.monotonic() + SECONDS
    looks = [Look("database", lambda: database(prepare)), Look("report", report)]
    findings = [look.finding(until) for look in looks]
    if as_json:
        say(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            say(f"{'ok' if finding.is_good else 'not ok'}: {finding.what}: {finding.says}")
    bad = "; ".join(f"{finding.what}: {finding.says}" for finding in findings if not finding.is_good)
    if bad:
        raise (Refused if any(look.is_refused for look in looks) else Failed)(bad)


def database(prepare: Callable[[], None]) -> str:
    prepare()
    warehouse.connect(SECONDS).close()
    return f"PostgreSQL lets {warehouse.place()} in"


def report() -> str:
    from report import destination

    url = os.environ.get("REPORT_URL")
    destination.open_destination(url).check()
    return f"{url} takes the page"
