{% set goals = var('year_goal_kilometres') %}

with activities as (

    select
        athlete_id,
        local_date,
        sport_group,
        coalesce(distance_metres, 0) / 1000 as kilometres,
        coalesce(nullif(moving_time_seconds, 0), elapsed_time_seconds, 0) / 3600 as hours
    from {{ ref('activities') }}
    where local_date is not null

),

-- each activity counts for its own group and for all of them together
counted as (

    select
        athlete_id,
        local_date,
        coalesce(sport_group, 'All') as sport_group,
        sum(kilometres) as kilometres,
        sum(hours) as hours,
        count(*) as activity_count
    from activities
    group by grouping sets ((athlete_id, local_date, sport_group), (athlete_id, local_date))

),

spans as (

    select
        athlete_id,
        sport_group,
        min(min(local_date)) over (partition by athlete_id) as first_day,
        greatest(
            {{ today() }}, least(max(max(local_date)) over (partition by athlete_id), {{ today() }} + 1)
        ) as last_day
    from counted
    group by athlete_id, sport_group

),

-- whole years from the first on, the running one up to today
calendar as (

    select
        spans.athlete_id,
        spans.sport_group,
        cast(series.day as date) as day
    from spans
    cross join lateral {{ day_series("date_trunc('year', spans.first_day)", 'spans.last_day') }} as series (day)

),

-- stacked and summed, since a join by day is planned badly: nothing knows how long a calendar is
stacked as (

    select
        athlete_id,
        sport_group,
        day,
        0 as kilometres,
        0 as hours,
        0 as activity_count,
        true as is_in_calendar
    from calendar
    union all
    select
        athlete_id,
        sport_group,
        local_date as day,
        kilometres,
        hours,
        activity_count,
        false as is_in_calendar
    from counted

),

daily as (

    select
        athlete_id,
        sport_group,
        day,
        cast(extract(year from day) as integer) as year,
        cast(extract(doy from day) as integer) as day_of_year,
        sum(kilometres) as kilometres,
        sum(hours) as hours,
        sum(activity_count) as activity_count
    from stacked
    group by athlete_id, sport_group, day
    having bool_or(is_in_calendar)

),

accumulated as (

    select
        athlete_id,
        sport_group,
        year,
        day_of_year,
        day,
        sum(kilometres) over so_far as distance_kilometres,
        sum(hours) over so_far as moving_time_hours,
        sum(activity_count) over so_far as activity_count,
        activity_count > 0 as is_active_day,
        cast(make_date(year + 1, 1, 1) - make_date(year, 1, 1) as integer) as days_in_year
    from daily
    window so_far as (partition by athlete_id, sport_group, year order by day)

)

select
    athlete_id,
    sport_group,
    year,
    day_of_year,
    day,
    {{ rounded('distance_kilometres') }} as distance_kilometres,
    {{ rounded('moving_time_hours') }} as moving_time_hours,
    cast(activity_count as integer) as activity_count,
    is_active_day,
    days_in_year,
    {{ rounded('day_of_year / cast(days_in_year as numeric)', 6) }} as year_fraction,
    {% if goals is mapping and goals -%}
    case sport_group
        {%- for group, goal in goals.items() %}
        when '{{ group }}' then {{ rounded(goal ~ ' * day_of_year / cast(days_in_year as numeric)') }}
        {%- endfor %}
    end
    {%- else -%}
    cast(null as double precision)
    {%- endif %} as goal_kilometres_to_date
from accumulated
