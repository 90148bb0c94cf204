"""Made-up readings as strava-load makes a table of them, and a second way from them to the weather of an activity."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
from psycopg import sql

from landed import LOADER_COLUMNS

HOUR = timedelta(hours=1)
VALUES = (
    "temperature_celsius",
    "relative_humidity_percent",
    "dew_point_celsius",
    "apparent_temperature_celsius",
    "precipitation_millimetres",
    "weather_code",
    "cloud_cover_percent",
    "wind_speed_metres_per_second",
    "wind_direction_degrees",
    "wind_gusts_metres_per_second",
)
COLUMNS = (
    LOADER_COLUMNS
    | {"version": "integer", "event_id": "text", "location_id": "text"}
    | dict.fromkeys(("latitude", "longitude", "elevation_metres"), "double precision")
    | {"slot": "timestamptz", "slot_seconds": "integer", "source": "text", "model": "text", "fetched_at": "timestamptz"}
    | {name: "integer" if name == "weather_code" else "double precision" for name in VALUES}
    | {"_topic": "text", "_partition": "integer", "_offset": "bigint", "_timestamp": "timestamptz"}
)
LOCATIONS = {"lake": (52.1, 13.1), "hill": (52.2, 13.3)}
RANKS = {"forecast": 0, "historical_forecast": 1, "archive": 2}


def metres(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Great circle by the chord between two points of a sphere: not the formula that the models use."""

    def point(place: tuple[float, float]) -> tuple[float, float, float]:
        latitude, longitude = map(math.radians, place)
        return (
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        )

    return 2 * 6_371_000 * math.asin(min(1, math.dist(point(one), point(other)) / 2))


def span(activity: dict) -> tuple[datetime, datetime]:
    began = datetime.fromisoformat(activity["start_date"])
    return began, began + timedelta(seconds=activity["elapsed_time"])


def whole_hours(began: datetime, ended: datetime) -> list[datetime]:
    """From the one before the start to the one after the end."""
    first = began.replace(minute=0, second=0, microsecond=0)
    return [first + n * HOUR for n in range(math.ceil((ended - first) / HOUR) + 1)]


def backfilled(activities: list[dict]) -> list[dict]:
    """Readings of the hours of activities that have a track, as the producer's backfill asks for them, and more.

    Of some hours several sources speak, of some the forecast has no temperature, some have quarters of an hour.
    """
    found: dict[tuple, dict] = {}
    for activity in activities:
        if not activity["start_latlng"]:
            continue
        began, ended = span(activity)
        for hour in whole_hours(began, ended):
            number = int(hour.timestamp() // 3600)
            for location in LOCATIONS:
                sources = (
                    ["archive"] + (["historical_forecast"] if number % 2 else []) + (["forecast"] if number % 3 else [])
                )
                for source in sources:
                    add(found, reading(location, hour, 3600, source, empty=source == "forecast" and number % 5 == 0))
                if number % 4 == 0:
                    for quarter in range(4 if number % 8 else 3):
                        add(found, reading(location, hour - quarter * HOUR / 4, 900, "forecast"))
    return list(found.values())


def add(found: dict, one: dict) -> None:
    found[one["event_id"]] = one


def reading(location: str, slot: datetime, slot_seconds: int, source: str, empty: bool = False) -> dict:
    """Smooth in time, another at each place, source and length of slot; wind turns through north."""
    latitude, longitude = LOCATIONS[location]
    hours = slot.timestamp() / 3600
    shift = RANKS[source] + len(location) % 3 + slot_seconds / 3600 + latitude
    celsius = 12 + 9 * math.sin(hours / 5 + shift) - 12 * math.cos(hours / 8766 * 2 * math.pi)
    rain = max(0.0, round(2 * math.sin(hours / 3 + shift) - 1.2, 1)) * slot_seconds / 3600
    values = (
        round(celsius, 1),
        round(60 + 30 * math.cos(hours / 7 + shift)),
        round(celsius - 5, 1),
        round(celsius - 2, 1),
        round(rain, 2),
        3,
        round(50 + 50 * math.sin(hours / 4)),
        round(5 + 4 * math.sin(hours / 6 + shift), 2),
        round((hours * 37 + 40 * shift) % 360),
        round(9 + 4 * math.sin(hours / 6 + shift), 2),
    )
    event_id = hashlib.sha256(f"{location}|{slot:%Y-%m-%dT%H:%M:%SZ}|{slot_seconds}|{source}".encode()).hexdigest()[:32]
    return {
        "_stream": "weather",
        "_id": event_id,
        "_athlete_id": None,
        "_fetched_at": slot,
        "_origin": source,
        "_row_hash": 1,
        "_deleted": False,
        "_load_id": "1",
        "_source_file": "somewhere",
        "_source_row": 1,
        "_loaded_at": slot,
        "version": 1,
        "event_id": event_id,
        "location_id": location,
        "latitude": latitude,
        "longitude": longitude,
        "elevation_metres": 40.0,
        "slot": slot,
        "slot_seconds": slot_seconds,
        "source": source,
        "model": "best_match",
        "fetched_at": slot,
        **dict(zip(VALUES, values if not empty else [None] * len(VALUES), strict=True)),
        "_topic": "weather",
        "_partition": 0,
        "_offset": 1,
        "_timestamp": slot,
    }


def fill_weather(warehouse: psycopg.Connection, readings: list[dict]) -> None:
    """Makes the raw table anew."""
    table = sql.Identifier("weather", "ods_weather__readings")
    warehouse.execute("drop schema if exists weather cascade")
    warehouse.execute("create schema weather")
    typed = sql.SQL(", ").join(sql.SQL("{} " + type_).format(sql.Identifier(name)) for name, type_ in COLUMNS.items())
    warehouse.execute(sql.SQL("create table {} ({})").format(table, typed))
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    with warehouse.cursor() as cursor, cursor.copy(sql.SQL("copy {} ({}) from stdin").format(table, names)) as copy:
        for one in readings:
            copy.write_row([one[name] for name in COLUMNS])


class Hours:
    """What holds of a location at a whole hour."""

    def __init__(self, readings: list[dict]) -> None:
        self._best: dict[tuple[str, datetime], dict] = {}
        self._sums: dict[tuple[str, str, datetime], list[float]] = {}
        self._rain: dict[tuple[str, datetime], tuple[int, float]] = {}
        for one in readings:
            hour = datetime.fromtimestamp(math.ceil(one["slot"].timestamp() / 3600) * 3600, UTC)
            at, rank = (one["location_id"], hour), RANKS[one["source"]]
            if one["slot"] == hour and one["temperature_celsius"] is not None:
                held = self._best.get(at)
                if held is None or (rank, one["slot_seconds"]) < (RANKS[held["source"]], held["slot_seconds"]):
                    self._best[at] = one
            if one["precipitation_millimetres"] is None:
                continue
            if one["slot_seconds"] == 900:
                self._sums.setdefault((*at, one["source"]), []).append(one["precipitation_millimetres"])
            elif at not in self._rain or rank < self._rain[at][0]:
                self._rain[at] = (rank, one["precipitation_millimetres"])

    def __getitem__(self, at: tuple[str, datetime]) -> dict | None:
        return self._best.get(at)

    def rain(self, at: tuple[str, datetime]) -> float | None:
        """What fell in the hour that ends then."""
        quarters = self._sums.get((*at, self._best[at]["source"]), [])
        if self._best[at]["slot_seconds"] == 900 and len(quarters) == 4:
            return round(sum(quarters), 6)
        return self._rain[at][1] if at in self._rain else None


def weather_of(activity: dict, hours: Hours) -> dict | None:
    """The weather of an outdoor activity; None without enough readings. Each piece is summed up in small steps."""
    began, ended = span(activity)
    seconds = (ended - began).total_seconds()
    marks = [
        began + (ended - began) * n * 10_000 / activity["distance"]
        for n in range(1, 1000)
        if n * 10_000 < activity["distance"]
    ]
    cuts = sorted({began, ended, *marks, *(h for h in whole_hours(began, ended) if began < h < ended)})
    start, end = activity["start_latlng"], activity["end_latlng"]
    sums = dict.fromkeys(("seconds", "air", "speed", "east", "north", "rain"), 0.0)
    wet, unknown = False, False
    for first, last in pairwise(cuts):
        length = (last - first).total_seconds()
        part = ((first - began).total_seconds() + length / 2) / seconds
        place = tuple(a + part * (b - a) for a, b in zip(start, end, strict=True))
        before = (first + (last - first) / 2).replace(minute=0, second=0, microsecond=0)
        near = sorted((metres(place, at), name) for name, at in LOCATIONS.items())
        fit = [n for away, n in near if away <= 25_000 and hours[n, before] and hours[n, before + HOUR]]
        if not fit:
            unknown = True
            continue
        one, other = hours[fit[0], before], hours[fit[0], before + HOUR]
        steps = 200
        for step in range(steps):
            at = ((first - before).total_seconds() + length * (step + 0.5) / steps) / 3600
            for name, value in {
                "air": lambda r: r["temperature_celsius"],
                "speed": lambda r: r["wind_speed_metres_per_second"],
                "east": lambda r: (
                    r["wind_speed_metres_per_second"] * math.sin(math.radians(r["wind_direction_degrees"]))
                ),
                "north": lambda r: (
                    r["wind_speed_metres_per_second"] * math.cos(math.radians(r["wind_direction_degrees"]))
                ),
            }.items():
                sums[name] += ((1 - at) * value(one) + at * value(other)) * length / steps
        rain = hours.rain((fit[0], before + HOUR))
        sums["seconds"] += length
        unknown |= rain is None
        wet |= (rain or 0) >= 0.1
    if sums["seconds"] < 0.8 * seconds:
        return None
    return {
        "coverage": sums["seconds"] / seconds,
        **{name: sums[name] / sums["seconds"] for name in ("air", "speed", "east", "north")},
        "is_rainy": True if wet else None if unknown else False,
    }
