//! What changes on Strava between two runs.

use common::landing::hash;
use devstack::strava::Payload;
use serde_json::{Value, json};

use crate::world::{Place, Row, World, generated, over_both};

over_both!(
    what_was_added_edited_backdated_and_deleted_is_found,
    kudos_alone_land_the_summary_again,
    a_deleted_activity_that_comes_back_is_landed_again,
    a_vanish_of_thirty_percent_buries_nothing_and_lands_the_rest,
    what_is_hidden_from_the_list_and_still_there_is_not_buried,
    an_activity_added_while_the_list_is_walked_is_landed,
);

fn fields(value: &Value) -> Payload {
    value.to_string().parse().unwrap()
}

fn id_of(summary: &str) -> i64 {
    serde_json::from_str::<Value>(summary).unwrap()["id"]
        .as_i64()
        .unwrap()
}

/// What the rows come to when each later one replaces the earlier ones: id and payload.
fn latest(rows: &[Row]) -> Vec<(i64, String)> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| row.fetched_at);
    let mut latest = std::collections::BTreeMap::new();
    for row in rows {
        let id: i64 = row.id.parse().unwrap();
        if row.deleted {
            latest.remove(&id);
        } else {
            latest.insert(id, row.payload.clone());
        }
    }
    latest.into_iter().collect()
}

async fn agrees_with_strava(world: &World) {
    let mut there: Vec<(i64, String)> = world
        .strava
        .control()
        .summaries()
        .into_iter()
        .map(|summary| (id_of(&summary), summary))
        .collect();
    there.sort();
    assert!(
        latest(&world.activities().await) == there,
        "landing and Strava differ"
    );
}

async fn what_was_added_edited_backdated_and_deleted_is_found(place: Place) {
    let world = World::new(place, generated(450)).await;
    world.api().await;
    agrees_with_strava(&world).await;
    let landed = world.activities().await.len();

    let control = world.strava.control();
    let ids: Vec<i64> = control
        .summaries()
        .iter()
        .map(|summary| id_of(summary))
        .collect();
    control.add(Payload::default()).unwrap();
    control
        .add(fields(
            &json!({"start_date": "2011-05-01T06:00:00Z", "name": "Found on an old watch"}),
        ))
        .unwrap();
    control
        .edit(
            ids[100],
            fields(&json!({"name": "Renamed", "private": true})),
        )
        .unwrap();
    control
        .edit(
            ids[300],
            fields(&json!({"start_date": "2012-01-01T10:00:00Z"})),
        )
        .unwrap();
    control.delete(ids[200]).unwrap();

    let run = world.api().await;
    assert_eq!(
        (run.count("new"), run.count("changed"), run.count("deleted")),
        (2, 2, 1),
        "{}",
        run.log
    );
    assert_eq!(run.count("written"), 5);
    assert_eq!(world.activities().await.len(), landed + 5);
    agrees_with_strava(&world).await;
    let grave: Vec<Row> = world
        .activities()
        .await
        .into_iter()
        .filter(|row| row.deleted)
        .collect();
    assert_eq!(
        (grave.len(), grave[0].id.as_str()),
        (1, ids[200].to_string().as_str())
    );
    assert_eq!(grave[0].payload, "null");

    let again = world.api().await;
    assert_eq!((again.count("written"), again.count("unchanged")), (0, 451));
}

async fn kudos_alone_land_the_summary_again(place: Place) {
    let world = World::new(place, generated(40)).await;
    world.api().await;
    let control = world.strava.control();
    let id = id_of(&control.summaries()[7]);
    control
        .edit(id, fields(&json!({"kudos_count": 977})))
        .unwrap();
    let run = world.api().await;
    assert_eq!((run.count("changed"), run.count("written")), (1, 1));
    assert_eq!(world.requests("/activities/"), 0);
    agrees_with_strava(&world).await;
}

async fn a_deleted_activity_that_comes_back_is_landed_again(place: Place) {
    let world = World::new(place, generated(40)).await;
    world.api().await;
    let control = world.strava.control();
    let summary = control.summaries()[7].clone();
    control.delete(id_of(&summary)).unwrap();
    assert_eq!(world.api().await.count("deleted"), 1);
    control.add(summary.parse().unwrap()).unwrap();
    let run = world.api().await;
    assert_eq!((run.count("new"), run.count("written")), (1, 1));
    agrees_with_strava(&world).await;
}

async fn a_vanish_of_thirty_percent_buries_nothing_and_lands_the_rest(place: Place) {
    let world = World::new(place, generated(100)).await;
    world.api().await;
    let control = world.strava.control();
    let gone = control.delete_share(30).unwrap();
    control.add(Payload::default()).unwrap();

    let run = world.run(&["api"]).await;
    run.failed_with(
        1,
        &[
            "30 of 101 activities are no longer in the list",
            "none was buried",
            "--max-vanished",
        ],
    );
    assert_eq!(run.line["status"], json!("partial"));
    assert_eq!(
        (run.count("new"), run.count("deleted"), run.count("written")),
        (1, 0, 1)
    );
    assert_eq!(world.requests("/activities/"), 0);

    // A person who did delete them says so.
    let run = world.run(&["api", "--max-vanished", "30"]).await;
    assert_eq!(
        (run.code, run.count("deleted")),
        (Some(0), gone.len() as u64),
        "{}",
        run.log
    );
    agrees_with_strava(&world).await;
}

async fn what_is_hidden_from_the_list_and_still_there_is_not_buried(place: Place) {
    let world = World::new(place, generated(60)).await;
    world.api().await;
    let control = world.strava.control();
    let id = id_of(&control.summaries()[10]);
    control.hide([id]).unwrap();
    let run = world.api().await;
    assert_eq!(
        (
            run.count("deleted"),
            run.count("unchanged"),
            run.count("written")
        ),
        (0, 60, 0)
    );
}

async fn an_activity_added_while_the_list_is_walked_is_landed(place: Place) {
    let world = World::new(place, generated(900)).await;
    world.api().await;
    let slow = devstack::strava::Kind::Slow { milliseconds: 700 };
    world
        .strava
        .control()
        .plan_fault(devstack::strava::Fault::next(slow, "/athlete/activities").after(2));
    let run = world.run(&["api"]);
    let add = async {
        while world.requests("/athlete/activities") < 9 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        world.strava.control().add(Payload::default()).unwrap();
    };
    let (run, ()) = tokio::join!(run, add);
    assert_eq!(
        (run.code, run.count("new"), run.count("deleted")),
        (Some(0), 1, 0),
        "{}",
        run.log
    );
    agrees_with_strava(&world).await;
    let rows = world.activities().await;
    let hashes: std::collections::BTreeSet<&str> =
        rows.iter().map(|row| row.hash.as_str()).collect();
    assert_eq!(hashes.len(), rows.len());
    let payload = serde_json::value::RawValue::from_string(rows[0].payload.clone()).unwrap();
    assert_eq!(hash(&payload), rows[0].hash);
}
