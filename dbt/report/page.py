"""Puts the page together: headline numbers, a section per chart, one template, one script."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import jinja2
import psycopg
import vl_convert

from report import destination
from report.charts import calendar, pace_temperature, training_load, year_progress
from report.headline import headline
from report.marts import Marts, open_marts
from report.section import Section, columns
from report.theme import FONT, THEMES

HERE = Path(__file__).resolve().parent
# Altair's specifications name this version of Vega-Lite; the bundle must be of the same.
VEGA_LITE = "6.4"
CHARTS = (year_progress, training_load, pace_temperature, calendar)


def publish(database_url: str, target: Path, report_url: str | None) -> dict:
    """Draws the page from the marts in `database_url` and writes it; gives counts for the closing line."""
    place = destination.open_destination(report_url)
    with psycopg.connect(database_url) as warehouse:
        marts, others = open_marts(warehouse, target / "manifest.json", os.environ.get("STRAVA_ATHLETE_ID"))
        page, drawn = render(marts, others)
    encoded = page.encode()
    return {"page": place.write(encoded), "page_bytes": len(encoded), "charts": drawn}


def render(marts: Marts, other_athletes: int = 0) -> tuple[str, int]:
    """The page, and the number of charts on it."""
    sections = [chart.section(marts) for chart in CHARTS]
    drawn = [section for section in sections if section.missing is None]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("page.html.j2").render(
        headline=headline(marts),
        sections=sections,
        other_athletes=other_athletes,
        themes={name: asdict(theme) for name, theme in THEMES.items()},
        font=FONT,
        charts=script_json([as_json(section) for section in drawn]),
        script=script() if drawn else "",
    )
    return page, len(drawn)


def as_json(section: Section) -> dict:
    return {
        "key": section.key,
        "specs": section.specs(THEMES),
        "datasets": {name: columns(rows) for name, rows in section.datasets.items()},
    }


def script() -> str:
    """Vega, Vega-Lite, Embed and our own few lines as one module."""
    bundle = vl_convert.javascript_bundle((HERE / "page.js").read_text(), vl_version=VEGA_LITE)
    return bundle.replace("</script", "<\\/script")


def script_json(value: object) -> str:
    """JSON that may stand in a script element."""

    def plain(other: object) -> object:
        if isinstance(other, Decimal):
            return float(other)
        if isinstance(other, date):
            return other.isoformat()
        raise TypeError(f"{type(other).__name__} cannot be in a chart's data")

    return json.dumps(value, default=plain, separators=(",", ":")).replace("<", "\\u003c")
