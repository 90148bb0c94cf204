"""Every day of every year as a cell, the fuller the more was done."""

from __future__ import annotations

import calendar as months
from datetime import date
from itertools import groupby, pairwise

import altair as alt

from report.marts import Marts
from report.section import DAY, Section, Table, day_number
from report.theme import Theme

TITLE = "Every day"
# Rows of a block: seven weekdays below a line of month names.
BLOCK = 8.9
# Columns to the left of the first week, for the year.
MARGIN = 3.6
CELL_PIXELS = {"wide": 15.0, "narrow": 11.0}
UNFOLDED_YEARS = {"wide": 4, "narrow": 2}


def section(marts: Marts) -> Section:
    """A block per year, on a phone one per half year; the newest first."""
    rows = marts.rows("""
        select
            days.day,
            days.load,
            days.activity_count as activities,
            coalesce(round((sum(activities.distance_metres) / 1000)::numeric, 1)::double precision, 0) as distance,
            coalesce(round((sum(activities.moving_time_seconds) / 3600)::numeric, 1)::double precision, 0) as hours
        from {training_load} as days
        left join {activities} as activities
            on days.athlete_id = activities.athlete_id and days.day = activities.local_date
        where days.{mine}
        group by days.day, days.load, days.activity_count
        order by days.day
    """)
    if not rows:
        return Section(
            key="calendar",
            title=TITLE,
            lead="",
            missing="marts.training_load has no row, so there is no day to show.",
        )
    steps = thresholds([row["load"] for row in rows if row["activities"]])
    first, last = rows[0]["day"].year, rows[-1]["day"].year
    years = last - first + 1
    return Section(
        key="calendar",
        title=TITLE,
        lead=f"One cell a day, the newest year first; the stronger its colour, the greater the load. {streak(rows)}",
        description=(
            f"Calendar of {years} years, {first} to {last}, each day coloured by its training load in five steps. "
            "The table has the sums of each month."
        ),
        datasets={
            "calendar": [cell(row, last) for row in rows],
            "calendar_names": [name for year in range(first, last + 1) for name in names(year, last)],
        },
        draw=lambda theme, narrow: draw(theme, narrow, years, steps),
        table=by_month(rows),
        folded=tuple(folded_height(width) for width in ("wide", "narrow"))
        if years > UNFOLDED_YEARS["narrow"]
        else None,
    )


def place(day: date, last_year: int) -> dict:
    """Column and row of a day in whole years (`week`, `row`) and in half years (`half_week`, `half_row`)."""
    years_ago = last_year - day.year
    half = (day.month - 1) // 6

    def week(first: date) -> int:
        return ((day - first).days + first.weekday()) // 7

    return {
        "week": week(date(day.year, 1, 1)),
        "row": round(years_ago * BLOCK + day.weekday(), 1),
        "half_week": week(date(day.year, 6 * half + 1, 1)),
        "half_row": round((2 * years_ago + half) * BLOCK + day.weekday(), 1),
    }


def cell(row: dict, last_year: int) -> dict:
    return {
        "day_number": day_number(row["day"]),
        "load": round(row["load"], 1),
        "activities": row["activities"],
        "distance": row["distance"],
        "hours": row["hours"],
        **place(row["day"], last_year),
    }


def names(year: int, last_year: int) -> list[dict]:
    """Where the names of a year and of its months stand, above its first row."""

    def name(text: str, kind: str, day: date) -> dict:
        at = place(day, last_year)
        for row in ("row", "half_row"):
            at[row] = round(at[row] - day.weekday(), 1)
        return {"text": text, "kind": kind, **at}

    halves = [name(str(year), kind, date(year, month, 1)) for kind, month in (("year", 1), ("half", 7))]
    return halves + [name(months.month_abbr[month], "month", date(year, month, 7)) for month in range(1, 13)]


def thresholds(loads: list[float]) -> list[int]:
    """Four steps that divide the active days into fifths, at round numbers and never two alike."""
    ordered = sorted(loads) or [0]
    steps: list[int] = []
    for part in (0.2, 0.4, 0.6, 0.8):
        step = 5 * round(ordered[int(part * (len(ordered) - 1))] / 5)
        steps.append(max(step, steps[-1] + 5 if steps else 5))
    return steps


def levels(steps: list[int]) -> list[str]:
    """What the five colours stand for."""
    between = [f"{low}–{high}" for low, high in pairwise(steps)]
    return [f"below {steps[0]}", *between, f"{steps[-1]} and more"]


def streak(rows: list[dict]) -> str:
    runs = [len(list(days)) for active, days in groupby(rows, key=lambda row: row["activities"] > 0) if active]
    longest = max(runs, default=0)
    return f"The longest run of active days is {longest}." if longest > 1 else ""


def by_month(rows: list[dict]) -> Table:
    body = []
    for (year, month), days in groupby(rows, key=lambda row: (row["day"].year, row["day"].month)):
        days = list(days)
        active = sum(1 for day in days if day["activities"])
        sums = [sum(day[key] for day in days) for key in ("activities", "distance", "hours", "load")]
        body.append([f"{months.month_name[month]} {year}", str(active), *(f"{value:,.0f}" for value in sums)])
    return Table(
        header=["Month", "Active days", "Activities", "Distance, km", "Moving time, h", "Load"], rows=body[::-1]
    )


def folded_height(width: str) -> int:
    blocks = UNFOLDED_YEARS[width] * (2 if width == "narrow" else 1)
    return round(blocks * BLOCK * CELL_PIXELS[width] + 74)


def draw(theme: Theme, narrow: bool, years: int, steps: list[int]) -> alt.LayerChart:
    week, row, weeks = ("half_week", "half_row", 27) if narrow else ("week", "row", 54)
    height = (2 if narrow else 1) * years * BLOCK
    across = alt.Scale(domain=[-MARGIN, weeks], nice=False, zero=False)
    down = alt.Scale(domain=[height - 1.9, -1.9], nice=False, zero=False)
    level = f"{levels(steps)}[" + " + ".join(f"(datum.load >= {step})" for step in steps) + "]"
    cells = (
        alt.Chart(alt.NamedData("calendar"))
        .transform_calculate(
            day=DAY,
            level=level,
            x=f"datum.{week}",
            x2=f"datum.{week} + 0.88",
            y=f"datum.{row}",
            y2=f"datum.{row} + 0.88",
        )
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("x:Q", scale=across, axis=None),
            x2="x2:Q",
            y=alt.Y("y:Q", scale=down, axis=None),
            y2="y2:Q",
            tooltip=[
                alt.Tooltip("day:T", title="Day", format="%a %-d %b %Y"),
                alt.Tooltip("activities:Q", title="Activities"),
                alt.Tooltip("distance:Q", title="Distance, km", format=",.1f"),
                alt.Tooltip("hours:Q", title="Moving time, h", format=".1f"),
                alt.Tooltip("load:Q", title="Load", format=".0f"),
            ],
        )
    )
    rest = cells.transform_filter("datum.activities === 0").encode(color=alt.value(theme.rest))
    active = cells.transform_filter("datum.activities > 0").encode(
        color=alt.Color(
            "level:N",
            scale=alt.Scale(domain=levels(steps), range=list(theme.ramp)),
            legend=alt.Legend(
                title="Load", orient="top", symbolType="square", symbolStrokeWidth=0, columns=3 if narrow else 5
            ),
        )
    )
    text = alt.Chart(alt.NamedData("calendar_names")).encode(
        x=alt.X(f"{week}:Q", scale=across, axis=None), y=alt.Y(f"{row}:Q", scale=down, axis=None), text="text:N"
    )
    month = text.transform_filter("datum.kind === 'month'").mark_text(
        align="left", baseline="bottom", dy=-5, color=theme.muted, fontSize=11
    )
    year_kinds = "datum.kind !== 'month'" if narrow else "datum.kind === 'year'"
    year = (
        text.transform_filter(year_kinds)
        .mark_text(align="left", baseline="top", color=theme.ink, fontSize=12 if narrow else 14, fontWeight=600)
        .encode(x=alt.XDatum(-MARGIN, scale=across, axis=None))
    )
    pixels = CELL_PIXELS["narrow" if narrow else "wide"]
    return alt.layer(rest, active, month, year).properties(width="container", height=round(height * pixels))
