"""The demo's weather half: which places are asked for, and what is in MongoDB."""

import csv
import os
from pathlib import Path

# Where activities often begin, about 10 km apart: the places that a person would put into WEATHER_LOCATIONS.
PLACES = """
    select avg(start_latlng[1])::numeric(7, 2), avg(start_latlng[2])::numeric(8, 2)
    from strava.ods_strava__activities
    where not _deleted and cardinality(start_latlng) = 2
    group by round(start_latlng[1]::numeric, 1), round(start_latlng[2]::numeric, 1)
    order by count(*) desc, 1, 2
    limit 5
"""


def locations(path: Path) -> int:
    """Writes the athlete's usual places as WEATHER_LOCATIONS, once: an id must not move. Returns how many there are."""
    import psycopg

    if not path.exists():
        with psycopg.connect(os.environ["DATABASE_URL"]) as warehouse, path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["location_id", "name", "latitude", "longitude", "timezone"])
            places = warehouse.execute(PLACES).fetchall()
            rows.writerows([f"place_{n}", f"place {n}", *place, "UTC"] for n, place in enumerate(places, 1))
    return len(path.read_text().splitlines()) - 1


def documents() -> int:
    """Readings in MongoDB."""
    import pymongo

    with pymongo.MongoClient(os.environ["MONGODB_URI"]) as client:
        return client[os.environ["MONGODB_DATABASE"]][os.environ["MONGODB_COLLECTION"]].count_documents({})
