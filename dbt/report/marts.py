"""Reads the marts that the exposure `training_report` names, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from errors import Failed, Refused

EXPOSURE = "exposure.data_voyager.training_report"


class Marts:
    """The exposed marts of one athlete, by name: `marts.rows("select day from {training_load} where {mine}")`."""

    def __init__(self, warehouse: psycopg.Connection, relations: dict[str, str], athlete_id: int | None) -> None:
        self._warehouse = warehouse
        self._relations = relations
        self.athlete_id = athlete_id

    def rows(self, query: str) -> list[dict]:
        """Runs `query`, in which {mart} stands for a mart and {mine} for the condition that a row is the athlete's."""
        mine = f"athlete_id = {int(self.athlete_id)}" if self.athlete_id is not None else "athlete_id is null"
        try:
            statement = query.format(**self._relations, mine=mine)
        except KeyError as unknown:
            raise KeyError(f"{unknown} is no mart that the exposure training_report depends on") from None
        try:
            with self._warehouse.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(statement).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise Failed(f"read the marts: {str(error).splitlines()[0]}; run `dbt/run.py build` first") from None


def relations(manifest: Path) -> dict[str, str]:
    """Name and address of every mart that the exposure depends on."""
    try:
        document = json.loads(manifest.read_text())
    except FileNotFoundError:
        raise Refused(f"{manifest} is not there; run `dbt/run.py build` first") from None
    return {
        document["nodes"][node]["name"]: document["nodes"][node]["relation_name"]
        for node in document["exposures"][EXPOSURE]["depends_on"]["nodes"]
    }


def open_marts(warehouse: psycopg.Connection, manifest: Path, wanted: str | None) -> tuple[Marts, int]:
    """The marts of the athlete wanted, else of the one who was active last; and how many other athletes there are."""
    if wanted and not wanted.isdigit():
        raise Refused(f"STRAVA_ATHLETE_ID is '{wanted}', which is no number")
    found = relations(manifest)
    everyone = Marts(warehouse, found, None).rows(
        "select athlete_id from {activities} group by athlete_id order by max(started_at) desc nulls last, athlete_id"
    )
    athletes = [row["athlete_id"] for row in everyone]
    chosen = int(wanted) if wanted else next(iter(athletes), None)
    return Marts(warehouse, found, chosen), len([a for a in athletes if a != chosen])
