//! What a person is shown.

use serde_json::{Value, json};

use crate::world::{Place, World, generated, over_both};

over_both!(
    check_tells_what_is_missing_and_changes_nothing,
    status_shows_each_athlete
);

async fn check_tells_what_is_missing_and_changes_nothing(place: Place) {
    let mut world = World::new(place, generated(20)).await;
    let run = world.run(&["check"]).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    assert_eq!(world.strava.control().requests().len(), 0);
    assert!(world.storage.list("state/").await.unwrap().is_empty());

    world.api().await;
    world.strava.control().forget_requests();
    let run = world.run(&["check", "--json"]).await;
    let findings: Value = run
        .log
        .lines()
        .find_map(|line| serde_json::from_str(line).ok().filter(Value::is_array))
        .unwrap();
    assert_eq!(findings.as_array().unwrap().len(), 4, "{}", run.log);
    assert_eq!(world.strava.control().requests().len(), 2);

    world.strava.control().set_inactive(true).unwrap();
    world
        .run(&["check"])
        .await
        .failed_with(2, &["athlete", "subscription"]);
    world
        .variables
        .insert("LANDING_URL", "file:///nowhere/at/all".to_owned());
    world
        .run(&["check"])
        .await
        .failed_with(2, &["landing", "/nowhere/at/all"]);
}

async fn status_shows_each_athlete(place: Place) {
    let mut world = World::new(place, generated(20)).await;
    world.api().await;
    world.variables.remove("STRAVA_ATHLETE_ID");
    let run = world.run(&["status"]).await;
    assert_eq!(
        (run.code, run.line["athletes"].clone()),
        (Some(0), json!(1)),
        "{}",
        run.log
    );
    let athlete = format!("athlete {}", world.athlete_id());
    for text in [athlete.as_str(), "20 done", "0 pending", "complete at"] {
        assert!(run.log.contains(text), "no {text:?} in: {}", run.log);
    }
}
