"""Parts of the page that need no browser."""

from __future__ import annotations

import pytest

from errors import Refused
from report import destination
from report.charts import calendar
from report.headline import beside
from report.page import script_json
from report.theme import THEMES, contrast


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("name", THEMES)
def test_whatever_means_something_has_a_contrast_of_3_and_text_of_4_5(name):
    theme = THEMES[name]
    for colour in (theme.first, theme.second, theme.third, theme.past, *theme.ramp):
        assert contrast(colour, theme.surface) >= 3, colour
    for ground in (theme.page, theme.surface):
        assert contrast(theme.ink, ground) >= 4.5
        assert contrast(theme.muted, ground) >= 4.5
    steps = [contrast(colour, theme.surface) for colour in theme.ramp]
    assert steps == sorted(steps)


def test_thresholds_are_round_and_rise():
    assert calendar.thresholds([10] * 50) == [10, 15, 20, 25]
    assert calendar.thresholds([]) == [5, 10, 15, 20]
    assert calendar.thresholds(list(range(1, 101))) == [20, 40, 60, 80]


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        (110, {"year": 2024, "km": 100}, "10% more than by this day in 2024"),
        (90, {"year": 2024, "km": 100}, "10% less than by this day in 2024"),
        (100.1, {"year": 2024, "km": 100}, "as much as by this day in 2024"),
        (900, {"year": 2024, "km": 100}, "100 by this day in 2024"),
        (5, {"year": 2024, "km": 0}, "nothing by this day last year"),
        (5, None, "nothing by this day last year"),
    ],
)
def test_this_year_is_told_beside_last_year(now, before, said):
    assert beside({"year": 2025, "km": now}, before, "km") == said


def test_a_name_cannot_close_the_script():
    assert "</script" not in script_json({"name": "</script><b>"})


def test_a_page_appears_whole_in_its_directory(tmp_path):
    place = destination.open_destination((tmp_path / "a b" / "report").as_uri())
    place.check()
    assert not (tmp_path / "a b").exists()
    assert place.write(b"page") == (tmp_path / "a b" / "report" / "index.html").as_uri()
    assert [p.name for p in (tmp_path / "a b" / "report").iterdir()] == ["index.html"]


@pytest.mark.parametrize("url", ["", None, "/tmp/x", "file://host/x", "file:x", "s3://", "https://x/y"])
def test_another_address_is_refused(url):
    with pytest.raises(Refused, match="REPORT_URL"):
        destination.open_destination(url)
