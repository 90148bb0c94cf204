"""Takes DATABASE_URL apart for dbt, whose profile wants the pieces."""

from __future__ import annotations

from errors import Refused

# libpq's keyword -> the variable that profiles.yml reads
DBT_VARIABLES = {
    "host": "DBT_HOST",
    "port": "DBT_PORT",
    "user": "DBT_USER",
    "password": "DBT_PASSWORD",
    "dbname": "DBT_DBNAME",
    "sslmode": "DBT_SSLMODE",
    "sslrootcert": "DBT_SSLROOTCERT",
}
DEFAULTS = {"DBT_PORT": "5432", "DBT_SSLMODE": "prefer", "DBT_PASSWORD": "", "DBT_SSLROOTCERT": ""}
EXAMPLE = "write postgresql://user:password@host:5432/database"


def variables(url: str) -> dict[str, str]:
    """The environment that stands for `url`: DBT_* for the profile, libpq's own variables for whatever else it says.

    libpq itself reads the address, so that percent signs, sockets and keyword strings mean what they mean to psql.
    Messages never quote the address: pieces of the password may be in any part of a mistyped one.
    """
    import psycopg
    from psycopg import pq

    try:
        options = pq.Conninfo.parse(url.encode())
    except psycopg.Error:
        raise Refused(f"DATABASE_URL is no address that libpq understands; {EXAMPLE}, percent-encoded") from None
    found = dict(DEFAULTS)
    for option in options:
        if option.val is None:
            continue
        keyword, value = option.keyword.decode(), option.val.decode()
        if keyword in DBT_VARIABLES:
            found[DBT_VARIABLES[keyword]] = value
        elif option.envvar:
            found[option.envvar.decode()] = value
    for keyword in ("host", "user", "dbname"):
        if not found.get(DBT_VARIABLES[keyword]):
            raise Refused(f"DATABASE_URL names no {keyword}; {EXAMPLE}")
    if "@" in found["DBT_HOST"] or not found["DBT_PORT"].isdigit():
        raise Refused(
            f"DATABASE_URL has no plain host and port; {EXAMPLE}, and percent-encode '@' ':' '/' in the password"
        )
    return found
