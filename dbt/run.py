#!/usr/bin/env python3
"""Runs dbt or the training report on DATABASE_URL, and closes with one JSON line as every task does.

usage: run.py build | test | source freshness | ...   any dbt command with its options
       run.py report                                   draws the page from the marts into REPORT_URL
       run.py checksum                                 one line per mart: rows and checksum of what they hold
       run.py check [--json]                           database and REPORT_URL, in ten seconds, changing nothing
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
import traceback
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import check
import database_url
import warehouse
from errors import Failed, Refused
from logs import log, say

HERE = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(__doc__.strip(), file=sys.stderr)
        return 0
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # dbt cancels its queries on KeyboardInterrupt
    counts: dict = {}
    failure: BaseException | None = None
    try:
        if not arguments:
            raise Refused(f"no command given\n{__doc__.strip()}")
        if arguments[0] != "check":
            prepare_environment()
            warehouse.wait()
        if arguments[0] == "check":
            check.check(prepare_environment, as_json=as_json(arguments[1:]))
        elif arguments[0] == "report":
            counts = draw(arguments[1:])
        elif arguments[0] == "checksum":
            counts = checksum()
        else:
            counts, failure = run_dbt(arguments)
    except (Refused, Failed, KeyboardInterrupt) as error:
        failure = error
    except Exception as error:  # a defect of ours: the trace helps, and the closing line still comes
        log("error", traceback.format_exc())
        failure = Failed(f"{arguments[0]}: {type(error).__name__}")
    return close(arguments[0] if arguments else None, failure, counts, time.monotonic() - started)


def close(command: str | None, failure: BaseException | None, counts: dict, seconds: float) -> int:
    """Writes the closing line and gives the exit code."""
    usable = bool(counts.get("models"))
    if failure is None:
        code, status = 0, "succeeded"
    elif isinstance(failure, Refused):
        code, status = 2, "failed"
    else:
        code = 143 if isinstance(failure, KeyboardInterrupt) else 1
        status = "partial" if usable else "failed"
    if failure is not None:
        log("error", str(failure) or "stopped by a signal")
    line = {
        "task": "dbt",
        "command": command,
        "run_id": os.environ.get("RUN_ID") or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}",
        "status": status,
        "complete": code == 0,
        "resume_at": None,
        "duration_seconds": round(seconds, 1),
    }
    sys.stderr.flush()
    print(json.dumps(line | counts), flush=True)
    return code


def prepare_environment() -> None:
    """Sets what dbt reads: the pieces of DATABASE_URL, and where in this folder things lie."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise Refused("DATABASE_URL is not set; it says where the warehouse is")
    os.environ.update(database_url.variables(url))
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    places = {
        "DBT_PROJECT_DIR": HERE,
        "DBT_PROFILES_DIR": HERE,
        "DBT_TARGET_PATH": HERE / "target",
        "DBT_LOG_PATH": HERE / "logs",
    }
    for name, place in places.items():
        os.environ.setdefault(name, str(place))
    zone = os.environ.get("HOME_TIMEZONE") or "UTC"
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise Refused(f"HOME_TIMEZONE is '{zone}', which is no IANA name; write one such as Europe/Berlin") from None


def run_dbt(arguments: list[str]) -> tuple[dict, BaseException | None]:
    """Runs dbt in this process, its log lines through ours; gives the counts and what went wrong."""
    from dbt.cli.exceptions import DbtUsageException
    from dbt.cli.main import dbtRunner
    from dbt.exceptions import CompilationError, DbtConfigError, ParsingError

    finished: list[tuple[str, str]] = []

    def on_event(event) -> None:
        if event.info.name == "NodeFinished":
            finished.append((str(event.data.node_info.resource_type), str(event.data.run_result.status)))
        if event.info.level not in ("debug", "test") and not event.info.name.endswith("StartLine"):
            log(event.info.level, event.info.msg, event.info.name)

    outcome = dbtRunner(callbacks=[on_event]).invoke(["--log-level", "none", *arguments])
    if isinstance(outcome.exception, (DbtUsageException, DbtConfigError, CompilationError, ParsingError)):
        return {}, Refused(f"dbt {arguments[0]}: {outcome.exception}")
    results = getattr(outcome.result, "results", None) or []
    # What was stopped midway has no result, but what it had built by then is there.
    counts = count([(str(r.node.resource_type), str(r.status)) for r in results] or finished)
    if isinstance(outcome.exception, KeyboardInterrupt):
        return counts, outcome.exception
    if outcome.exception is not None:
        return counts, Failed(f"dbt {arguments[0]}: {outcome.exception}")
    if outcome.success or not forgive_what_never_landed(results, counts):
        return counts, None
    return counts, Failed(f"dbt {arguments[0]}: {counts['failed']} failed, {counts['skipped']} skipped because of them")


def count(finished: list[tuple[str, str]]) -> dict:
    """What dbt did, in numbers: models built, tests passed, and what did not go well; of (resource type, status)."""
    good = Counter(kind for kind, status in finished if status in ("success", "pass", "warn"))
    bad = Counter(status for _, status in finished)
    return {
        "models": good["model"],
        "tests": good["test"] + good["unit_test"],
        "warned": bad["warn"],
        "failed": bad["fail"] + bad["error"] + bad["runtime error"],
        "skipped": bad["skipped"],
    }


def forgive_what_never_landed(results: list, counts: dict) -> bool:
    """Names the sources without a table, which have no freshness to fail by; whether anything else went wrong."""
    failed = [r.node for r in results if str(r.status) == "runtime error" and str(r.node.resource_type) == "source"]
    sources = [(node.schema, node.identifier) for node in failed]
    absent = warehouse.absent(sources) if sources else []
    for table in absent:
        log("warn", f"{table} never landed, so nothing is said of its freshness")
    counts["failed"] -= len(absent)
    counts["skipped"] += len(absent)
    return not absent or counts["failed"] > 0


def draw(arguments: list[str]) -> dict:
    from report import page

    if arguments:
        raise Refused("report takes no options; REPORT_URL says where the page goes")
    target = Path(os.environ["DBT_TARGET_PATH"])
    if not (target / "manifest.json").exists():  # as a task of its own it finds nothing of the build's
        _, failure = run_dbt(["parse"])
        if failure:
            raise failure
    return page.publish(os.environ["DATABASE_URL"], target, os.environ.get("REPORT_URL"))


def checksum() -> dict:
    import checksums

    sums = checksums.of_marts(os.environ["DATABASE_URL"])
    for mart, (rows, digest) in sums.items():
        say(f"{digest}  {mart} ({rows} rows)")
    return {"checksums": {mart: digest for mart, (_, digest) in sums.items()}}


def as_json(options: list[str]) -> bool:
    if options not in ([], ["--json"]):
        raise Refused("check takes --json and nothing else")
    return bool(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
