{#- Formulas of temperature in °C, relative humidity in % and wind in m/s ten metres up; each in °C. -#}

{#- Water vapour pressure in hPa (a common bug takes kPa). Source: bom.gov.au/info/thermal_stress. -#}
{% macro vapour_pressure(temperature, humidity) -%}
    {{ humidity }} / 100 * 6.105 * exp(17.27 * {{ temperature }} / (237.7 + {{ temperature }}))
{%- endmacro %}

{#- Steadman's apparent temperature as the Australian Bureau of Meteorology has it, in the shade. -#}
{% macro apparent_temperature_bom(temperature, humidity, wind_speed) -%}
    {{ temperature }} + 0.33 * {{ vapour_pressure(temperature, humidity) }} - 0.7 * {{ wind_speed }} - 4
{%- endmacro %}

{#- Open-Meteo's apparent temperature without its term for sunshine (Meteorology.swift); the wind is that at the height of a head. -#}
{% macro apparent_temperature_shade(temperature, humidity, wind_speed) -%}
    {{ temperature }} + 0.348 * {{ vapour_pressure(temperature, humidity) }} - 0.7 * 0.75 * {{ wind_speed }} - 4.25
{%- endmacro %}

{#- Simple wet-bulb globe temperature, which supposes moderate sun and light wind (thermofeel, 10.1016/j.softx.2022.101005). -#}
{% macro wet_bulb_globe_temperature(temperature, humidity) -%}
    0.567 * {{ temperature }} + 0.393 * {{ vapour_pressure(temperature, humidity) }} + 3.94
{%- endmacro %}
