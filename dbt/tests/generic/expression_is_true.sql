{#- Fails for every row in which `expression` is false; null is no answer and passes. -#}
{% test expression_is_true(model, expression, column_name=none) %}
select *
from {{ model }}
where not ({{ expression }})
{% endtest %}
