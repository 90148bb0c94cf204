"""Fitness, fatigue and form, day by day."""

from __future__ import annotations

import altair as alt

from report.headline import signed, written
from report.marts import Marts
from report.section import DAY, Control, Section, Table, day_number
from report.theme import Theme

TITLE = "Training load"
SERIES = {"ctl": "Fitness (42 days)", "atl": "Fatigue (7 days)", "tsb": "Form (fitness − fatigue)"}
SPANS = {"1 year": 366, "3 years": 1096, "All": 0}


def section(marts: Marts) -> Section:
    """The last day of the mart is the day of the page; spans are counted back from it."""
    rows = marts.rows(
        """
        select
            day,
            max(day) over () - day as age,
            round(load::numeric, 1)::double precision as load,
            round(ctl::numeric, 1)::double precision as ctl,
            round(atl::numeric, 1)::double precision as atl,
            round(tsb::numeric, 1)::double precision as tsb
        from {training_load}
        where {mine}
        order by day
    """
    )
    if not rows:
        return Section(
            key="training_load",
            title=TITLE,
            lead="",
            missing="marts.training_load has no row: no activity has been loaded yet, or none with a date.",
        )
    months = marts.rows("""
        select
            to_char(day, 'FMMonth YYYY') as month,
            sum(load) over (partition by date_trunc('month', day)) as load,
            ctl,
            atl,
            tsb
        from {training_load}
        where {mine}
        order by
            row_number() over (partition by date_trunc('month', day) order by day desc),
            day desc
        limit (select count(distinct date_trunc('month', day)) from {training_load} where {mine})
    """)
    spans = {name: days for name, days in SPANS.items() if days == 0 or days < len(rows)}
    now = rows[-1]
    today = now["day"]
    for row in rows:
        row["day_number"] = day_number(row.pop("day"))
    return Section(
        key="training_load",
        title=TITLE,
        lead=(
            "An hour at threshold counts 100. Fitness is what you carry, fatigue what you feel; form is yesterday's "
            "difference, and above zero you are rested."
        ),
        description=(
            f"Line chart of fitness, fatigue and form per day, up to {written(today)}: fitness {now['ctl']:.0f}, "
            f"fatigue {now['atl']:.0f}, form {signed(now['tsb'])} on the last day. The table has each month."
        ),
        datasets={"training_load": rows},
        draw=draw_with(next(iter(spans.values()))),
        controls=[Control("span", "Span", spans)] if len(spans) > 1 else [],
        table=Table(
            header=["Month", "Load", "Fitness", "Fatigue", "Form"],
            rows=[
                [m["month"], f"{m['load']:,.0f}", f"{m['ctl']:.0f}", f"{m['atl']:.0f}", signed(m["tsb"])]
                for m in months
            ],
        ),
    )


def draw_with(first_span: int):
    """The chart that shows `first_span` days at first, 0 for all of them."""

    def draw(theme: Theme, narrow: bool) -> alt.LayerChart:
        span = alt.param(name="span", value=first_span)
        pointed = alt.selection_point(
            name="pointed", fields=["day_number"], nearest=True, on="pointermove", clear="pointerout", empty=False
        )
        days = (
            alt.Chart(alt.NamedData("training_load"))
            .transform_filter("span === 0 || datum.age < span")
            .transform_calculate(day=DAY)
            .encode(
                x=alt.X(
                    "day:T",
                    axis=alt.Axis(
                        title=None,
                        grid=False,
                        tickCount=4 if narrow else 8,
                        labelFlush=True,
                        labelOverlap=True,
                        labelExpr="timeFormat(datum.value, month(datum.value) ? '%b' : '%Y')",
                    ),
                )
            )
        )
        series = list(SERIES.values())
        legend = alt.Legend(title=None, orient="top", symbolType="stroke", columns=1 if narrow else 3)
        lines = (
            days.transform_fold(list(SERIES), as_=["series", "value"])
            .transform_calculate(name=f"{SERIES!r}[datum.series]")
            .mark_line(strokeJoin="round")
            .encode(
                y=alt.Y("value:Q", axis=alt.Axis(title=None, tickCount=6)),
                color=alt.Color(
                    "name:N",
                    scale=alt.Scale(domain=series, range=[theme.first, theme.second, theme.third]),
                    legend=legend,
                ),
                strokeDash=alt.StrokeDash(
                    "name:N", scale=alt.Scale(domain=series, range=[[1, 0], [5, 3], [2, 2]]), legend=legend
                ),
                strokeWidth=alt.condition("datum.series === 'ctl'", alt.value(2.6), alt.value(1.5)),
            )
        )
        fitness = days.mark_area(color=theme.first, opacity=0.1).encode(y="ctl:Q")
        # found by its place across, anywhere above and below the lines
        day = (
            days.mark_rule(color=theme.ink)
            .encode(
                opacity=alt.condition(pointed, alt.value(0.5), alt.value(0)),
                tooltip=[
                    alt.Tooltip("day:T", title="Day", format="%a %-d %b %Y"),
                    alt.Tooltip("load:Q", title="Load of the day", format=".0f"),
                    alt.Tooltip("ctl:Q", title="Fitness", format=".0f"),
                    alt.Tooltip("atl:Q", title="Fatigue", format=".0f"),
                    alt.Tooltip("tsb:Q", title="Form", format="+.0f"),
                ],
            )
            .add_params(pointed)
        )
        ground = (
            days.transform_filter("datum.age === 0")
            .mark_rule(color=theme.muted)
            .encode(x=alt.value(0), x2=alt.value("width"), y=alt.datum(0))
        )
        return (
            alt.layer(fitness, ground, lines, day)
            .add_params(span)
            .properties(width="container", height=300 if narrow else 340)
        )

    return draw
