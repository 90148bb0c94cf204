"""The connection to the warehouse, before dbt makes its own."""

from __future__ import annotations

import os
import time

from errors import Failed, Refused
from logs import log

ATTEMPTS = 3
# What a server says about names and credentials; anything else may pass by itself.
REFUSALS = ("authentication failed", "no password supplied", "does not exist", "no pg_hba.conf entry", "certificate")


def place() -> str:
    """Who connects to what, without the password."""
    return "{DBT_USER} at {DBT_HOST}:{DBT_PORT}/{DBT_DBNAME}".format_map(os.environ)


def connect(seconds: int = 10):
    """Opens a connection; Refused where a retry does not help."""
    import psycopg

    try:
        return psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=seconds)
    except psycopg.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
    if any(refusal in reason for refusal in REFUSALS):
        raise Refused(f"connect to PostgreSQL as {place()}: {reason}; check DATABASE_URL")
    raise Failed(f"connect to PostgreSQL as {place()}: {reason}")


def wait() -> None:
    """Connects once, so that nothing starts that cannot work; tries again while the server may be starting."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            connect().close()
            return
        except Failed as error:
            if attempt == ATTEMPTS:
                raise Failed(f"{error}; tried {ATTEMPTS} times") from None
            log("warn", f"{error}; trying again")
        time.sleep(2 ** (attempt - 1))


def absent(tables: list[tuple[str, str]]) -> list[str]:
    """Those of the tables, given as schema and name, that are not there: `schema.name`."""
    there = (
        "select from pg_class join pg_namespace on pg_namespace.oid = relnamespace where nspname = %s and relname = %s"
    )
    with connect() as warehouse:
        return [".".join(table) for table in tables if warehouse.execute(there, table).fetchone() is None]
