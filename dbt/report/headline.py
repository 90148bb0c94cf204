"""The figures on top of the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from report.marts import Marts


@dataclass(frozen=True)
class Figure:
    """One number with its unit and a line below it."""

    label: str
    value: str
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Headline:
    """What is said before the first chart."""

    subtitle: str
    figures: list[Figure]


def headline(marts: Marts) -> Headline:
    """This year beside last year up to the same day, all years, and today's fitness; without a row only a sentence."""
    [total] = marts.rows("""
        select
            count(*) as activities,
            coalesce(sum(distance_metres), 0) / 1000 as distance,
            coalesce(sum(coalesce(nullif(moving_time_seconds, 0), elapsed_time_seconds)), 0) / 3600 as hours,
            min(local_date) as first_day,
            max(local_date) as last_day
        from {activities}
        where {mine}
    """)
    if not total["activities"]:
        return Headline(subtitle="No activity has arrived in the warehouse yet.", figures=[])
    years = marts.rows("""
        with running as (select max(day) as today from {year_progress} where {mine})
        select year, distance_kilometres as distance, moving_time_hours as hours, activity_count as activities, today
        from {year_progress}, running
        where
            {mine}
            and sport_group = 'All'
            and day in (today, (today - interval '1 year')::date)
        order by day desc
    """)
    figures = [
        Figure("All distance", f"{total['distance']:,.0f}", "km", f"{total['activities']:,} activities"),
        Figure("All moving time", f"{total['hours']:,.0f}", "h", f"{total['hours'] / 24:,.0f} days and nights"),
    ]
    if years:
        now, before = years[0], years[1] if len(years) > 1 else None
        figures = [
            Figure(f"Distance {now['year']}", f"{now['distance']:,.0f}", "km", beside(now, before, "distance")),
            Figure(f"Moving time {now['year']}", f"{now['hours']:,.0f}", "h", beside(now, before, "hours")),
            Figure(f"Activities {now['year']}", f"{now['activities']:,}", "", beside(now, before, "activities")),
            *figures,
        ]
    for day in marts.rows("select ctl, tsb from {training_load} where {mine} order by day desc limit 1"):
        figures.insert(3, Figure("Fitness today", f"{day['ctl']:.0f}", "", f"form {signed(day['tsb'])}"))
    span = f"{written(total['first_day'])} to {written(total['last_day'])}" if total["first_day"] else "without dates"
    as_of = f", as of {written(years[0]['today'])}" if years else ""
    return Headline(subtitle=f"{total['activities']:,} activities, {span}{as_of}", figures=figures)


def beside(now: dict, before: dict | None, measure: str) -> str:
    """This year's figure beside last year's on the same day."""
    if before is None or not before[measure]:
        return "nothing by this day last year"
    change = now[measure] / before[measure] - 1
    if abs(change) < 0.005:
        return f"as much as by this day in {before['year']}"
    if change > 2:
        return f"{before[measure]:,.0f} by this day in {before['year']}"
    return f"{abs(change):.0%} {'more' if change > 0 else 'less'} than by this day in {before['year']}"


def signed(value: float) -> str:
    return f"{value:+.0f}".replace("-", "−")


def written(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
