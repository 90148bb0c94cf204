with landed as (

    {{ landed(source('weather', 'ods_weather__readings'), {
        '_id': 'text',
        '_deleted': 'boolean',
        '_loaded_at': 'timestamptz',
        'location_id': 'text',
        'latitude': 'double precision',
        'longitude': 'double precision',
        'elevation_metres': 'double precision',
        'slot': 'timestamptz',
        'slot_seconds': 'integer',
        'source': 'text',
        'model': 'text',
        'fetched_at': 'timestamptz',
        'temperature_celsius': 'double precision',
        'relative_humidity_percent': 'double precision',
        'dew_point_celsius': 'double precision',
        'apparent_temperature_celsius': 'double precision',
        'precipitation_millimetres': 'double precision',
        'weather_code': 'integer',
        'cloud_cover_percent': 'double precision',
        'wind_speed_metres_per_second': 'double precision',
        'wind_direction_degrees': 'double precision',
        'wind_gusts_metres_per_second': 'double precision',
    }) }}

)

select
    -- ids
    _id as reading_id,
    location_id,

    -- where; as configured, not the grid cell's
    latitude,
    longitude,
    elevation_metres,

    -- when and whose
    slot,
    slot_seconds,
    source,
    model,

    -- the weather at `slot`; rain and gusts are of the slot_seconds before it
    temperature_celsius,
    relative_humidity_percent,
    dew_point_celsius,
    apparent_temperature_celsius,
    precipitation_millimetres,
    weather_code,
    cloud_cover_percent,
    wind_speed_metres_per_second,
    wind_direction_degrees,
    wind_gusts_metres_per_second,

    -- provenance
    fetched_at,
    _loaded_at as loaded_at
from landed
where _deleted is not true
