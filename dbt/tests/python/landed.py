"""Activities as Strava sends them, and the raw table as strava-load makes it of them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

ATHLETE = 4711
TODAY = "2026-03-15"

# Names that every table of the loader begins with, and their types.
LOADER_COLUMNS = {
    "_stream": "text",
    "_id": "text",
    "_athlete_id": "text",
    "_fetched_at": "timestamptz",
    "_origin": "text",
    "_row_hash": "bigint",
    "_deleted": "boolean",
    "_load_id": "text",
    "_source_file": "text",
    "_source_row": "bigint",
    "_loaded_at": "timestamptz",
}
NOT_COLUMNS_HERE = ("athlete", "map")


def history(seed: int = 1, days: int = 900) -> list[dict]:
    """Summary activities of one athlete in Berlin, up to a few days before TODAY, some of them odd."""
    chance = random.Random(seed)
    start = datetime(2026, 3, 12, 5, 0, tzinfo=UTC) - timedelta(days=days)
    activities = []
    for day in range(days):
        if chance.random() < 0.45:
            continue
        sport = chance.choices(("Run", "Ride", "Swim", "TomorrowsSport"), (6, 3, 1, 0.3))[0]
        began = start + timedelta(days=day, minutes=chance.randrange(900))
        offset = 7200 if 4 <= began.month <= 9 else 3600
        seconds = chance.randrange(1200, 9000)
        payload = {
            "id": 10_000_000_000 + day,
            "name": f"{sport} {day}",
            "sport_type": sport,
            "start_date": began.isoformat().replace("+00:00", "Z"),
            "start_date_local": (began + timedelta(seconds=offset)).replace(tzinfo=None).isoformat() + "Z",
            "timezone": "(GMT+01:00) Europe/Berlin",
            "utc_offset": float(offset),
            "moving_time": seconds,
            "elapsed_time": seconds + chance.randrange(600),
            "distance": round(seconds * {"Run": 2.6 + day % 9 / 10, "Ride": 7.5, "Swim": 0.9}.get(sport, 0), 1),
            "total_elevation_gain": chance.randrange(300),
            "trainer": chance.random() < 0.1,
            "commute": False,
            "manual": False,
            "suffer_score": None if chance.random() < 0.3 else float(seconds // 60),
        }
        activities.append(payload)
    # typed in by hand: no distance, no moving time
    activities[5] |= {"moving_time": 0, "distance": 0.0, "manual": True, "suffer_score": None}
    for activity in activities:
        activity |= track_ends(activity)
    return activities


def track_ends(activity: dict) -> dict:
    """Runs come back to where they started, rides go somewhere; the rest has no track."""
    number = activity["id"] % 97
    start = [round(52.05 + number / 1000, 6), round(13.05 + number / 700, 6)]
    if activity["sport_type"] == "Run":
        return {"start_latlng": start, "end_latlng": start}
    if activity["sport_type"] == "Ride":
        degrees = activity["distance"] / 1000 / (90 if number % 3 else 400)
        return {"start_latlng": start, "end_latlng": [round(start[0] + degrees, 6), round(start[1] - degrees / 2, 6)]}
    return {"start_latlng": [], "end_latlng": []}


def as_export(activity: dict) -> dict:
    """The same activity in a bulk export: UTC only, no offset, fewer fields, energy and gear by name."""
    kept = ("id", "name", "sport_type", "start_date", "moving_time", "elapsed_time", "distance", "suffer_score")
    kept += ("start_latlng", "end_latlng") if activity.get("start_latlng") else ()
    return {name: activity[name] for name in kept} | {"calories": 500.5, "gear_name": "Old shoe"}


def fill(warehouse: psycopg.Connection, api: list[dict], export: list[dict], athlete: int = ATHLETE) -> None:
    """Makes the raw table anew; without any activity there is none, as before the first landing. Weather goes."""
    for schema in ("strava", "weather", "staging", "intermediate", "marts"):
        warehouse.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))
    rows = [row(p, "api", athlete, "2026-03-14T00:00:00Z") for p in api]
    rows += [row(p, "export", athlete, "2025-12-01T00:00:00Z") for p in export]
    if not rows:
        return
    columns = dict(LOADER_COLUMNS)
    for landed in rows:
        for name, value in landed.items():
            if name not in LOADER_COLUMNS and value is not None:
                columns[name] = wider(columns.get(name), kind(name, value))
    table = sql.Identifier("strava", "ods_strava__activities")
    warehouse.execute("create schema strava")
    typed = sql.SQL(", ").join(sql.SQL("{} " + type_).format(sql.Identifier(name)) for name, type_ in columns.items())
    warehouse.execute(sql.SQL("create table {} ({})").format(table, typed))
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    with warehouse.cursor() as cursor, cursor.copy(sql.SQL("copy {} ({}) from stdin").format(table, names)) as copy:
        for landed in rows:
            copy.write_row([landed.get(name) for name in columns])


def row(payload: dict, origin: str, athlete: int, fetched_at: str) -> dict:
    values = {name: value for name, value in payload.items() if name not in NOT_COLUMNS_HERE}
    return values | {
        "_stream": "activities",
        "_id": str(payload["id"]),
        "_athlete_id": str(athlete),
        "_fetched_at": fetched_at,
        "_origin": origin,
        "_row_hash": hash(json.dumps(payload, sort_keys=True)) % 2**62,
        "_deleted": False,
        "_load_id": "1",
        "_source_file": "somewhere",
        "_source_row": 1,
        "_loaded_at": "2026-03-14T00:10:00Z",
    }


def kind(name: str, value: object) -> str:
    if name.startswith("start_date"):
        return "timestamptz"
    if isinstance(value, list):
        return "double precision[]"
    return {bool: "boolean", int: "bigint", float: "double precision"}.get(type(value), "text")


def wider(one: str | None, other: str) -> str:
    return "double precision" if one and one != other and "text" not in (one, other) else other
