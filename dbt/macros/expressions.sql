{#- A set-returning call: every day from `first` to `last`, both included. -#}
{% macro day_series(first, last) -%}
    generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval '1 day')
{%- endmacro %}

{#- A double with `places` decimals; PostgreSQL rounds only numerics to a place. -#}
{% macro rounded(expression, places=4) -%}
    cast(round(cast({{ expression }} as numeric), {{ places }}) as double precision)
{%- endmacro %}
