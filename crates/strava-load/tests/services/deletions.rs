//! Newest wins whatever the order of loading, and tombstones speak of every origin.

use serde_json::json;

use crate::world::{TABLE, World, at, envelope, line, tombstone};

const STATE: &str = "select string_agg(row(_id, _origin, name, _deleted)::text, ' ' order by _id, _origin) \
                     from strava.ods_strava__activities";

fn named(id: u64, hour: u64, name: &str) -> String {
    line(id, &at(hour), &format!(r#"{{"name":"{name}"}}"#))
}

#[tokio::test]
async fn a_tombstone_marks_the_rows_of_every_origin_and_a_later_row_clears_them() {
    let world = World::new("tombstone_marks").await;
    let export = envelope("1", &at(0), "export", r#"{"name":"from the export"}"#);
    world
        .land(
            "20261101-a",
            &[vec![named(1, 1, "one"), named(2, 1, "two"), export]],
        )
        .await;
    world.sync().await;

    world
        .land(
            "20261102-b",
            &[vec![tombstone(1, &at(2)), tombstone(9, &at(2))]],
        )
        .await;
    let counts = world.sync().await;
    assert_eq!(
        (&counts["deleted"], &counts["inserted"], &counts["updated"]),
        (&json!(2), &json!(0), &json!(0))
    );
    assert_eq!(
        world.value(STATE).await.unwrap(),
        r#"(1,api,one,t) (1,export,"from the export",t) (2,api,two,f)"#
    );

    // The same content as before the tombstone.
    world.land("20261103-c", &[vec![named(1, 3, "one")]]).await;
    world.sync().await;
    assert_eq!(
        world.value(STATE).await.unwrap(),
        r#"(1,api,one,f) (1,export,"from the export",f) (2,api,two,f)"#
    );
}

#[tokio::test]
async fn hard_delete_removes_what_a_tombstone_names() {
    let world = World::new("hard_delete").await;
    world
        .land(
            "20261101-a",
            &[vec![named(1, 1, "one"), named(2, 1, "two")]],
        )
        .await;
    world.sync().await;
    world
        .land("20261102-b", &[vec![tombstone(1, &at(2))]])
        .await;
    let mut request = world.request();
    request.hard_delete = true;
    let closing = world.try_sync(&request).await.unwrap();
    assert_eq!(closing.counts["tables"][TABLE]["deleted"], 1);
    assert_eq!(world.value(STATE).await.unwrap(), "(2,api,two,f)");
}

#[tokio::test]
async fn of_rows_with_one_key_the_newest_wins_then_the_last() {
    let world = World::new("one_key").await;
    let lines = vec![
        named(1, 2, "newest"),
        named(1, 1, "older"),
        named(2, 1, "first"),
        named(2, 1, "last"),
    ];
    world.land("20261101-a", &[lines]).await;
    let counts = world.sync().await;
    assert_eq!(
        (
            &counts["rows_read"],
            &counts["inserted"],
            &counts["unchanged"]
        ),
        (&json!(4), &json!(2), &json!(2))
    );
    assert_eq!(
        world.value(STATE).await.unwrap(),
        "(1,api,newest,f) (2,api,last,f)"
    );

    let lines = vec![
        named(1, 4, "newest of all"),
        named(1, 3, "not"),
        named(2, 0, "too old"),
    ];
    world.land("20261102-b", &[lines]).await;
    world.sync().await;
    assert_eq!(
        world.value(STATE).await.unwrap(),
        "(1,api,\"newest of all\",f) (2,api,last,f)"
    );
}

/// A history of one id: contents that come back, deletions, two origins.
fn events() -> Vec<String> {
    vec![
        named(1, 1, "a"),
        named(1, 2, "b"),
        tombstone(1, &at(3)),
        named(1, 4, "a"),
        envelope("1", &at(0), "export", r#"{"name":"e"}"#),
    ]
}

#[tokio::test]
async fn the_order_of_loading_makes_no_difference() {
    let mut random = fastrand::Rng::with_seed(7);
    for (prefix, expected) in [
        (2, "(1,api,b,f) (1,export,e,f)"),
        (3, "(1,api,b,t) (1,export,e,t)"),
        (4, "(1,api,a,f) (1,export,e,f)"),
    ] {
        for round in 0..4 {
            let world = World::new(&format!("order_{prefix}_{round}")).await;
            let mut landed: Vec<String> = events();
            let export = landed.pop().unwrap();
            landed.truncate(prefix);
            landed.push(export);
            random.shuffle(&mut landed);
            for (n, line) in landed.iter().enumerate() {
                world
                    .land(&format!("2026110{}-x", n + 1), &[vec![line.clone()]])
                    .await;
                world.sync().await;
            }
            assert_eq!(world.value(STATE).await.unwrap(), expected, "{landed:#?}");
        }
    }
}
