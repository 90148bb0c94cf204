"""Log lines as the other tasks write them: text on stderr for a person, flat JSON on stdout otherwise."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime


def log(level: str, message: str, event: str | None = None) -> None:
    """Writes one line; `event` is dbt's name of what happened."""
    message = message.strip()
    if not message:
        return
    wanted = os.environ.get("LOG_FORMAT") or ("text" if sys.stderr.isatty() else "json")
    if wanted == "text":
        print(f"{datetime.now(UTC):%H:%M:%S} {level.upper():5} {message}", file=sys.stderr, flush=True)
        return
    line = {"timestamp": datetime.now(UTC).isoformat(), "level": level.upper(), "message": message, "task": "dbt"}
    print(json.dumps(line | ({"dbt.event": event} if event else {})), flush=True)


def say(line: str) -> None:
    """Prints what a command was asked for."""
    print(line, flush=True)
