{#-
    An exponentially weighted average of daily loads, y += (load - y) * (1 - exp(-1 / tau)) from day to day, without walking
    from day to day: y at day t = alpha * exp(-t / tau) * sum(load_s * exp(s / tau), s <= t).

    exp(t / 7) leaves the range of a double after day 4,968, so the sum starts anew every block of 2,048 days (`block`, and
    `i` within it), and what the block before ended with fades out from there. Two blocks back nothing is left:
    exp(-2048 / 42) = 7e-22.
-#}

{#- What a block ends with; aggregates the rows of one block. -#}
{% macro block_end(tau) -%}
    sum(load * exp(i / {{ tau }}.0)) * exp(-2047 / {{ tau }}.0)
{%- endmacro %}

{#- The average on a day, over the window `in_block`; `previous_end` is the block_end of the block before, `seed` y before day 0. -#}
{% macro block_average(tau, previous_end, seed) -%}
    (1 - exp(-1 / {{ tau }}.0)) * (
        exp(-i / {{ tau }}.0) * sum(load * exp(i / {{ tau }}.0)) over in_block
        + exp(-(i + 1) / {{ tau }}.0)
        * case when block = 0 then {{ seed }} / (1 - exp(-1 / {{ tau }}.0)) else {{ previous_end }} end
    )
{%- endmacro %}
