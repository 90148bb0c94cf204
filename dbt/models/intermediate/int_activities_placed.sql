with activities as (

    select
        *,
        coalesce(nullif(elapsed_time_seconds, 0), moving_time_seconds) as seconds,
        coalesce(end_latitude, start_latitude) as last_latitude,
        coalesce(end_longitude, start_longitude) as last_longitude
    from {{ ref('int_activities_reconciled') }}

),

measured as (

    select
        *,
        {{ great_circle_metres('start_latitude', 'start_longitude', 'last_latitude', 'last_longitude') }} as straight_metres
    from activities

)

select
    athlete_id,
    activity_id,
    case
        when is_indoor or sport_type like 'Virtual%' then 'indoors'
        when start_latitude is null then 'no_place'
        -- two weeks, as the backfill has it: longer is a mistake
        when started_at is null or seconds is null or seconds <= 0 or seconds > 14 * 86400 then 'no_time'
    end as obstacle,
    started_at,
    started_at + seconds * interval '1 second' as ended_at,
    distance_metres,
    start_latitude,
    start_longitude,
    last_latitude as end_latitude,
    last_longitude as end_longitude,
    -- who comes back to where they started has gone in every direction
    case
        when straight_metres >= {{ var('bearing_minimum_straightness') }} * nullif(distance_metres, 0)
            then {{ rounded(bearing_degrees('start_latitude', 'start_longitude', 'last_latitude', 'last_longitude'), 3) }}
    end as bearing_degrees
from measured
