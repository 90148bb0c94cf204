//! A column under views widens: the views are made again as they were, or the load refuses by name.

use crate::world::{TABLE, World, at, line};

async fn world_with_column(test: &str) -> World {
    let world = World::new(test).await;
    world
        .land("20261101-a", &[vec![line(1, &at(1), r#"{"v":1,"w":2}"#)]])
        .await;
    world.sync().await;
    world
}

async fn land_fraction(world: &World) {
    world
        .land("20261102-b", &[vec![line(2, &at(2), r#"{"v":0.5,"w":2}"#)]])
        .await;
}

/// All that a view is, but its object ids.
const DESCRIPTION: &str = "select string_agg(row(c.oid::regclass, pg_get_viewdef(c.oid), pg_get_userbyid(relowner), \
    coalesce(relacl, acldefault('r', relowner)), reloptions, obj_description(c.oid, 'pg_class'), (select array_agg(row(attname, attacl, \
    col_description(c.oid, attnum))::text order by attnum) from pg_attribute where attrelid = c.oid))::text, E'\\n' \
    order by relname) from pg_class c where relname like 'over%'";

#[tokio::test]
async fn views_over_a_widened_column_are_as_they_were() {
    let world = world_with_column("views_over").await;
    let run = world.value("select md5(random()::text)").await.unwrap();
    world
        .client
        .batch_execute(&format!(
            "create role \"reader{run}\"; create role \"owner{run}\"; grant usage, create on schema strava to \"owner{run}\"; \
             grant select on {TABLE} to \"owner{run}\"; \
             create view strava.over_v with (security_barrier = true) as select _id, v, w from {TABLE} where v is not null; \
             create view strava.over_over as select sum(v) as total from strava.over_v; \
             create view strava.beside as select w from {TABLE}; \
             comment on view strava.over_v is 'it''s one'; comment on column strava.over_v.v is 'a value'; \
             grant select on strava.over_v to \"reader{run}\" with grant option; \
             grant select (total) on strava.over_over to \"reader{run}\"; \
             alter view strava.over_over owner to \"owner{run}\"; grant select on strava.over_v to \"owner{run}\"; \
             alter default privileges in schema strava grant delete on tables to public"
        ))
        .await
        .unwrap();
    let before = world.value(DESCRIPTION).await.unwrap();
    land_fraction(&world).await;
    world.sync().await;
    assert_eq!(world.value(DESCRIPTION).await.unwrap(), before);
    assert_eq!(
        world
            .value("select total from strava.over_over")
            .await
            .unwrap(),
        "1.5"
    );
    assert_eq!(
        world
            .value("select count(*) from strava.beside")
            .await
            .unwrap(),
        "2"
    );
    world
        .client
        .batch_execute(&format!(
            "drop schema strava cascade; drop role \"reader{run}\"; drop role \"owner{run}\""
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_made_again_is_named_and_nothing_is_changed() {
    for (kind, sql, name) in [
        (
            "materialised",
            format!("create materialized view strava.kept as select v from {TABLE}"),
            "materialised view strava.kept",
        ),
        (
            "behind_a_view",
            format!(
                "create view strava.between as select v from {TABLE}; create materialized view strava.kept as select v from strava.between"
            ),
            "materialised view strava.kept",
        ),
        (
            "ruled",
            format!(
                "create table strava.other (v bigint); create rule kept as on insert to strava.other do also select v from {TABLE}"
            ),
            "strava.other",
        ),
    ] {
        let world = world_with_column(&format!("refuses_{kind}")).await;
        world.client.batch_execute(&sql).await.unwrap();
        let before = world.content().await;
        land_fraction(&world).await;
        let error = world.failed_sync(&world.request()).await;
        assert!(
            error.contains(name) && error.contains("must widen"),
            "{kind}: {error}"
        );
        assert_eq!(world.content().await, before, "{kind}");
    }
}
