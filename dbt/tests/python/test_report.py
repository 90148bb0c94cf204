"""Parts of the page that need no browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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


@pytest.fixture
def bucket(monkeypatch) -> Iterator[dict[str, bytes]]:
    """An S3 endpoint with one bucket, `reports`; what is put there is in the dictionary."""
    stored: dict[str, bytes] = {}

    class Endpoint(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known = self.path.split("?")[0].startswith("/reports")
            if known and self.command == "PUT":
                stored[self.path] = body
                stored["type"] = self.headers["Content-Type"]
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_HEAD = answer  # noqa: N815, as http.server names them

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    yield stored
    server.shutdown()


def test_a_page_goes_to_a_bucket(bucket):
    place = destination.open_destination("s3://reports/mine/")
    place.check()
    assert place.write(b"page") == "s3://reports/mine/index.html"
    assert bucket["type"] == "text/html; charset=utf-8"
    assert b"page" in bucket["/reports/mine/index.html"]


def test_a_bucket_that_is_not_there_is_refused(bucket):
    with pytest.raises(Refused, match="bucket nowhere of REPORT_URL"):
        destination.open_destination("s3://nowhere").write(b"page")


@pytest.mark.parametrize("url", ["", None, "/tmp/x", "file://host/x", "file:x", "s3://", "https://x/y"])
def test_another_address_is_refused(url):
    with pytest.raises(Refused, match="REPORT_URL"):
        destination.open_destination(url)
