with landed as (

    {{ landed(source('strava', 'ods_strava__activities'), {
        '_id': 'bigint',
        '_athlete_id': 'bigint',
        '_origin': 'text',
        '_deleted': 'boolean',
        '_fetched_at': 'timestamptz',
        '_loaded_at': 'timestamptz',
        'name': 'text',
        'sport_type': 'text',
        'type': 'text',
        'start_date': 'timestamptz',
        'start_date_local': 'timestamptz',
        'utc_offset': 'double precision',
        'timezone': 'text',
        'distance': 'double precision',
        'moving_time': 'double precision',
        'elapsed_time': 'double precision',
        'total_elevation_gain': 'double precision',
        'elev_high': 'double precision',
        'elev_low': 'double precision',
        'average_speed': 'double precision',
        'max_speed': 'double precision',
        'average_heartrate': 'double precision',
        'max_heartrate': 'double precision',
        'average_cadence': 'double precision',
        'average_watts': 'double precision',
        'max_watts': 'double precision',
        'weighted_average_watts': 'double precision',
        'device_watts': 'boolean',
        'kilojoules': 'double precision',
        'calories': 'double precision',
        'average_temp': 'double precision',
        'suffer_score': 'double precision',
        'gear_id': 'text',
        'gear_name': 'text',
        'workout_type': 'double precision',
        'trainer': 'boolean',
        'commute': 'boolean',
        'manual': 'boolean',
        'private': 'boolean',
        'start_latlng': 'jsonb',
        'end_latlng': 'jsonb',
    }) }}

)

select
    -- ids
    _id as activity_id,
    _athlete_id as athlete_id,
    gear_id,

    -- what it was
    name,
    coalesce(sport_type, type) as sport_type,
    cast(workout_type as integer) as workout_type,
    gear_name,

    -- when; start_date_local is local time with a Z that is not true
    start_date as started_at,
    start_date_local at time zone 'UTC' as started_at_local,
    utc_offset as utc_offset_seconds,
    split_part(timezone, ') ', 2) as timezone_name,
    moving_time as moving_time_seconds,
    elapsed_time as elapsed_time_seconds,

    -- where to
    distance as distance_metres,
    total_elevation_gain as elevation_gain_metres,
    elev_high as elevation_high_metres,
    elev_low as elevation_low_metres,
    average_speed as average_speed_metres_per_second,
    max_speed as max_speed_metres_per_second,
    {{ coordinate('start_latlng', 0) }} as start_latitude,
    {{ coordinate('start_latlng', 1) }} as start_longitude,
    {{ coordinate('end_latlng', 0) }} as end_latitude,
    {{ coordinate('end_latlng', 1) }} as end_longitude,

    -- how hard
    average_heartrate as average_heart_rate_bpm,
    max_heartrate as max_heart_rate_bpm,
    average_cadence as average_cadence_rpm,
    average_watts as average_power_watts,
    max_watts as max_power_watts,
    weighted_average_watts as weighted_power_watts,
    device_watts as has_power_meter,
    kilojoules as work_kilojoules,
    calories as energy_kilocalories,
    average_temp as average_temperature_celsius,
    suffer_score as relative_effort,

    -- flags
    trainer as is_indoor,
    commute as is_commute,
    manual as is_manual,
    private as is_private,

    -- provenance
    _origin as origin,
    coalesce(_deleted, false) as is_deleted,
    _fetched_at as fetched_at,
    _loaded_at as loaded_at
from landed
