"""The weather of activities, from raw tables to the page."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from browser import Browser, until
from conftest import DBT
from landed import TODAY, fill, history
from report.charts import pace_temperature
from weather import Hours, backfilled, fill_weather, metres, weather_of

RECORDED = DBT.parent.parent / "shared" / "data" / "strava" / "api" / "activities.ndjson"


def test_the_second_implementation_knows_the_distance_by_heart():
    assert metres((52, 13), (52.1, 13.1)) == pytest.approx(13_053.9, abs=0.05)


@pytest.fixture(scope="module")
def rained_on(warehouse, build) -> tuple[list[dict], list[dict]]:
    """Activities and readings, built."""
    activities = history()
    readings = backfilled(activities)
    fill(warehouse, activities, [])
    fill_weather(warehouse, readings)
    built = build()
    assert (built.code, built.closing["failed"], built.closing["warned"]) == (0, 0, 0), built.log
    return activities, readings


def test_every_activity_has_the_weather_that_a_second_implementation_finds(warehouse, rained_on):
    activities, readings = rained_on
    hours = Hours(readings)
    rows = warehouse.execute("""
        select
            activity_id, status, coverage, temperature_celsius, wind_speed_metres_per_second,
            wind_resultant_metres_per_second, wind_direction_degrees, is_rainy
        from marts.activity_weather
    """).fetchall()
    assert len(rows) == len(activities)
    found = {id_: values for id_, *values in rows}
    kinds = set()
    for activity in activities:
        status, coverage, air, speed, resultant, direction, is_rainy = found[activity["id"]]
        if activity["trainer"]:
            expected_status, expected = "indoors", None
        elif not activity["start_latlng"]:
            expected_status, expected = "no_place", None
        else:
            expected = weather_of(activity, hours)
            expected_status = "known" if expected else "no_readings"
        assert status == expected_status, activity
        kinds.add((status, is_rainy, coverage == 1))
        if expected is None:
            assert (coverage, air, speed, resultant, direction, is_rainy) == (None,) * 6
            continue
        assert coverage == pytest.approx(expected["coverage"], abs=1e-4)
        assert air == pytest.approx(expected["air"], abs=0.006)
        assert speed == pytest.approx(expected["speed"], abs=0.001)
        assert resultant == pytest.approx(math.hypot(expected["east"], expected["north"]), abs=0.001)
        turned = math.radians(direction) - math.atan2(expected["east"], expected["north"])
        assert math.degrees(math.acos(math.cos(turned))) < 0.1
        assert is_rainy is expected["is_rainy"], activity
    assert {status for status, *_ in kinds} == {"known", "indoors", "no_place", "no_readings"}
    assert {("known", True, True), ("known", False, True), ("known", None, False)} <= kinds


def test_a_session_in_a_zone_of_half_hours_changes_nothing(rained_on, run):
    before = run("checksum").closing["checksums"]
    again = run("run", "--vars", json.dumps({"today": TODAY}), PGTZ="Asia/Kolkata")
    assert again.code == 0, again.log
    assert run("checksum").closing["checksums"] == before


def test_no_mart_has_a_coordinate(rained_on, warehouse):
    columns = warehouse.execute("select column_name from information_schema.columns where table_schema = 'marts'")
    names = [name for (name,) in columns]
    assert "temperature_celsius" in names
    assert [name for name in names if any(word in name for word in ("latitude", "longitude", "latlng"))] == []


@pytest.fixture(scope="module")
def page(rained_on, run) -> str:
    """The page about activities of which some have weather."""
    drawn = run("report")
    assert (drawn.code, drawn.closing["charts"]) == (0, 4), drawn.log
    return drawn.closing["page"]


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_runs_are_drawn_with_whose_weather_it_is(page: str, browser: Browser, width: int, scheme: str):
    browser.open(page, width, scheme)
    chart = "document.querySelector('#pace_temperature svg')"
    marks = browser.evaluate(f"{chart}.querySelectorAll('.mark-symbol.role-mark path').length")
    assert f"Scatter plot of {marks} runs" in browser.evaluate(f"{chart}.ariaLabel")
    assert marks > 50
    links = browser.evaluate(
        "[...document.querySelectorAll('#pace_temperature .source a')].map(a => [a.innerText, a.href])"
    )
    assert links == [
        ["Weather data by Open-Meteo.com", "https://open-meteo.com/"],
        ["CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"],
    ]
    assert browser.evaluate("document.querySelector('#pace_temperature .source').getBoundingClientRect().height") > 10
    assert "not what heat does to you" in browser.evaluate(
        "document.querySelector('#pace_temperature .lead').innerText"
    )
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.complaints() == []
    assert browser.requests() == []


def test_felt_temperature_moves_the_marks(page: str, browser: Browser):
    browser.open(page, 1400, "light")
    marks = "[...document.querySelectorAll('#pace_temperature .mark-symbol.role-mark path')]"
    places = f"{marks}.map(p => p.getAttribute('transform')).join()"
    air = browser.evaluate(places)
    browser.evaluate('document.querySelector(\'#pace_temperature input[value="\\\\"felt\\\\""]\').click()')
    until(lambda: browser.evaluate(places) != air, "the marks to move")


def test_without_weather_a_sentence_stands_for_the_chart_and_nobody_is_credited(warehouse, build, run, browser):
    fill(warehouse, history(), [])
    assert build().code == 0
    drawn = run("report")
    assert (drawn.code, drawn.closing["charts"]) == (0, 3), drawn.log
    browser.open(drawn.closing["page"], 390, "dark")
    said = browser.evaluate("document.querySelector('#pace_temperature .missing').innerText")
    assert "knows the weather of none of" in said
    assert "weather-producer backfill" in said
    assert browser.evaluate("document.querySelectorAll('#pace_temperature svg').length") == 0
    assert "Open-Meteo" not in browser.evaluate("document.body.innerText")
    assert browser.complaints() == []


def test_readings_alone_are_green(warehouse, build):
    activities = history()
    fill(warehouse, [], [])
    fill_weather(warehouse, backfilled(activities[-5:]))
    built = build()
    assert (built.code, built.closing["failed"]) == (0, 0), built.log
    assert warehouse.execute("select count(*) from marts.activity_weather").fetchone() == (0,)


def test_a_page_before_any_run_says_so():
    assert "no outdoor run of 20 to 90 minutes" in pace_temperature.why_nothing([])


def test_runs_without_a_place_are_not_said_to_lack_readings(warehouse, build, run):
    """As after an export alone: no column of a place at all."""
    placeless = [{k: v for k, v in it.items() if not k.endswith("_latlng")} for it in history()]
    fill(warehouse, [], placeless)
    assert build().code == 0
    drawn = run("report")
    assert drawn.code == 0, drawn.log
    page = Path(drawn.closing["page"].removeprefix("file://")).read_text()
    assert "no start point" in page
    assert "no reading near" not in page


def test_the_advice_is_for_those_runs_that_it_can_help():
    said = pace_temperature.why_nothing(["no_place", "no_readings", "no_place"])
    assert "none of 3 outdoor runs: no reading near the 1 with a start point" in said
    assert "no reading near them" in pace_temperature.why_nothing(["no_readings"] * 2)
    assert "backfill" not in pace_temperature.why_nothing(["no_place", "no_time"])


def test_paces_are_written_and_ticked_in_minutes_and_seconds():
    assert [pace_temperature.minutes(s) for s in (299.6, 307, 3600)] == ["5:00", "5:07", "60:00"]
    assert pace_temperature.pace_ticks([281, 345]) == [270, 285, 300, 315, 330, 345]
    assert pace_temperature.pace_ticks([300, 300]) == [300, 310]
    for paces in ([200, 900], [281, 345], [100, 90_000]):
        ticks = pace_temperature.pace_ticks(paces)
        assert ticks[0] <= min(paces) < max(paces) <= ticks[-1]
        assert len(ticks) <= 9


def test_bands_hold_what_is_within_them_below_zero_too():
    runs = [
        {"air": air, "pace": pace, "heart_rate": rate, "is_rainy": rain}
        for air, pace, rate, rain in [
            (-0.1, 300, None, None),
            (0, 310, 150, True),
            (4.9, 330, 160, False),
            (5, 320, None, False),
        ]
    ]
    assert pace_temperature.by_band(runs).rows == [
        ["−5 °C to 0 °C", "1", "0", "5:00", "–"],
        ["0 °C to 5 °C", "2", "1", "5:20", "155"],
        ["5 °C to 10 °C", "1", "0", "5:20", "–"],
    ]


def test_runs_without_weather_are_counted():
    assert pace_temperature.left_out([{"status": "known"}]) == ""
    assert pace_temperature.left_out([{"status": "no_place"}]) == " Of 1 more run the weather is not known."


def test_the_recorded_activities_have_their_place(warehouse, build):
    if not RECORDED.exists():
        pytest.skip("../shared/data is not there")
    activities = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    fill(warehouse, activities, [], athlete=activities[0]["athlete"]["id"])
    assert build(today=f"{datetime.now(UTC):%Y-%m-%d}").code == 0
    statuses = dict(warehouse.execute("select status, count(*) from marts.activity_weather group by 1").fetchall())
    placed = [a for a in activities if a["start_latlng"]]
    assert statuses["no_readings"] == sum(1 for a in placed if not a["trainer"])
    assert statuses["indoors"] == sum(1 for a in activities if a["trainer"])
    assert sum(statuses.values()) == len(activities) == 1132
