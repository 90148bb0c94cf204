"""What a chart module hands to the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import altair as alt

from report.theme import Theme

Rows = list[dict]

# Days travel as numbers and become midnights of the reader's own zone: short, and never a day off.
DAY = "datetime(1970, 0, 1 + datum.day_number)"


def day_number(day: date) -> int:
    """Days since 1 January 1970, for `DAY`."""
    return (day - date(1970, 1, 1)).days


@dataclass(frozen=True)
class Control:
    """A choice beside a chart; it sets the chart's parameter `name`."""

    name: str
    label: str
    options: dict[str, object]  # what is shown -> the parameter's value; the first is the default


@dataclass(frozen=True)
class Table:
    """The same as the chart, for those who read rather than look."""

    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Credit:
    """Whose data a chart is made of, under which licence, and what was changed: said wherever it is shown."""

    text: str
    url: str
    licence: str
    licence_url: str
    change: str


@dataclass(frozen=True)
class Section:
    """A part of the page: a chart, or a sentence on what is missing for it."""

    key: str
    title: str
    lead: str
    missing: str | None = None
    description: str = ""
    datasets: dict[str, Rows] = field(default_factory=dict)
    draw: Callable[[Theme, bool], alt.TopLevelMixin] | None = None  # for a theme; True on a phone
    controls: list[Control] = field(default_factory=list)
    table: Table | None = None
    credit: Credit | None = None
    # Pixels after which the chart is cut until "show all" is pressed, on a wide page and on a phone.
    folded: tuple[int, int] | None = None

    def specs(self, themes: dict[str, Theme]) -> dict[str, dict]:
        """The chart for each theme and width; rows are not in it, the page has them once."""
        if self.draw is None:
            return {}
        return {
            f"{name}-{width}": self.draw(theme, width == "narrow").configure(**theme.config()).to_dict()
            for name, theme in themes.items()
            for width in ("wide", "narrow")
        }


def columns(rows: Rows) -> dict[str, list]:
    """Rows turned on their side: every name once instead of once a row."""
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
