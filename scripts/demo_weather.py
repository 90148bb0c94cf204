"""The demo's weather half: which places are asked for, and what is in MongoDB."""

import csv
import os
from pathlib import Path

# Where activities often begin, about 10 km apart: the places that a person would put into WEATHER_LOCATIONS. The column
# is what the payloads had: it is missing where no activity has a start, and jsonb where all of them have an empty one.
PLACES = """
    with starts as (
        select fields -> 'start_latlng' -> 0 as latitude, fields -> 'start_latlng' -> 1 as longitude
        from strava.ods_strava__activities as activity,
            lateral (select to_jsonb(activity) as fields) as json
        where _deleted is not true
    )
    select avg(latitude::numeric)::numeric(7, 2), avg(longitude::numeric)::numeric(8, 2)
    from starts
    where jsonb_typeof(latitude) = 'number' and jsonb_typeof(longitude) = 'number'
    group by round(latitude::numeric, 1), round(longitude::numeric, 1)
    order by count(*) desc, 1, 2
    limit 5
"""
HEADER = ["location_id", "name", "latitude", "longitude", "timezone"]


def locations(path: Path) -> int:
    """Writes the athlete's usual places as WEATHER_LOCATIONS, once: an id must not move. Returns how many there are.

    Without any place there is no file, so that the next demo looks again.
    """
    if written := places_in(path):
        return written
    places = usual_places()
    if places:
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(HEADER)
            rows.writerows([f"place_{n}", f"place {n}", *place, "UTC"] for n, place in enumerate(places, 1))
    return len(places)


def places_in(path: Path) -> int:
    """Lines below the header; a demo that was killed may have left the header alone."""
    return max(0, len(path.read_text().splitlines()) - 1) if path.exists() else 0


def usual_places() -> list[tuple]:
    """Pairs of latitude and longitude, the most frequent first; none before the first activity was loaded."""
    import psycopg

    with psycopg.connect(os.environ["DATABASE_URL"]) as warehouse:
        try:
            return warehouse.execute(PLACES).fetchall()
        except psycopg.errors.UndefinedTable:
            return []


def documents() -> int:
    """Readings in MongoDB."""
    import pymongo

    with pymongo.MongoClient(os.environ["MONGODB_URI"]) as client:
        return client[os.environ["MONGODB_DATABASE"]][os.environ["MONGODB_COLLECTION"]].count_documents({})
