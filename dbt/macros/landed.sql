{#-
    Selects `columns` (name: type) from a raw table, each cast to its type.

    A raw table exists once its stream has landed, and has a column once some payload had that key. So a table that is
    not there yet counts as empty, and a column that is not there yet as null: the models build on any warehouse.
    In a unit test the relation is the fixture, which must have every column. A jsonb takes whatever type the loader found,
    since arrays are typed by what is in them.
-#}
{% macro landed(relation, columns) -%}
    {%- set ns = namespace(exists=false, known=[]) -%}
    {%- if execute and relation.is_cte -%}
        {%- set ns.exists = true -%}
        {%- set ns.known = columns.keys() | list -%}
    {%- elif execute -%}
        {%- set table = load_relation(relation) -%}
        {%- if table is not none -%}
            {%- set ns.exists = true -%}
            {%- set ns.known = adapter.get_columns_in_relation(table) | map(attribute='name') | list -%}
        {%- endif -%}
    {%- endif -%}
    select
    {%- for column, type in columns.items() %}
        {%- if type == 'jsonb' and column in ns.known %}
        to_jsonb({{ adapter.quote(column) }}) as {{ column }}{{ ',' if not loop.last }}
        {%- else %}
        cast({{ adapter.quote(column) if column in ns.known else 'null' }} as {{ type }}) as {{ column }}{{ ',' if not loop.last }}
        {%- endif %}
    {%- endfor %}
    {%- if ns.exists %}
    from {{ relation }}
    {%- else %}
    where false
    {%- endif %}
{%- endmacro %}
