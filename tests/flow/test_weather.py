"""The weather half of `make demo`: from Open-Meteo over Kafka to the mart, once and again."""

import json
import re

from conftest import World, demo
from test_demo import only_state, shared_folder


def test_every_reading_arrives_at_every_station_and_a_second_demo_doubles_none(state):
    readings = "select count(*), count(distinct event_id) from weather.ods_weather__readings"
    demo(state)
    with World(only_state(state), "--only", "postgres,mongodb") as world:
        ((rows, distinct),) = world.query(readings)
        assert rows == distinct == documents(world) > 1_000
        landed = world.landed("kafka")
    demo(state)
    with World(only_state(state), "--only", "postgres,mongodb") as world:
        ((rows, distinct),) = world.query(readings)
        assert rows == distinct == documents(world)
        # What landed stays as it is; a new slot of the running weather may have come.
        assert landed.items() <= world.landed("kafka").items()
        places = world.one("select count(*) from weather.ods_weather__readings where location_id like 'place_%'")
        assert places > 0


def test_most_outdoor_activities_know_their_weather_and_indoor_ones_have_none(state):
    demo(state)
    with World(only_state(state), "--only", "postgres") as world:
        by_status = dict(world.query("select status, count(*) from marts.activity_weather group by 1"))
        assert by_status["known"] > 0.9 * (sum(by_status.values()) - by_status["indoors"] - by_status["no_place"])
        assert world.one("select count(*) from marts.activity_weather") == world.one(
            "select count(*) from marts.activities"
        )
        weather = "temperature_celsius is not null or wind_speed_metres_per_second is not null"
        assert world.one(f"select count(*) from marts.activity_weather where status <> 'known' and ({weather})") == 0


def test_a_demo_whose_activities_have_no_start_leaves_the_weather_out_until_one_has(tmp_path_factory, tmp_path):
    state = shared_folder(tmp_path_factory)
    activities = tmp_path / "activities.ndjson"
    for starts, placed in (([None, []], 0), ([None, [], [52.5, 13.4]], 1)):
        activities.write_text("".join(json.dumps(ride(n, start)) + "\n" for n, start in enumerate(starts, 1)))
        said = demo(state, ACTIVITIES=str(activities))
        assert ("no activity has a start point" in said) == (not placed)
        places = [path.read_text().splitlines() for path in only_state(state).glob("locations.csv")]
        assert [len(lines) for lines in places] == [1 + placed] * placed
        assert re.search(rf"^  marts\.activities +{len(starts)}$", said, re.MULTILINE)


def ride(number: int, start: list | None) -> dict:
    """An activity as Strava lists it."""
    activity = {
        "id": 9_000_000_000 + number,
        "athlete": {"id": 4711},
        "name": f"ride {number}",
        "sport_type": "Ride",
        "distance": 20_000.0,
        "moving_time": 3600,
        "elapsed_time": 3700,
        "start_date": f"2025-10-0{number}T12:00:00Z",
        "start_date_local": f"2025-10-0{number}T14:00:00Z",
        "timezone": "(GMT+01:00) Europe/Berlin",
        "utc_offset": 7200.0,
    }
    return activity if start is None else activity | {"start_latlng": start, "end_latlng": start}


def documents(world: World) -> int:
    """Readings in MongoDB."""
    import pymongo

    with pymongo.MongoClient(world.env["MONGODB_URI"]) as client:
        return client[world.env["MONGODB_DATABASE"]][world.env["MONGODB_COLLECTION"]].count_documents({})
