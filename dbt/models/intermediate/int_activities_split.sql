{{ config(materialized='table', post_hook='analyze {{ this }}') }}

with activities as (

    select
        *,
        greatest(10000, distance_metres / 1000) / nullif(distance_metres, 0) as step,
        extract(epoch from ended_at - started_at) as activity_seconds,
        end_latitude - start_latitude as latitude_change,
        -- the short way round, over the date line as well
        end_longitude - start_longitude - 360 * round((end_longitude - start_longitude) / 360) as longitude_change
    from {{ ref('int_activities_placed') }}
    where obstacle is null

),

cuts as (

    select
        activities.*,
        cuts.cut_at
    from activities
    cross join lateral (
        select activities.started_at as cut_at
        union
        select activities.ended_at as cut_at
        union
        select hours.cut_at
        from
            generate_series(
                {{ whole_hour('activities.started_at') }} + interval '1 hour', activities.ended_at, interval '1 hour'
            ) as hours (cut_at)
        union
        select activities.started_at + (activities.ended_at - activities.started_at) * activities.step * marks.number as cut_at
        from generate_series(1, cast(ceil(1 / activities.step) as integer) - 1) as marks (number)
    ) as cuts

),

pieces as (

    select
        *,
        cut_at as began_at,
        lead(cut_at) over (partition by athlete_id, activity_id order by cut_at) - cut_at as length,
        count(*) over (partition by athlete_id, activity_id) - 1 as piece_count
    from cuts

),

middles as (

    select
        *,
        began_at + length / 2 as middle_at,
        extract(epoch from began_at + length / 2 - started_at) / activity_seconds as track_fraction
    from pieces
    where length is not null

)

select
    athlete_id,
    activity_id,
    began_at,
    cast(extract(epoch from length) as double precision) as seconds,
    cast(activity_seconds as double precision) as activity_seconds,
    piece_count,
    start_latitude + track_fraction * latitude_change as latitude,
    start_longitude + track_fraction * longitude_change as longitude,
    {{ whole_hour('middle_at') }} as hour_before,
    {{ whole_hour('middle_at') }} + interval '1 hour' as hour_after,
    cast(extract(epoch from middle_at - {{ whole_hour('middle_at') }}) / 3600 as double precision) as hour_fraction
from middles
