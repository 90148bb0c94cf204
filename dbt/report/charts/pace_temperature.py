"""Each run's pace beside the temperature in which it was run."""

from __future__ import annotations

from itertools import groupby
from statistics import fmean, median

import altair as alt

from report.marts import Marts
from report.section import DAY, Control, Credit, Section, Table, day_number
from report.theme import Theme

TITLE = "Pace and temperature"
RAIN = ("dry", "rain", "rain not known")
MEASURES = {"Air": "air", "Felt": "felt"}
BAND_CELSIUS = 5
# Runs of these lengths are comparable: neither a sprint nor a day in the mountains.
MINUTES = (20, 90)
OPEN_METEO = Credit(
    text="Weather data by Open-Meteo.com",
    url="https://open-meteo.com/",
    licence="CC BY 4.0",
    licence_url="https://creativecommons.org/licenses/by/4.0/",
    change="averaged over each activity, between hours interpolated.",
)
NOT_A_CAUSE = (
    "It shows what came together, not what heat does to you: season, fitness, route and hour differ from run to run as "
    "well, so no line is drawn through it."
)


def section(marts: Marts) -> Section:
    """A dot per outdoor run of 20 to 90 minutes whose weather is known; without one only a sentence."""
    runs = marts.rows(f"""
        select
            activities.local_date as day,
            activities.distance_metres / 1000 as distance,
            activities.pace_seconds_per_kilometre as pace,
            activities.average_heart_rate_bpm as heart_rate,
            weather.status,
            weather.temperature_celsius as air,
            weather.apparent_temperature_celsius as felt,
            weather.is_rainy
        from {{activities}} as activities
        inner join {{activity_weather}} as weather
            on
                activities.athlete_id = weather.athlete_id
                and activities.activity_id = weather.activity_id
        where
            activities.{{mine}}
            and activities.sport_group = 'Run'
            and activities.moving_time_seconds between 60 * {MINUTES[0]} and 60 * {MINUTES[1]}
            and activities.pace_seconds_per_kilometre > 0
            and activities.local_date is not null
            and weather.status <> 'indoors'
        order by activities.local_date, activities.activity_id
    """)
    known = [run for run in runs if run["status"] == "known"]
    if not known:
        return Section(
            key="pace_temperature", title=TITLE, lead="", missing=why_nothing([run["status"] for run in runs])
        )
    rows = [dot(run) for run in known]
    kinds = [kind for kind in RAIN if any(row["rain"] == kind for row in rows)]
    coldest, warmest = min(row["air"] for row in rows), max(row["air"] for row in rows)
    return Section(
        key="pace_temperature",
        title=TITLE,
        lead=(
            f"One mark is an outdoor run of {MINUTES[0]} to {MINUTES[1]} minutes, the faster the higher. "
            f"{NOT_A_CAUSE}{left_out(runs)}"
        ),
        description=(
            f"Scatter plot of {len(rows)} runs: temperature of the air from {celsius(coldest)} to {celsius(warmest)} "
            "across, pace in minutes per kilometre upwards, faster is higher; runs in rain have a mark of their own. "
            f"The table has bands of {BAND_CELSIUS} °C."
        ),
        datasets={"pace_temperature": rows},
        draw=lambda theme, narrow: draw(theme, narrow, pace_ticks([row["pace"] for row in rows]), kinds),
        controls=[Control("measure", "Temperature", MEASURES)] if all(row["felt"] is not None for row in rows) else [],
        table=by_band(known),
        credit=OPEN_METEO,
    )


def why_nothing(statuses: list[str]) -> str:
    """What to say, and do, where no run has weather; of the runs' statuses in marts.activity_weather."""
    if not statuses:
        return (
            f"marts.activities has no outdoor run of {MINUTES[0]} to {MINUTES[1]} minutes, so there is nothing to "
            "compare."
        )
    nothing = f"marts.activity_weather knows the weather of none of {len(statuses):,} outdoor runs: "
    askable = statuses.count("no_readings")
    if not askable:
        return (
            f"{nothing}they have no start point, or no time, to look for it. Strava's API says where a run began that "
            "was recorded with GPS; a bulk export's list of activities does not."
        )
    whose = "them" if askable == len(statuses) else f"the {askable:,} with a start point"
    return f"{nothing}no reading near {whose} has been loaded for their hours. `weather-producer backfill` asks for it."


def left_out(runs: list[dict]) -> str:
    number = sum(1 for run in runs if run["status"] != "known")
    if not number:
        return ""
    return f" Of {number:,} more {'run' if number == 1 else 'runs'} the weather is not known."


def dot(run: dict) -> dict:
    rain = {False: RAIN[0], True: RAIN[1], None: RAIN[2]}[run["is_rainy"]]
    return {
        "day_number": day_number(run["day"]),
        "air": round(run["air"], 1),
        "felt": None if run["felt"] is None else round(run["felt"], 1),
        "pace": round(run["pace"]),
        "distance": round(run["distance"], 1),
        "heart_rate": None if run["heart_rate"] is None else round(run["heart_rate"]),
        "rain": rain,
    }


def by_band(runs: list[dict]) -> Table:
    """Medians of what was run in each band of temperature; a median says nothing about why."""

    def band(run: dict) -> int:
        return int(run["air"] // BAND_CELSIUS) * BAND_CELSIUS

    body = []
    for low, members in groupby(sorted(runs, key=band), key=band):
        members = list(members)
        rates = [run["heart_rate"] for run in members if run["heart_rate"] is not None]
        body.append(
            [
                f"{celsius(low)} to {celsius(low + BAND_CELSIUS)}",
                f"{len(members):,}",
                f"{sum(1 for run in members if run['is_rainy']):,}",
                minutes(median(run["pace"] for run in members)),
                f"{fmean(rates):.0f}" if rates else "–",
            ]
        )
    return Table(header=["Temperature", "Runs", "In rain", "Median pace, min/km", "Mean heart rate"], rows=body)


def celsius(degrees: float) -> str:
    return f"{degrees:.0f} °C".replace("-", "−")


def minutes(seconds: float) -> str:
    """A pace as it is written: 5:07."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def pace_ticks(paces: list[int]) -> list[int]:
    """From a whole step below the fastest to one above the slowest, in the smallest step that gives up to eight."""
    fastest, slowest = min(paces), max(paces)
    step = next(s for s in (10, 15, 30, 60, 120, 300, 600, 10**6) if (slowest - fastest) / s <= 6)
    low = fastest // step * step
    return list(range(low, max(slowest + step, low + step + 1), step))


def draw(theme: Theme, narrow: bool, ticks: list[int], kinds: list[str]) -> alt.LayerChart:
    measure = alt.param(name="measure", value="air")
    legend = alt.Legend(title=None, orient="top", symbolSize=80, symbolStrokeWidth=1.8, values=kinds)
    seen = alt.Scale(domain=list(RAIN), range=[theme.first, theme.second, theme.past])
    runs = (
        alt.Chart(alt.NamedData("pace_temperature"))
        .transform_calculate(
            day=DAY,
            temperature="datum[measure]",
            written="floor(datum.pace / 60) + ':' + format(datum.pace % 60, '02')",
            pulse="datum.heart_rate === null ? 'not measured' : datum.heart_rate + ' bpm'",
        )
        .encode(
            x=alt.X(
                "temperature:Q",
                scale=alt.Scale(zero=False, nice=True, padding=12),
                axis=alt.Axis(
                    title=None,
                    grid=False,
                    tickCount=5 if narrow else 10,
                    labelExpr="datum.label + ' °C'",
                    labelFlush=True,
                ),
            ),
            y=alt.Y(
                "pace:Q",
                scale=alt.Scale(domain=[ticks[-1], ticks[0]], nice=False, zero=False),
                axis=alt.Axis(
                    title=None,
                    values=ticks,
                    labelExpr="floor(datum.value / 60) + ':' + format(datum.value % 60, '02') + ' /km'",
                ),
            ),
        )
    )
    marks = runs.mark_point(filled=False, size=34 if narrow else 52, strokeWidth=1.6, opacity=1).encode(
        color=alt.Color("rain:N", scale=seen, legend=legend),
        shape=alt.Shape(
            "rain:N", scale=alt.Scale(domain=list(RAIN), range=["circle", "triangle-down", "square"]), legend=legend
        ),
        tooltip=[
            alt.Tooltip("day:T", title="Day", format="%a %-d %b %Y"),
            alt.Tooltip("written:N", title="Pace, min/km"),
            alt.Tooltip("air:Q", title="Air, °C", format=".1f"),
            alt.Tooltip("felt:Q", title="Felt, °C", format=".1f"),
            alt.Tooltip("rain:N", title="Rain"),
            alt.Tooltip("distance:Q", title="Distance, km", format=".1f"),
            alt.Tooltip("pulse:N", title="Heart rate"),
        ],
    )
    return alt.layer(marks).add_params(measure).properties(width="container", height=320 if narrow else 380)
