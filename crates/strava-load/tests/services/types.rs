//! Which type a column gets, how it widens, and what a conflict is.

use serde_json::json;
use strava_load::rejects::OnTypeConflict;

use crate::{
    hazards::{ROWS, TYPE_OF_V},
    world::{TABLE, World, at, line},
};

#[tokio::test]
async fn the_place_of_a_value_does_not_matter_for_the_type_of_its_column() {
    let world = World::new("place_of_a_value").await;
    // Texts that come only after the first rows said `time`: more than odd ones out, so the column is text.
    let payload = |n: u64| match n {
        0..1_200 => format!(r#"{{"v":"2026-11-21T06:00:{:02}Z"}}"#, n % 60),
        _ => format!(r#"{{"v":"text {n}"}}"#),
    };
    world
        .land(
            "20261101-a",
            &[(0..ROWS).map(|n| line(n, &at(0), &payload(n))).collect()],
        )
        .await;
    let counts = world.sync().await;
    assert_eq!(
        (&counts["inserted"], &counts["rejected"]),
        (&json!(1500), &json!(0))
    );
    assert_eq!(world.value(TYPE_OF_V).await.unwrap(), "text");
    assert_eq!(
        world
            .value("select v from strava.ods_strava__activities where _id = '7'")
            .await
            .unwrap(),
        "2026-11-21T06:00:07Z"
    );
}

#[tokio::test]
async fn a_type_conflict_is_what_the_option_says() {
    let world = World::new("type_conflict").await;
    let lines = |from: u64| {
        (from..from + 20)
            .map(|n| line(n, &at(from), &format!(r#"{{"v":{n}}}"#)))
            .collect::<Vec<_>>()
    };
    world.land("20261101-a", &[lines(0)]).await;
    world.sync().await;
    let mut second = lines(20);
    second[3] = line(23, &at(20), r#"{"v":"n/a"}"#);
    world.land("20261102-b", &[second]).await;

    let mut request = world.request();
    request.on_type_conflict = OnTypeConflict::Fail;
    let error = world.failed_sync(&request).await;
    assert!(
        error.contains("column v is bigint") && error.contains("row 4"),
        "{error}"
    );
    assert_eq!(world.rows().await, 20);

    request.on_type_conflict = OnTypeConflict::WidenToText;
    world.try_sync(&request).await.unwrap();
    assert_eq!(
        (
            world.rows().await,
            world.value(TYPE_OF_V).await.unwrap().as_str()
        ),
        (40, "text")
    );
    let values = format!(
        "select string_agg(v, ',' order by _id) from {TABLE} where _id in ('7', '23', '24')"
    );
    assert_eq!(world.value(&values).await.unwrap(), "n/a,24,7");
}

#[tokio::test]
async fn a_column_widens_in_place_and_keeps_every_digit_it_had() {
    let world = World::new("column_widens").await;
    let wide = 9_007_199_254_740_993_u64;
    world
        .land(
            "20261101-a",
            &[vec![line(
                1,
                &at(1),
                &format!(r#"{{"v":{wide},"l":[{wide}]}}"#),
            )]],
        )
        .await;
    world.sync().await;
    world
        .land(
            "20261102-b",
            &[vec![line(2, &at(2), r#"{"v":0.5,"l":[0.5]}"#)]],
        )
        .await;
    let counts = world.sync().await;
    assert_eq!(
        (&counts["columns_added"], &counts["columns_widened"]),
        (&json!(0), &json!(2))
    );
    let values = format!("select string_agg(v || ' ' || l::text, ',' order by _id) from {TABLE}");
    assert_eq!(
        world.value(&values).await.unwrap(),
        format!("{wide} {{{wide}}},0.5 {{0.5}}")
    );
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_done_and_leaves_no_trace() {
    let world = World::new("dry_run").await;
    world
        .land("20261101-a", &[vec![line(1, &at(1), r#"{"v":1}"#)]])
        .await;
    let mut request = world.request();
    request.dry_run = true;
    let closing = world.try_sync(&request).await.unwrap();
    assert_eq!(closing.counts["tables"][TABLE]["inserted"], 1);
    let schemas = "select count(*) from pg_namespace where nspname like 'strava%'";
    assert_eq!(world.value(schemas).await.unwrap(), "0");
}
