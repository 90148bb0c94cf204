"""A checksum of each mart's content, whatever the order of its rows: a rebuild from the same input gives the same."""

from __future__ import annotations

import psycopg
from psycopg import sql

MARTS = "select table_name from information_schema.tables where table_schema = 'marts' order by table_name"
DIGEST = """
    select count(*), md5(coalesce(string_agg(digest, '' order by digest), ''))
    from (select md5(t::text) as digest from {} as t) as digests
"""


def of_marts(database_url: str) -> dict[str, tuple[int, str]]:
    """Rows and MD5 of every table in the schema `marts`."""
    with psycopg.connect(database_url) as warehouse:
        # text of times and doubles depends on these two
        warehouse.execute("set time zone 'UTC'")
        warehouse.execute("set extra_float_digits = 1")
        marts = [name for (name,) in warehouse.execute(MARTS)]
        return {
            mart: warehouse.execute(sql.SQL(DIGEST).format(sql.Identifier("marts", mart))).fetchone() for mart in marts
        }
