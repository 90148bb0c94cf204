with said as (

    select
        *,
        max(fetched_at) filter (where is_deleted) over (partition by athlete_id, activity_id) as deleted_at
    from {{ ref('stg_strava__activities') }}

),

-- an archive that is older than the deletion does not bring an activity back
living as (

    select
        *,
        bool_or(origin = 'api') over of_activity as in_api,
        bool_or(origin = 'export') over of_activity as in_export,
        max(energy_kilocalories) filter (where origin = 'export') over of_activity as exported_kilocalories,
        max(gear_name) filter (where origin = 'export') over of_activity as exported_gear_name,
        max(start_latitude) filter (where origin = 'export') over of_activity as exported_start_latitude,
        max(start_longitude) filter (where origin = 'export') over of_activity as exported_start_longitude,
        max(end_latitude) filter (where origin = 'export') over of_activity as exported_end_latitude,
        max(end_longitude) filter (where origin = 'export') over of_activity as exported_end_longitude
    from said
    where
        not is_deleted
        and (deleted_at is null or fetched_at > deleted_at)
    window of_activity as (partition by athlete_id, activity_id)

),

preferred as (

    select distinct on (athlete_id, activity_id) *
    from living
    order by athlete_id asc, activity_id asc, (origin = 'api') desc, fetched_at desc

)

select
    activity_id,
    athlete_id,
    name,
    sport_type,
    workout_type,
    gear_id,
    -- two things that the API's summaries never say
    coalesce(gear_name, exported_gear_name) as gear_name,
    coalesce(energy_kilocalories, exported_kilocalories) as energy_kilocalories,
    started_at,
    coalesce(
        started_at_local,
        started_at at time zone 'UTC' + utc_offset_seconds * interval '1 second',
        started_at at time zone '{{ home_timezone() }}'
    ) as started_at_local,
    case
        when started_at_local is not null then 'strava'
        when utc_offset_seconds is not null then 'utc_offset'
        when started_at is not null then 'home_timezone'
    end as local_time_source,
    timezone_name,
    moving_time_seconds,
    elapsed_time_seconds,
    distance_metres,
    elevation_gain_metres,
    -- the backfill asks for the weather there as well
    coalesce(start_latitude, exported_start_latitude) as start_latitude,
    coalesce(start_longitude, exported_start_longitude) as start_longitude,
    coalesce(end_latitude, exported_end_latitude) as end_latitude,
    coalesce(end_longitude, exported_end_longitude) as end_longitude,
    average_heart_rate_bpm,
    max_heart_rate_bpm,
    average_cadence_rpm,
    average_power_watts,
    weighted_power_watts,
    average_temperature_celsius,
    relative_effort,
    coalesce(is_indoor, false) as is_indoor,
    coalesce(is_commute, false) as is_commute,
    coalesce(is_manual, false) as is_manual,
    origin,
    in_api,
    in_export,
    fetched_at
from preferred
