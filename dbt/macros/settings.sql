{#- The last day of every calendar: a var, so that a build can be repeated; never the database's clock. -#}
{% macro today() -%}
    cast('{{ var("today") or run_started_at.astimezone(modules.pytz.timezone(home_timezone())).strftime("%Y-%m-%d") }}' as date)
{%- endmacro %}

{#- The IANA name of the zone in which an activity of unknown zone happened; an empty variable is one that is not set. -#}
{% macro home_timezone() -%}
    {{- var('home_timezone') or env_var('HOME_TIMEZONE', '') or 'UTC' -}}
{%- endmacro %}
