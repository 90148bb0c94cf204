"""The weather half of `make demo`: from Open-Meteo over Kafka to the mart, once and again."""

from conftest import World, demo
from test_demo import only_state


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


def documents(world: World) -> int:
    """Readings in MongoDB."""
    import pymongo

    with pymongo.MongoClient(world.env["MONGODB_URI"]) as client:
        return client[world.env["MONGODB_DATABASE"]][world.env["MONGODB_COLLECTION"]].count_documents({})
