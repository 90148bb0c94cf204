{% set near_metres = 25000 %}
{% set interpolated = [
    'temperature_celsius',
    'relative_humidity_percent',
    'dew_point_celsius',
    'apparent_temperature_celsius',
    'cloud_cover_percent',
    'wind_speed_metres_per_second',
] %}

with activities as (

    select * from {{ ref('int_activities_placed') }}

),

-- not materialised, or its index is lost
readings as not materialized (

    select
        *,
        -- where the wind comes from, east and north
        wind_speed_metres_per_second * sind(wind_direction_degrees) as wind_east,
        wind_speed_metres_per_second * cosd(wind_direction_degrees) as wind_north
    from {{ ref('int_readings_preferred') }}

),

-- a quarter of a degree of latitude is 27.8 km: what is within 25 km is in the same band or in the next one
places as (

    select
        known.location_id,
        known.latitude,
        known.longitude,
        known.band + shift.bands as band
    from (
        select distinct
            location_id,
            latitude,
            longitude,
            floor(latitude * 4) as band
        from readings
    ) as known
    cross join (values (-1), (0), (1)) as shift (bands)

),

near as (

    select
        pieces.*,
        places.location_id,
        places.latitude as location_latitude,
        places.longitude as location_longitude,
        {{ great_circle_metres('pieces.latitude', 'pieces.longitude', 'places.latitude', 'places.longitude') }} as distance
    from {{ ref('int_activities_split') }} as pieces
    inner join places
        on floor(pieces.latitude * 4) = places.band

),

-- the nearest location that has both hours: a grid cell has those of the activities that it was made for, and no others;
-- a location that was moved has those of where it was
covered as (

    select distinct on (near.athlete_id, near.activity_id, near.began_at)
        near.athlete_id,
        near.activity_id,
        near.seconds,
        near.activity_seconds,
        near.piece_count,
        near.distance,
        earlier.source as source_before,
        later.source as source_after,
        {% for value in interpolated + ['wind_east', 'wind_north'] -%}
        earlier.{{ value }} + near.hour_fraction * (later.{{ value }} - earlier.{{ value }}) as {{ value }},
        {% endfor -%}
        -- these two are of the hour that `hour_after` ends
        later.precipitation_millimetres,
        later.wind_gusts_metres_per_second
    from near
    inner join readings as earlier
        on
            near.location_id = earlier.location_id
            and near.location_latitude = earlier.latitude
            and near.location_longitude = earlier.longitude
            and near.hour_before = earlier.hour
    inner join readings as later
        on
            near.location_id = later.location_id
            and near.location_latitude = later.latitude
            and near.location_longitude = later.longitude
            and near.hour_after = later.hour
    where near.distance <= {{ near_metres }}
    order by near.athlete_id asc, near.activity_id asc, near.began_at asc, near.distance asc, near.location_id asc

),

felt as (

    select
        *,
        {{ apparent_temperature_shade(
            'temperature_celsius', 'relative_humidity_percent', 'wind_speed_metres_per_second'
        ) }} as apparent_temperature_shade_celsius,
        {{ apparent_temperature_bom(
            'temperature_celsius', 'relative_humidity_percent', 'wind_speed_metres_per_second'
        ) }} as apparent_temperature_bom_celsius,
        {{ wet_bulb_globe_temperature('temperature_celsius', 'relative_humidity_percent') }} as wet_bulb_globe_celsius
    from covered

),

averaged as (

    select
        athlete_id,
        activity_id,
        sum(seconds) / max(activity_seconds) as coverage,
        count(*) = max(piece_count) as is_whole,
        max(distance) as location_distance_metres,
        case
            when min(least(source_before, source_after)) = max(greatest(source_before, source_after)) then min(source_before)
            else 'mixed'
        end as source,
        {% for value in interpolated + [
            'apparent_temperature_shade_celsius', 'apparent_temperature_bom_celsius', 'wet_bulb_globe_celsius',
            'wind_east', 'wind_north'
        ] -%}
        {{ weighted_mean(value, 'seconds') }} as {{ value }},
        {% endfor -%}
        max(wind_gusts_metres_per_second) as wind_gusts_metres_per_second,
        -- as much of an hour's rain as of the hour
        case
            when bool_and(precipitation_millimetres is not null) then sum(precipitation_millimetres * seconds / 3600)
        end as precipitation_millimetres,
        bool_or(precipitation_millimetres >= 0.1) as has_rain,
        bool_and(precipitation_millimetres is not null) as is_rain_known
    from felt
    group by athlete_id, activity_id

),

known as (

    select
        *,
        sqrt(wind_east ^ 2 + wind_north ^ 2) as wind_resultant
    from averaged
    where coverage >= {{ var('weather_minimum_coverage') }}

)

select
    activities.athlete_id,
    activities.activity_id,
    coalesce(activities.obstacle, case when known.activity_id is null then 'no_readings' else 'known' end) as status,

    -- how good it is
    known.source,
    {{ rounded('known.location_distance_metres', 1) }} as location_distance_metres,
    {{ rounded('known.coverage') }} as coverage,

    -- the air
    {{ rounded('known.temperature_celsius', 2) }} as temperature_celsius,
    {{ rounded('known.relative_humidity_percent', 1) }} as relative_humidity_percent,
    {{ rounded('known.dew_point_celsius', 2) }} as dew_point_celsius,
    {{ rounded('known.cloud_cover_percent', 1) }} as cloud_cover_percent,

    -- what it felt like
    {{ rounded('known.apparent_temperature_celsius', 2) }} as apparent_temperature_celsius,
    {{ rounded('known.apparent_temperature_shade_celsius', 2) }} as apparent_temperature_shade_celsius,
    {{ rounded('known.apparent_temperature_bom_celsius', 2) }} as apparent_temperature_bom_celsius,
    {{ rounded('known.wet_bulb_globe_celsius', 2) }} as wet_bulb_globe_celsius,

    -- rain
    {{ rounded('known.precipitation_millimetres', 2) }} as precipitation_millimetres,
    case when known.has_rain then true when known.is_rain_known and known.is_whole then false end as is_rainy,

    -- wind
    {{ rounded('known.wind_speed_metres_per_second', 3) }} as wind_speed_metres_per_second,
    {{ rounded('known.wind_resultant', 3) }} as wind_resultant_metres_per_second,
    case
        when known.wind_resultant >= 0.001 then {{ compass('atan2d(known.wind_east, known.wind_north)') }}
    end as wind_direction_degrees,
    {{ rounded('known.wind_gusts_metres_per_second', 3) }} as wind_gusts_metres_per_second,
    case
        when known.activity_id is not null then {{ rounded('mod(cast(activities.bearing_degrees as numeric) + 360, 360)', 3) }}
    end as bearing_degrees,
    {{ rounded(
        'known.wind_north * cosd(activities.bearing_degrees) + known.wind_east * sind(activities.bearing_degrees)', 3
    ) }} as head_wind_metres_per_second,
    {{ rounded(
        'known.wind_east * cosd(activities.bearing_degrees) - known.wind_north * sind(activities.bearing_degrees)', 3
    ) }} as cross_wind_metres_per_second
from activities
left join known
    on
        activities.athlete_id = known.athlete_id
        and activities.activity_id = known.activity_id
