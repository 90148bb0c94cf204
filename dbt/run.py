#!/usr/bin/env python3
"""Runs dbt or the training report on DATABASE_URL, and closes with one JSON line as every task does.

usage: run.py build | test | source freshness | ...   any dbt command with its options
       run.py report                                   draws the page from the marts into REPORT_URL
       run.py checksum                                 one line per mart: rows and checksum of what they hold
       run.py check                                    database and REPORT_URL, changing nothing
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

import database_url
from errors import Failed, Refused
from logs import log, say

HERE = Path(__file__).resolve().parent
ATTEMPTS = 3
# What a server says about names and credentials; anything else may pass by itself.
REFUSALS = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry", "certificate")


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
        prepare_environment()
        wait_for_database()
        if arguments[0] == "report":
            counts = draw(arguments[1:])
        elif arguments[0] == "checksum":
            counts = checksum()
        elif arguments[0] == "check":
            counts = check()
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
    zone = os.environ.get("HOME_TIMEZONE", "UTC")
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise Refused(f"HOME_TIMEZONE is '{zone}', which is no IANA name; write one such as Europe/Berlin") from None


def wait_for_database() -> None:
    """Connects once, so that nothing starts that cannot work; tries again while the server may be starting."""
    import psycopg

    place = "{DBT_USER} at {DBT_HOST}:{DBT_PORT}/{DBT_DBNAME}".format_map(os.environ)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=10).close()
            return
        except psycopg.OperationalError as error:
            reason = str(error).strip().splitlines()[0]
        if any(refusal in reason for refusal in REFUSALS):
            raise Refused(f"connect to PostgreSQL as {place}: {reason}; check DATABASE_URL")
        if attempt < ATTEMPTS:
            time.sleep(2 ** (attempt - 1))
    raise Failed(f"connect to PostgreSQL as {place}, {ATTEMPTS} times: {reason}")


def run_dbt(arguments: list[str]) -> tuple[dict, BaseException | None]:
    """Runs dbt in this process, its log lines through ours; gives the counts and what went wrong."""
    from dbt.cli.exceptions import DbtUsageException
    from dbt.cli.main import dbtRunner
    from dbt.exceptions import CompilationError, DbtConfigError, ParsingError

    def on_event(event) -> None:
        if event.info.level not in ("debug", "test") and not event.info.name.endswith("StartLine"):
            log(event.info.level, event.info.msg, event.info.name)

    outcome = dbtRunner(callbacks=[on_event]).invoke(["--log-level", "none", *arguments])
    if isinstance(outcome.exception, (DbtUsageException, DbtConfigError, CompilationError, ParsingError)):
        return {}, Refused(f"dbt {arguments[0]}: {outcome.exception}")
    if isinstance(outcome.exception, KeyboardInterrupt):
        return {}, outcome.exception
    if outcome.exception is not None:
        return {}, Failed(f"dbt {arguments[0]}: {outcome.exception}")
    counts = count(getattr(outcome.result, "results", None) or [])
    if not outcome.success:
        return counts, Failed(
            f"dbt {arguments[0]}: {counts['failed']} failed, {counts['skipped']} skipped because of them"
        )
    return counts, None


def count(results: list) -> dict:
    """What dbt did, in numbers: models built, tests passed, and what did not go well."""
    good = Counter(str(r.node.resource_type) for r in results if r.status in ("success", "pass", "warn"))
    bad = Counter(str(r.status) for r in results)
    return {
        "models": good["model"],
        "tests": good["test"] + good["unit_test"],
        "warned": bad["warn"],
        "failed": bad["fail"] + bad["error"],
        "skipped": bad["skipped"],
    }


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


def check() -> dict:
    from report import destination

    destination.open_destination(os.environ.get("REPORT_URL")).check()
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
