//! Strava's limits: a quarter of an hour is waited out, a day is not, and nothing is asked twice.

use std::time::Duration;

use common::landing::keys;
use devstack::strava::{Limit, Limits, Options, Window};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::{Place, World, generated, over_both};

over_both!(
    a_used_up_quarter_of_an_hour_is_waited_out,
    a_used_up_day_ends_the_run_and_a_later_one_goes_on,
    a_quarter_longer_than_the_patience_ends_the_run,
    few_requests_a_run_reach_the_end_of_the_list_in_some_runs,
    the_quota_is_kept_for_whoever_asks_and_binds_nobody,
);

/// A clock that stands still there.
const NOON: &str = "2026-11-24T12:00:00Z";

/// Moves Strava's clock to some seconds before the end of a quarter of an hour.
fn before_the_quarter_ends(world: &World, seconds: i64) {
    let control = world.strava.control();
    let second = control.now().as_second();
    let to_boundary = 900 - second.rem_euclid(900);
    control
        .advance_clock(SignedDuration::from_secs(to_boundary - seconds))
        .unwrap();
}

async fn a_used_up_quarter_of_an_hour_is_waited_out(place: Place) {
    let quota = Limits {
        overall: Limit {
            quarter: 200,
            day: 2000,
        },
        read: Limit {
            quarter: 4,
            day: 1000,
        },
    };
    let clock = Some(NOON.parse().unwrap());
    let world = World::new(
        place,
        Options {
            quota,
            clock,
            ..generated(700)
        },
    )
    .await;
    before_the_quarter_ends(&world, 4);
    let turn_the_clock = async {
        while world.requests("/athlete") < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        world
            .strava
            .control()
            .advance_clock(SignedDuration::from_secs(5))
            .unwrap();
    };
    let (run, ()) = tokio::join!(world.api(), turn_the_clock);
    // The athlete, four pages, the empty one, the first once more; and none of them refused.
    assert_eq!(run.line["requests"], json!(7));
    let requests = world.strava.control().requests();
    assert!(requests.iter().all(|request| request.status == Some(200)));
    assert_eq!(world.activities().await.len(), 700);
}

async fn a_used_up_day_ends_the_run_and_a_later_one_goes_on(place: Place) {
    let quota = Limits {
        overall: Limit {
            quarter: 200,
            day: 2000,
        },
        read: Limit {
            quarter: 100,
            day: 4,
        },
    };
    let clock = Some(NOON.parse().unwrap());
    let filtered = Some(0);
    let world = World::new(
        place,
        Options {
            quota,
            clock,
            filtered,
            ..generated(900)
        },
    )
    .await;
    let run = world.api().await;
    assert_eq!(
        (run.line["complete"].clone(), run.count("written")),
        (json!(false), 600)
    );
    assert!(run.count("pending") > 0);
    assert_eq!(run.line["resume_at"], json!("2026-11-25T00:00:00Z"));
    assert_eq!(world.activities().await.len(), 600);

    world
        .strava
        .control()
        .advance_clock(SignedDuration::from_hours(12))
        .unwrap();
    let run = world.api().await;
    assert_eq!(
        (run.line["complete"].clone(), run.count("new")),
        (json!(false), 300),
        "{}",
        run.log
    );
    world
        .strava
        .control()
        .advance_clock(SignedDuration::from_hours(24))
        .unwrap();
    // Of the walk, the end and the look at the top were left.
    let run = world.api().await;
    assert_eq!(
        (run.line["complete"].clone(), run.count("new")),
        (json!(true), 0),
        "{}",
        run.log
    );
    assert_eq!(world.activities().await.len(), 900);
    let status = world.run(&["status"]).await;
    assert!(
        status.log.contains("900 done") && status.log.contains("0 pending"),
        "{}",
        status.log
    );
}

async fn a_quarter_longer_than_the_patience_ends_the_run(place: Place) {
    let world = World::new(place, generated(300)).await;
    before_the_quarter_ends(&world, 600);
    world.strava.control().exhaust(Window::Quarter);
    let run = world.run(&["api", "--max-wait", "5s"]).await;
    assert_eq!(
        (run.code, run.line["complete"].clone()),
        (Some(0), json!(false)),
        "{}",
        run.log
    );
    let resume_at: jiff::Timestamp = run.line["resume_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(resume_at.as_second() % 900, 0);
}

async fn few_requests_a_run_reach_the_end_of_the_list_in_some_runs(place: Place) {
    let world = World::new(place, generated(1500)).await;
    let mut runs = 0;
    loop {
        runs += 1;
        let run = world.run(&["api", "--max-requests", "3"]).await;
        assert_eq!(run.code, Some(0), "{}", run.log);
        assert!(run.line["requests"].as_u64().unwrap() <= 3);
        if run.line["complete"] == json!(true) {
            break;
        }
        assert!(runs < 12, "no end: {}", run.log);
    }
    assert_eq!(world.activities().await.len(), 1500);
}

async fn the_quota_is_kept_for_whoever_asks_and_binds_nobody(place: Place) {
    let world = World::new(place, generated(20)).await;
    let run = world.api().await;
    let client_id = &world.variables["STRAVA_CLIENT_ID"];
    let status = world.run(&["status"]).await;
    let kept = &status.line["quota"][client_id];
    assert_eq!(kept["read"], run.line["quota"]["read"]);
    assert_eq!(kept["read"]["day"]["used"], run.line["requests"]);
    assert!(
        status.log.contains("in the quarter of an hour"),
        "{}",
        status.log
    );

    // Kept as used up, by a run whose window has long ended or by a clock that was wrong: it is asked again.
    let key = keys::quota(client_id);
    let (body, version) = world.storage.get(&key).await.unwrap().unwrap();
    let mut used_up: Value = serde_json::from_slice(&body).unwrap();
    used_up["read"]["day"]["used"] = used_up["read"]["day"]["limit"].clone();
    let body = serde_json::to_vec(&used_up).unwrap();
    let replaced = world.storage.replace(&key, body.into(), Some(&version));
    replaced.await.unwrap();
    let again = world.api().await;
    assert_eq!(again.line["complete"], json!(true));
}
