"""How far each year had come on each of its days."""

from __future__ import annotations

from collections import Counter

import altair as alt

from report.marts import Marts
from report.section import Control, Section, Table
from report.theme import Theme

TITLE = "Year by year"
KINDS = ("this year", "last year", "earlier years")
MEASURES = {"Distance": "distance", "Time": "hours", "Activities": "activities"}
MONTH_STARTS = [1, 32, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335]
MONTHS = "['Jan','Feb','Mar','Apr','May','Jun','Jul','Aug','Sep','Oct','Nov','Dec']"


def section(marts: Marts) -> Section:
    """Days on which a line does not move are left out; the lines are steps."""
    rows = marts.rows("""
        select
            sport_group as sport,
            year,
            day_of_year as day,
            round(distance_kilometres::numeric, 1)::double precision as distance,
            round(moving_time_hours::numeric, 1)::double precision as hours,
            activity_count as activities,
            row_number() over (partition by sport_group, year order by day_of_year desc) = 1 as is_last
        from (
            select
                *,
                is_active_day or day_of_year = 1 or day = max(day) over (partition by year) as is_drawn
            from {year_progress}
            where {mine}
        ) as days
        where is_drawn
        order by sport, year, day
    """)
    if not rows:
        return Section(
            key="year_progress",
            title=TITLE,
            lead="",
            missing="marts.year_progress has no row: no activity has been loaded yet, or none with a date.",
        )
    first, latest = min(row["year"] for row in rows), max(row["year"] for row in rows)
    ends = [row for row in rows if row.pop("is_last")]
    totals = [row for row in ends if row["sport"] == "All"]
    hours = Counter()
    for row in ends:
        hours[row["sport"]] += row["hours"]
    sports = [sport for sport, _ in hours.most_common() if sport != "All"]
    sports = ["All", *sports] if len(sports) > 1 else ["All"]
    return Section(
        key="year_progress",
        title=TITLE,
        lead="What had been done by each day of the year, this year against all the years before.",
        description=(
            f"Line chart: total since 1 January over the days of the year, one line per year from {first} to {latest}, "
            "this year and last year set off from the earlier ones. The table has the totals of each year."
        ),
        datasets={"year_progress": rows},
        draw=lambda theme, narrow: draw(theme, narrow, first, latest),
        controls=[
            Control("measure", "Measure", MEASURES),
            *([Control("sport", "Sport", {s: s for s in sports})] if len(sports) > 1 else []),
        ],
        table=Table(
            header=["Year", "Distance, km", "Moving time, h", "Activities"],
            rows=[
                [str(r["year"]), f"{r['distance']:,.0f}", f"{r['hours']:,.0f}", f"{r['activities']:,}"]
                for r in sorted(totals, key=lambda r: -r["year"])
            ],
        ),
    )


def draw(theme: Theme, narrow: bool, first: int, latest: int) -> alt.LayerChart:
    measure = alt.param(name="measure", value="distance")
    sport = alt.param(name="sport", value="All")
    pointed = alt.selection_point(
        name="pointed", fields=["year"], nearest=True, on="pointermove", clear="pointerout", empty=False
    )
    rows = (
        alt.Chart(alt.NamedData("year_progress"))
        .transform_filter("datum.sport === sport")
        .transform_calculate(
            value="datum[measure]",
            date="datetime(datum.year, 0, datum.day)",
            kind=f"{list(KINDS)}[min({latest} - datum.year, 2)]",
        )
        .encode(
            x=alt.X(
                "day:Q",
                scale=alt.Scale(domain=[1, 366], nice=False),
                axis=alt.Axis(
                    title=None,
                    grid=False,
                    values=MONTH_STARTS[::2] if narrow else MONTH_STARTS,
                    labelExpr=f"{MONTHS}[month(datetime(2001, 0, datum.value))]",
                    labelAlign="left",
                ),
            ),
            y=alt.Y(
                "value:Q",
                axis=alt.Axis(
                    title=None,
                    tickCount=5,
                    labelExpr="format(datum.value, ',') + {distance: ' km', hours: ' h', activities: ''}[measure]",
                ),
            ),
            detail="year:N",
        )
    )
    legend = alt.Legend(
        title=None,
        orient="top",
        symbolType="stroke",
        columnPadding=10 if narrow else 18,
        values=list(KINDS[: latest - first + 1]),
    )
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(KINDS), range=[theme.first, theme.second, theme.past]),
        legend=legend,
    )
    dash = alt.StrokeDash("kind:N", scale=alt.Scale(domain=list(KINDS), range=[[1, 0], [7, 3], [1, 0]]), legend=legend)

    def lines(kind: str, width: float) -> alt.Chart:
        return (
            rows.transform_filter(f"datum.kind === '{kind}'")
            .mark_line(interpolate="step-after", strokeWidth=width, strokeCap="butt")
            .encode(color=colour, strokeDash=dash)
        )

    lifted = rows.mark_line(interpolate="step-after", strokeWidth=2.5, color=theme.ink).encode(
        opacity=alt.condition(pointed, alt.value(1), alt.value(0))
    )
    # nearest needs points; these are there to be pointed at, not to be seen
    points = (
        rows.mark_point(opacity=0, size=1)
        .encode(
            tooltip=[
                alt.Tooltip("date:T", title="Up to", format="%-d %b %Y"),
                alt.Tooltip("distance:Q", title="Distance, km", format=",.0f"),
                alt.Tooltip("hours:Q", title="Moving time, h", format=",.0f"),
                alt.Tooltip("activities:Q", title="Activities", format=","),
            ]
        )
        .add_params(pointed)
    )
    names = (
        rows.transform_filter(f"datum.kind !== '{KINDS[2]}'")
        .transform_joinaggregate(last="max(day)", groupby=["year"])
        .transform_filter("datum.day === datum.last")
        .mark_text(align="left", dx=6, fontWeight=600, fontSize=13)
        .encode(text="year:N", color=colour)
    )
    chart = alt.layer(lines(KINDS[2], 1.2), lines(KINDS[1], 2), lines(KINDS[0], 3), lifted, points, names)
    return chart.add_params(measure, sport).properties(width="container", height=300 if narrow else 360)
