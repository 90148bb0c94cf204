with activities as (

    select * from {{ ref('int_activities_reconciled') }}

),

scored as (

    select * from {{ ref('int_activities_scored') }}

),

sport_groups as (

    select * from {{ ref('sport_groups') }}

)

select
    -- ids
    activities.athlete_id,
    activities.activity_id,

    -- what it was
    activities.name,
    activities.sport_type,
    coalesce(sport_groups.sport_group, 'Other') as sport_group,
    activities.gear_id,
    activities.gear_name,
    activities.is_indoor,
    activities.is_commute,
    activities.is_manual,

    -- when
    activities.started_at,
    activities.started_at_local,
    cast(activities.started_at_local as date) as local_date,
    cast(extract(year from activities.started_at_local) as integer) as local_year,
    cast(extract(isoyear from activities.started_at_local) as integer) as iso_year,
    cast(extract(week from activities.started_at_local) as integer) as iso_week,
    cast(extract(isodow from activities.started_at_local) as integer) as iso_weekday,
    activities.local_time_source,
    activities.moving_time_seconds,
    activities.elapsed_time_seconds,

    -- how far and how fast
    activities.distance_metres,
    activities.elevation_gain_metres,
    {{ rounded('activities.distance_metres / nullif(activities.moving_time_seconds, 0)') }} as speed_metres_per_second,
    {{ rounded('1000 * activities.moving_time_seconds / nullif(activities.distance_metres, 0)') }} as pace_seconds_per_kilometre,

    -- how hard
    activities.average_heart_rate_bpm,
    activities.max_heart_rate_bpm,
    activities.average_cadence_rpm,
    activities.average_power_watts,
    activities.weighted_power_watts,
    activities.average_temperature_celsius,
    activities.energy_kilocalories,
    activities.relative_effort,
    {{ rounded('scored.load') }} as load,
    scored.load_source,

    -- provenance
    activities.origin,
    activities.in_api,
    activities.in_export,
    activities.fetched_at
from activities
inner join scored
    on
        activities.athlete_id = scored.athlete_id
        and activities.activity_id = scored.activity_id
left join sport_groups
    on activities.sport_type = sport_groups.sport_type
