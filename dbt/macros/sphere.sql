{#- Great-circle distance by the haversine formula, in metres; the earth is a sphere of 6,371 km. `least` since rounding may pass 1. -#}
{% macro great_circle_metres(latitude, longitude, other_latitude, other_longitude) -%}
    2 * 6371000 * asin(sqrt(least(
        1,
        sind(({{ other_latitude }} - {{ latitude }}) / 2) ^ 2
        + cosd({{ latitude }}) * cosd({{ other_latitude }}) * sind(({{ other_longitude }} - {{ longitude }}) / 2) ^ 2
    )))
{%- endmacro %}

{#- Degrees that a great circle starts at, -180 to 180, from north over east. -#}
{% macro bearing_degrees(latitude, longitude, other_latitude, other_longitude) -%}
    atan2d(
        sind({{ other_longitude }} - {{ longitude }}) * cosd({{ other_latitude }}),
        cosd({{ latitude }}) * sind({{ other_latitude }})
        - sind({{ latitude }}) * cosd({{ other_latitude }}) * cosd({{ other_longitude }} - {{ longitude }})
    )
{%- endmacro %}

{#- A direction with one decimal, 0 to 359.9. Rounded first: a hair west of north is 0, not 360. -#}
{% macro compass(degrees) -%}
    {{ rounded('mod(round(cast(' ~ degrees ~ ' as numeric), 1) + 360, 360)', 1) }}
{%- endmacro %}

{#- Latitude (`index` 0) or longitude (1) of a jsonb pair as Strava sends it; null for `[]` and for whatever is no place on earth. -#}
{% macro coordinate(pair, index) -%}
    case
        when jsonb_typeof({{ pair }} -> 0) = 'number' and jsonb_typeof({{ pair }} -> 1) = 'number' then
            case
                when abs(cast({{ pair }} ->> 0 as numeric)) <= 90 and abs(cast({{ pair }} ->> 1 as numeric)) <= 180
                    then cast({{ pair }} ->> {{ index }} as double precision)
            end
    end
{%- endmacro %}
