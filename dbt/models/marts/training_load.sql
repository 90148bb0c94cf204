{% set seed = var('training_load_seed') %}

with trained as (

    select
        athlete_id,
        local_date as day,
        count(*) as activity_count,
        sum(load) as load
    from {{ ref('activities') }}
    where local_date is not null
    group by athlete_id, local_date

),

spans as (

    select
        athlete_id,
        min(day) as first_day,
        -- east of the home time zone it may be tomorrow already
        greatest({{ today() }}, least(max(day), {{ today() }} + 1)) as last_day
    from trained
    group by athlete_id

),

-- every day from the first activity to today; a day of rest has a load of 0
calendar as (

    select
        spans.athlete_id,
        cast(series.day as date) as day,
        cast(series.day as date) - spans.first_day as t
    from spans
    cross join lateral {{ day_series('spans.first_day', 'spans.last_day') }} as series (day)

),

-- stacked and summed, since a join by day is planned badly: nothing knows how long a calendar is
stacked as (

    select
        athlete_id,
        day,
        t,
        0 as activity_count,
        0 as load
    from calendar
    union all
    select
        athlete_id,
        day,
        null as t,
        activity_count,
        load
    from trained

),

daily as (

    select
        athlete_id,
        day,
        min(t) as t,
        min(t) / 2048 as block,
        min(t) % 2048 as i,
        sum(activity_count) as activity_count,
        sum(load) as load
    from stacked
    group by athlete_id, day
    having min(t) is not null

),

block_ends as (

    select
        athlete_id,
        block + 1 as next_block,
        {{ block_end(42) }} as ctl,
        {{ block_end(7) }} as atl
    from daily
    group by athlete_id, block

),

averaged as (

    select
        daily.*,
        {{ block_average(42, 'block_ends.ctl', seed) }} as ctl,
        {{ block_average(7, 'block_ends.atl', seed) }} as atl
    from daily
    left join block_ends
        on
            daily.athlete_id = block_ends.athlete_id
            and daily.block = block_ends.next_block
    window in_block as (partition by daily.athlete_id, daily.block order by daily.day)

),

windowed as (

    select
        *,
        lag(ctl, 1, cast({{ seed }} as double precision)) over by_day
        - lag(atl, 1, cast({{ seed }} as double precision)) over by_day as tsb,
        -- numeric, so that seven equal days deviate by exactly 0
        case when count(*) over last_7 = 7 then avg(cast(load as numeric)) over last_7 end as mean_7,
        case when count(*) over last_7 = 7 then stddev_pop(cast(load as numeric)) over last_7 end as deviation_7,
        case when count(*) over last_28 = 28 then avg(cast(load as numeric)) over last_28 end as mean_28,
        case when count(*) over last_28 = 28 then avg(cast(load as numeric)) over before_last_7 end as mean_21_before
    from averaged
    window
        by_day as (partition by athlete_id order by day),
        last_7 as (partition by athlete_id order by day rows between 6 preceding and current row),
        last_28 as (partition by athlete_id order by day rows between 27 preceding and current row),
        before_last_7 as (partition by athlete_id order by day rows between 27 preceding and 7 preceding)

)

select
    athlete_id,
    day,
    cast(activity_count as integer) as activity_count,
    {{ rounded('load') }} as load,
    {{ rounded('ctl') }} as ctl,
    {{ rounded('atl') }} as atl,
    {{ rounded('tsb') }} as tsb,
    t < 126 as is_warm_up,
    {{ rounded('mean_7 / nullif(deviation_7, 0)') }} as monotony,
    {{ rounded('7 * mean_7 * mean_7 / nullif(deviation_7, 0)') }} as strain,
    {{ rounded('mean_7 / nullif(mean_28, 0)') }} as load_ratio_coupled,
    {{ rounded('mean_7 / nullif(mean_21_before, 0)') }} as load_ratio_uncoupled
from windowed
