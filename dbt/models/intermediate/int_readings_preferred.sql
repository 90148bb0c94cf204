{{ config(
    materialized='table',
    indexes=[{'columns': ['location_id', 'hour']}],
    post_hook='analyze {{ this }}',
) }}

with wanted as (

    select hour_before as hour from {{ ref('int_activities_split') }}
    union
    select hour_after as hour from {{ ref('int_activities_split') }}

),

labelled as (

    select
        *,
        -- the hour at whose end or within which the slot is, named by its end as Open-Meteo names hours
        {{ whole_hour("slot - interval '1 microsecond'") }} + interval '1 hour' as hour,
        case source when 'forecast' then 1 when 'historical_forecast' then 2 when 'archive' then 3 end as source_rank
    from {{ ref('stg_weather__readings') }}

),

readings as (

    select labelled.*
    from labelled
    inner join wanted
        on labelled.hour = wanted.hour

),

-- beyond a model's grid a reading has no temperature, and is none
preferred as (

    select distinct on (location_id, slot) *
    from readings
    where
        slot = hour
        and temperature_celsius is not null
    order by location_id asc, slot asc, source_rank asc, slot_seconds asc

),

-- four quarters make an hour's rain; where one is missing it is not known. Summed as decimals: 0.09 and 0.01 are 0.1
quarters as (

    select
        location_id,
        source,
        hour,
        case
            when count(precipitation_millimetres) = 4
                then cast(sum(cast(precipitation_millimetres as numeric)) as double precision)
        end as precipitation_millimetres,
        max(wind_gusts_metres_per_second) as wind_gusts_metres_per_second
    from readings
    where slot_seconds = 900
    group by location_id, source, hour

),

whole_hours as (

    select distinct on (location_id, slot)
        location_id,
        hour,
        precipitation_millimetres
    from readings
    where
        slot_seconds = 3600
        and precipitation_millimetres is not null
    order by location_id asc, slot asc, source_rank asc

)

select
    preferred.location_id,
    preferred.hour,
    preferred.latitude,
    preferred.longitude,
    preferred.source,
    preferred.slot_seconds,
    preferred.temperature_celsius,
    preferred.relative_humidity_percent,
    preferred.dew_point_celsius,
    preferred.apparent_temperature_celsius,
    preferred.cloud_cover_percent,
    preferred.wind_speed_metres_per_second,
    preferred.wind_direction_degrees,
    coalesce(quarters.precipitation_millimetres, whole_hours.precipitation_millimetres) as precipitation_millimetres,
    coalesce(quarters.wind_gusts_metres_per_second, preferred.wind_gusts_metres_per_second) as wind_gusts_metres_per_second
from preferred
left join quarters
    on
        preferred.location_id = quarters.location_id
        and preferred.source = quarters.source
        and preferred.hour = quarters.hour
        and preferred.slot_seconds = 900
left join whole_hours
    on
        preferred.location_id = whole_hours.location_id
        and preferred.hour = whole_hours.hour
