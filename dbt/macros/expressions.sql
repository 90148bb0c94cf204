{#- A set-returning call: every day from `first` to `last`, both included. -#}
{% macro day_series(first, last) -%}
    generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval '1 day')
{%- endmacro %}

{#- A double with `places` decimals; PostgreSQL rounds only numerics to a place. -#}
{% macro rounded(expression, places=4) -%}
    cast(round(cast({{ expression }} as numeric), {{ places }}) as double precision)
{%- endmacro %}

{#- The whole hour at or before an instant, by UTC: the session's own zone may be half an hour off. -#}
{% macro whole_hour(instant) -%}
    date_trunc('hour', {{ instant }}, 'UTC')
{%- endmacro %}

{#- Mean of `value` weighted by `weight`, over the rows that have it. -#}
{% macro weighted_mean(value, weight) -%}
    sum({{ value }} * {{ weight }}) / sum({{ weight }}) filter (where {{ value }} is not null)
{%- endmacro %}
