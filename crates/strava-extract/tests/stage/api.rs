//! The API's happy path, and the same once more.

use devstack::strava::{Athlete, Limits, Options};
use serde_json::json;

use crate::world::{Place, World, generated, over_both, shared_data};

over_both!(
    every_recorded_activity_is_landed_as_it_was_received,
    running_twice_lands_nothing_and_costs_the_list_and_little_else,
    a_dry_run_counts_and_writes_nothing,
    one_stream_can_be_asked_for_alone,
    without_an_athlete_id_strava_is_asked_once,
);

async fn every_recorded_activity_is_landed_as_it_was_received(place: Place) {
    let Some(recorded) = shared_data("api/activities.ndjson") else {
        return;
    };
    let text = std::fs::read_to_string(&recorded).unwrap();
    let options = Options {
        athlete: Athlete::Recorded(recorded),
        quota: Limits::generous(),
        ..Options::default()
    };
    let world = World::new(place, options).await;
    let run = world.api().await;
    assert_eq!((run.count("new"), run.count("written")), (1132, 1132));
    assert_eq!(run.line["complete"], json!(true));

    let mut received: Vec<&str> = text.lines().collect();
    let rows = world.activities().await;
    let mut landed: Vec<&str> = rows.iter().map(|row| row.payload.as_str()).collect();
    received.sort_unstable();
    landed.sort_unstable();
    assert!(landed == received, "a payload is not what was received");
}

async fn running_twice_lands_nothing_and_costs_the_list_and_little_else(place: Place) {
    const ACTIVITIES: usize = 620;
    let world = World::new(place, generated(ACTIVITIES)).await;
    world.api().await;
    let before = world.objects().await;
    world.strava.control().forget_requests();

    let run = world.api().await;
    assert_eq!(run.count("unchanged"), ACTIVITIES as u64);
    assert_eq!(
        (run.count("new"), run.count("changed"), run.count("written")),
        (0, 0, 0)
    );
    assert_eq!(world.objects().await, before);
    let pages = world.requests("/athlete/activities");
    assert_eq!(pages, ACTIVITIES.div_ceil(200) + 1);
    assert!(world.strava.control().requests().len() - pages <= 3);
    assert_eq!(run.line["requests"], json!(pages + 1));
}

async fn a_dry_run_counts_and_writes_nothing(place: Place) {
    let world = World::new(place, generated(30)).await;
    let run = world.run(&["api", "--dry-run"]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert_eq!((run.count("new"), run.count("written")), (30, 0));
    assert!(world.storage.list("source=").await.unwrap().is_empty());
    assert!(
        world
            .storage
            .list("state/strava/athlete=")
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(world.api().await.count("written"), 30);
}

async fn one_stream_can_be_asked_for_alone(place: Place) {
    let world = World::new(place, generated(30)).await;
    let run = world.run(&["api", "--streams", "athletes"]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert_eq!(run.line["streams"]["athletes"]["written"], json!(1));
    assert_eq!(run.line["streams"].as_object().unwrap().len(), 1);
    assert_eq!(world.requests("/athlete/activities"), 0);
    let run = world.run(&["api", "--streams", "kudos"]).await;
    run.failed_with(2, &["kudos"]);
}

async fn without_an_athlete_id_strava_is_asked_once(place: Place) {
    let mut world = World::new(place, generated(30)).await;
    world.variables.insert("STRAVA_ATHLETE_ID", String::new());
    let run = world.run(&["api"]).await;
    run.failed_with(2, &["STRAVA_ATHLETE_ID"]);

    let store = format!("file://{}/token.json", world.folder.path().display());
    world.variables.insert("STRAVA_TOKEN_STORE", store);
    assert_eq!(world.api().await.count("written"), 30);
    assert_eq!(world.requests("/athlete") - world.requests("/athlete/"), 1);
}
