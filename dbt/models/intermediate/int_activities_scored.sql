with activities as (

    select
        *,
        coalesce(nullif(moving_time_seconds, 0), elapsed_time_seconds, 0) / 3600 as hours
    from {{ ref('int_activities_reconciled') }}

),

-- what an hour of this sport usually costs this athlete
own_rates as (

    select
        athlete_id,
        sport_type,
        percentile_cont(0.5) within group (
            order by {{ var('load_per_relative_effort') }} * relative_effort / hours
        ) as load_per_hour
    from activities
    where
        relative_effort is not null
        and hours > 0
    group by athlete_id, sport_type
    having count(*) >= {{ var('own_median_minimum') }}

)

select
    activities.athlete_id,
    activities.activity_id,
    case
        when activities.relative_effort is not null then {{ var('load_per_relative_effort') }} * activities.relative_effort
        when own_rates.load_per_hour is not null then activities.hours * own_rates.load_per_hour
        else activities.hours * {{ var('default_load_per_hour') }}
    end as load,
    case
        when activities.relative_effort is not null then 'relative_effort'
        when own_rates.load_per_hour is not null then 'own_median'
        else 'default_rate'
    end as load_source
from activities
left join own_rates
    on
        activities.athlete_id = own_rates.athlete_id
        and activities.sport_type = own_rates.sport_type
