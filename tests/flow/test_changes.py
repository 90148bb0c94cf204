"""What changes at Strava between two runs arrives at every station; what looks like a fault is refused."""

import pytest

from conftest import World


@pytest.fixture(scope="module")
def world(state):
    with World(state, "--only", "postgres,strava") as world:
        world.run("strava-extract", "api")
        world.run("strava-load", "sync")
        world.run("dbt/run.py", "build")
        yield world


def newest(world, count: int) -> list[tuple]:
    living = "strava.ods_strava__activities where not _deleted"
    return world.query(f"select id, distance from {living} order by start_date desc limit {count}")


def test_an_added_an_edited_a_backdated_and_a_deleted_activity_arrive_in_one_run(world):
    (edited, _), (deleted, _) = newest(world, 2)
    before = world.one("select count(*) from marts.activities")
    added = world.strava("POST", "/activities", {"sport_type": "Run", "distance": 12345.6})["id"]
    backdated = world.strava("POST", "/activities", {"sport_type": "Ride", "start_date": "2019-05-01T06:00:00Z"})["id"]
    world.strava("PATCH", f"/activities/{edited}", {"distance": 4321.5})
    world.strava("DELETE", f"/activities/{deleted}")

    counts = world.run("strava-extract", "api")["streams"]["activities"]
    assert {name: counts[name] for name in ("new", "changed", "deleted")} == {"new": 2, "changed": 1, "deleted": 1}
    loaded = world.run("strava-load", "sync")["tables"]["strava.ods_strava__activities"]
    assert (loaded["inserted"], loaded["updated"], loaded["deleted"]) == (2, 1, 1)
    world.run("dbt/run.py", "build")

    marts = dict(world.query("select activity_id::text, distance_metres from marts.activities"))
    assert len(marts) == before + 1
    assert marts[str(added)] == pytest.approx(12345.6)
    assert marts[str(edited)] == pytest.approx(4321.5)
    assert str(backdated) in marts
    assert str(deleted) not in marts
    assert world.one("select min(day)::text from marts.training_load") <= "2019-05-01"


def test_when_a_third_vanishes_at_once_nothing_is_buried_and_the_run_is_red(world):
    hidden = [number for (number,) in world.query("select id from strava.ods_strava__activities where not _deleted")]
    world.strava("PUT", "/hidden", {"ids": hidden[: len(hidden) * 30 // 100]})
    closing = world.run("strava-extract", "api", exit_code=1)
    assert closing["streams"]["activities"]["deleted"] == 0
    world.strava("PUT", "/hidden", {"ids": []})


def test_the_marts_are_the_same_when_everything_is_dropped_and_rebuilt(world):
    before = world.run("dbt/run.py", "checksum")["checksums"]
    for schema in ("marts", "intermediate", "staging", "strava", "strava_load"):
        world.execute(f"drop schema if exists {schema} cascade")
    world.run("strava-load", "sync")
    world.run("dbt/run.py", "build")
    assert world.run("dbt/run.py", "checksum")["checksums"] == before
