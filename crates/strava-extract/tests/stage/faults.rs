//! The far side fails, and nothing is half done.

use devstack::strava::{Fault, Kind, Options};
use serde_json::json;

use crate::world::{Place, World, generated, over_both};

over_both!(
    every_fault_that_passes_is_outlasted,
    a_list_that_breaks_off_lands_what_came_before_and_goes_on_later,
    an_activity_that_cannot_be_asked_for_is_set_aside_and_blocks_nobody,
    an_unreachable_api_is_named_after_bounded_tries,
    a_stopped_run_publishes_what_it_has,
    a_run_of_another_name_waits_and_then_names_the_holder,
);

const LIST: &str = "/athlete/activities";

async fn every_fault_that_passes_is_outlasted(place: Place) {
    let world = World::new(place, generated(700)).await;
    let control = world.strava.control();
    control.plan_fault(Fault::next(Kind::InternalError, "/athlete"));
    for (after, kind) in [
        Kind::BadGateway,
        Kind::Reset,
        Kind::Truncated,
        Kind::Slow { milliseconds: 300 },
    ]
    .into_iter()
    .enumerate()
    {
        control.plan_fault(Fault::next(kind, LIST).after(u32::try_from(after).unwrap()));
    }
    let run = world.api().await;
    assert_eq!((run.count("new"), run.count("written")), (700, 700));
    assert_eq!(world.activities().await.len(), 700);
}

async fn a_list_that_breaks_off_lands_what_came_before_and_goes_on_later(place: Place) {
    let whole_pages = Options {
        filtered: Some(0),
        ..generated(700)
    };
    let world = World::new(place, whole_pages).await;
    world
        .strava
        .control()
        .plan_fault(Fault::always(Kind::InternalError, LIST).after(2));
    let run = world.run(&["api"]).await;
    run.failed_with(
        1,
        &["fetch page 3 of the activities", "500", "tried 6 times"],
    );
    assert_eq!(
        (run.line["status"].clone(), run.count("written")),
        (json!("partial"), 400)
    );
    let landed = world.activities().await;
    assert_eq!(landed.len(), 400);

    world.strava.control().clear_faults();
    let run = world.api().await;
    assert_eq!((run.count("new"), run.count("unchanged")), (300, 400));
    assert_eq!(world.activities().await.len(), 700);
}

async fn an_activity_that_cannot_be_asked_for_is_set_aside_and_blocks_nobody(place: Place) {
    let world = World::new(place, generated(60)).await;
    world.api().await;
    let control = world.strava.control();
    let ids: Vec<i64> = control
        .summaries()
        .iter()
        .map(|summary| {
            serde_json::from_str::<serde_json::Value>(summary).unwrap()["id"]
                .as_i64()
                .unwrap()
        })
        .collect();
    control.delete(ids[10]).unwrap();
    control.delete(ids[20]).unwrap();
    let path = format!("/activities/{}", ids[10]);
    control.plan_fault(Fault::always(Kind::InternalError, &path));

    let run = world.api().await;
    assert_eq!(
        (run.count("deleted"), run.count("quarantined")),
        (1, 1),
        "{}",
        run.log
    );
    assert_eq!(world.requests(&path), 3);
    let status = world.run(&["status"]).await;
    assert!(
        status.log.contains(&ids[10].to_string()) && status.log.contains("500"),
        "{}",
        status.log
    );

    // In quarantine it is left alone, and asked for again on demand.
    control.clear_faults();
    assert_eq!(world.api().await.count("quarantined"), 1);
    assert_eq!(world.requests(&path), 3);
    let run = world.run(&["api", "--retry-quarantined"]).await;
    assert_eq!(
        (run.code, run.count("deleted"), run.count("quarantined")),
        (Some(0), 1, 0),
        "{}",
        run.log
    );
}

async fn an_unreachable_api_is_named_after_bounded_tries(place: Place) {
    let mut world = World::new(place, generated(20)).await;
    world.api().await;
    world
        .variables
        .insert("STRAVA_API_URL", "http://127.0.0.1:9/api/v3".to_owned());
    let run = world.run(&["api"]).await;
    run.failed_with(
        1,
        &[
            "fetch the athlete",
            "http://127.0.0.1:9/api/v3",
            "tried 6 times",
        ],
    );
    assert_eq!(run.line["status"], json!("failed"));
}

async fn a_stopped_run_publishes_what_it_has(place: Place) {
    let whole_pages = Options {
        filtered: Some(0),
        ..generated(900)
    };
    let world = World::new(place, whole_pages).await;
    let slow = Kind::Slow {
        milliseconds: 60_000,
    };
    world
        .strava
        .control()
        .plan_fault(Fault::always(slow, LIST).after(3));
    let command = world
        .command(&["api", "--run-id", "stopped"])
        .stdout(std::process::Stdio::piped())
        .spawn();
    let child = command.unwrap();
    while world.requests(LIST) < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let id = child.id().unwrap().to_string();
    std::process::Command::new("kill")
        .args(["-TERM", &id])
        .status()
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(143));
    assert_eq!(world.activities().await.len(), 600);

    // The retry has the same name, and takes the next attempt.
    world.strava.control().clear_faults();
    let run = world.run(&["api", "--run-id", "stopped"]).await;
    assert_eq!((run.code, run.count("new")), (Some(0), 300), "{}", run.log);
    assert_eq!(world.activities().await.len(), 900);
    assert!(
        world
            .objects()
            .await
            .iter()
            .any(|key| key.ends_with("/stopped.2.manifest.json"))
    );
}

async fn a_run_of_another_name_waits_and_then_names_the_holder(place: Place) {
    let world = World::new(place, generated(20)).await;
    let slow = Kind::Slow {
        milliseconds: 60_000,
    };
    world
        .strava
        .control()
        .plan_fault(Fault::next(slow, "/athlete"));
    let mut first = world.start(&["api", "--run-id", "first"]);
    while world.requests("/athlete") < 1 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let run = world
        .run(&["api", "--run-id", "second", "--max-wait", "0s"])
        .await;
    run.failed_with(1, &["lease", "run first"]);

    // Killed and started again under its own name, it goes on at once.
    first.kill().await.unwrap();
    let run = world
        .run(&["api", "--run-id", "first", "--max-wait", "0s"])
        .await;
    assert_eq!(
        (run.code, run.count("written")),
        (Some(0), 20),
        "{}",
        run.log
    );
}

#[tokio::test]
async fn what_is_missing_or_wrong_in_the_settings_is_named_with_exit_2() {
    let mut world = World::new(Place::Directory, generated(20)).await;
    let run = world.run(&["api", "--max-wait", "soon"]).await;
    run.failed_with(2, &["soon"]);
    let client_id = world.variables.remove("STRAVA_CLIENT_ID").unwrap();
    let run = world.run(&["api"]).await;
    run.failed_with(2, &["--strava-client-id"]);
    world.variables.insert("STRAVA_CLIENT_ID", client_id);
    world
        .variables
        .insert("LANDING_URL", "file:///nowhere/at/all".to_owned());
    let run = world.run(&["api"]).await;
    run.failed_with(2, &["/nowhere/at/all"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_bucket_is_named_after_bounded_tries() {
    let mut world = World::new(Place::Directory, generated(20)).await;
    world
        .variables
        .insert("LANDING_URL", "s3://landing/x".to_owned());
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ] {
        world.variables.insert(name, value.to_owned());
    }
    let run = world.run(&["api"]).await;
    run.failed_with(1, &["s3://landing/x"]);
}
