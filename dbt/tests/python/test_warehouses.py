"""`dbt build` and the page on every kind of warehouse a person may have."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from browser import Browser, until
from conftest import DBT
from landed import TODAY, as_export, fill, history
from weather import backfilled, fill_weather

BERLIN = ZoneInfo("Europe/Berlin")
LAST_DAY = date.fromisoformat(TODAY)
CHARTS = ["year_progress", "training_load", "pace_temperature", "calendar"]
RECORDED = DBT.parent.parent / "shared" / "data" / "strava" / "api" / "activities.ndjson"


def test_an_empty_warehouse_is_green_and_the_page_says_what_is_missing(warehouse, build, run, environment, browser):
    fill(warehouse, [], [])
    built = build(unit_tests=True)
    assert (built.code, built.closing["failed"], built.closing["warned"]) == (0, 0, 0), built.log
    assert built.closing["models"] == 11
    drawn = run("report")
    assert (drawn.code, drawn.closing["charts"]) == (0, 0), drawn.log
    browser.open(drawn.closing["page"], 390, "light")
    assert browser.evaluate("document.querySelectorAll('.missing').length") == len(CHARTS)
    assert "No activity" in browser.evaluate("document.body.innerText")
    assert browser.complaints() == []


def test_an_api_only_warehouse_has_one_row_per_activity(warehouse, build):
    activities = history()
    fill(warehouse, activities, [])
    built = build()
    assert (built.code, built.closing["failed"]) == (0, 0), built.log
    rows = warehouse.execute(
        "select count(*), sum(distance_metres), min(origin), bool_or(in_export) from marts.activities"
    )
    assert rows.fetchone() == (len(activities), pytest.approx(sum(a["distance"] for a in activities)), "api", False)
    agrees_with_the_recurrence(warehouse)
    agrees_with_plain_sums(warehouse, activities)


def test_an_export_only_warehouse_takes_local_dates_from_the_home_time_zone(warehouse, build):
    activities = history()
    fill(warehouse, [], [as_export(a) for a in activities])
    built = build()
    assert (built.code, built.closing["failed"]) == (0, 0), built.log
    rows = warehouse.execute("select activity_id, local_date, local_time_source from marts.activities").fetchall()
    expected = {a["id"]: datetime.fromisoformat(a["start_date"]).astimezone(BERLIN).date() for a in activities}
    assert {id_: day for id_, day, _ in rows} == expected
    assert {source for *_, source in rows} == {"home_timezone"}
    agrees_with_the_recurrence(warehouse)


@pytest.fixture(scope="module")
def both(warehouse, build) -> list[dict]:
    """Export and API overlap, the newest activity was deleted, a second athlete was active once; there is weather."""
    activities = history()
    fill(warehouse, activities[100:], [as_export(a) | {"name": "as exported"} for a in activities[:-50]])
    warehouse.execute("update strava.ods_strava__activities set _deleted = true where id = %s", [activities[-1]["id"]])
    warehouse.execute(
        "insert into strava.ods_strava__activities (_id, _athlete_id, _origin, sport_type, start_date, distance)"
        " values ('1', '999', 'api', 'Run', '2025-01-01T10:00:00Z', 5000)"
    )
    fill_weather(warehouse, backfilled(activities))
    built = build()
    assert (built.code, built.closing["failed"]) == (0, 0), built.log
    return activities


def test_with_both_the_api_wins_and_what_was_deleted_is_gone(warehouse, both):
    activities = both
    origins = dict(
        warehouse.execute("select origin, count(*) from marts.activities where athlete_id = 4711 group by 1").fetchall()
    )
    assert origins == {"export": 100, "api": len(activities) - 101}
    exported = warehouse.execute(
        "select count(*), min(origin) from marts.activities where name = 'as exported'"
    ).fetchone()
    assert exported == (100, "export")
    both = warehouse.execute(
        "select count(*) from marts.activities where in_api and in_export and energy_kilocalories = 500.5"
    )
    assert both.fetchone() == (len(activities) - 150,)
    gone = warehouse.execute("select count(*) from marts.activities where activity_id = %s", [activities[-1]["id"]])
    assert gone.fetchone() == (0,)


def test_a_rebuild_gives_the_same_marts(warehouse, both, build, run):
    before = run("checksum").closing["checksums"]
    for schema in ("marts", "intermediate", "staging"):
        warehouse.execute(f"drop schema {schema} cascade")
    assert build().code == 0
    assert run("checksum").closing["checksums"] == before
    assert sorted(before) == ["activities", "activity_weather", "training_load", "year_progress"]


@pytest.fixture(scope="module")
def page(both, run) -> str:
    """The address of the page about that warehouse; the file stays when the warehouse goes on."""
    drawn = run("report")
    assert (drawn.code, drawn.closing["charts"]) == (0, len(CHARTS)), drawn.log
    assert drawn.closing["page_bytes"] < 2_000_000
    return drawn.closing["page"]


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_drawn(page: str, browser: Browser, width: int, scheme: str):
    browser.open(page, width, scheme)
    marks = "s.querySelectorAll('.mark-line path, .mark-rect path, .mark-symbol path').length"
    counted = browser.evaluate(f"[...document.querySelectorAll('.chart svg')].map(s => {marks})")
    assert len(counted) == len(CHARTS)
    assert min(counted) >= 2, counted
    assert browser.evaluate("[...document.querySelectorAll('.chart svg')].every(s => s.ariaLabel.length > 40)")
    assert browser.evaluate("document.querySelectorAll('table tbody tr').length") > 30
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(246, 244, 239)", "dark": "rgb(18, 19, 21)"}[scheme]
    text = browser.evaluate("document.body.innerText")
    assert "Powered by Strava" in text
    assert "the warehouse has 1 more" in text
    assert f"{len(history()) - 1:,} activities" in text
    assert browser.complaints() == []
    assert browser.requests() == []


def test_a_choice_beside_a_chart_changes_it(page: str, browser: Browser):
    browser.open(page, 1400, "light")
    labels = "document.querySelector('#year_progress svg').textContent"
    assert " km" in browser.evaluate(labels)
    browser.evaluate('document.querySelector(\'#year_progress input[value="\\\\"hours\\\\""]\').click()')
    until(lambda: " km" not in browser.evaluate(labels), "the axis to lose its kilometres")


def test_the_recorded_activities_are_all_in_the_mart(warehouse, build):
    if not RECORDED.exists():
        pytest.skip("../shared/data is not there")
    activities = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    fill(warehouse, activities, [], athlete=activities[0]["athlete"]["id"])
    before = datetime.now(BERLIN).date()
    assert build(today=None).code == 0
    assert warehouse.execute("select count(*) from marts.activities").fetchone() == (1132,)
    [today] = warehouse.execute("select max(day) from marts.training_load").fetchone()
    assert before <= today <= datetime.now(BERLIN).date()
    agrees_with_the_recurrence(warehouse, today)
    agrees_with_plain_sums(warehouse, activities)


def agrees_with_the_recurrence(warehouse, today: date = LAST_DAY) -> None:
    """Fitness, fatigue and form of the mart beside a walk from day to day."""
    loads = dict(warehouse.execute("select local_date, sum(load) from marts.activities group by local_date").fetchall())
    rows = warehouse.execute("select day, load, ctl, atl, tsb from marts.training_load order by day").fetchall()
    assert [rows[0][0], rows[-1][0]] == [min(loads), today]
    ctl = atl = 0.0
    for number, (day, *found) in enumerate(rows):
        assert day == rows[0][0] + timedelta(days=number)
        load = loads.get(day, 0.0)
        tsb = ctl - atl
        ctl += (load - ctl) * (1 - math.exp(-1 / 42))
        atl += (load - atl) * (1 - math.exp(-1 / 7))
        assert found == pytest.approx([load, ctl, atl, tsb], abs=1e-3)


def agrees_with_plain_sums(warehouse, activities: list[dict]) -> None:
    """The last day of each year of `All` beside sums over the payloads."""
    ends = warehouse.execute("""
        select distinct on (year) year, distance_kilometres, activity_count
        from marts.year_progress where sport_group = 'All' order by year, day desc
    """).fetchall()
    for year, kilometres, number in ends:
        mine = [a for a in activities if a["start_date_local"].startswith(str(year))]
        assert (kilometres, number) == (pytest.approx(sum(a["distance"] for a in mine) / 1000, abs=1e-3), len(mine))
