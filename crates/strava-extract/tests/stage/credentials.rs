//! Tokens: seeded, stored before use, refreshed once by two at a time, and refused.

use serde_json::{Value, json};

use crate::world::{Place, World, generated, over_both, variable};

over_both!(
    the_seed_is_used_once_and_the_store_wins,
    a_refused_access_token_is_refreshed_once,
    two_processes_refresh_at_once_and_neither_loses_the_token,
    what_no_retry_helps_against_is_exit_2_with_what_to_do,
);

async fn the_seed_is_used_once_and_the_store_wins(place: Place) {
    let mut world = World::new(place, generated(20)).await;
    world.api().await;
    world
        .variables
        .insert("STRAVA_REFRESH_TOKEN", "worthless".to_owned());
    world.api().await;
    world.variables.remove("STRAVA_REFRESH_TOKEN");
    world.strava.control().expire_access_tokens().unwrap();
    world.api().await;
    assert_eq!(world.requests("/oauth/token"), 2);

    let stored = world
        .folder
        .path()
        .join(format!("token-{}.json", world.athlete_id()));
    let token: Value = serde_json::from_str(&std::fs::read_to_string(stored).unwrap()).unwrap();
    assert_eq!(token["refresh_token"], json!(world.strava.refresh_token()));
    let status = world.run(&["auth", "status"]).await;
    assert_eq!(status.code, Some(0));
    assert!(status.log.contains(&world.athlete_id()), "{}", status.log);
}

async fn a_refused_access_token_is_refreshed_once(place: Place) {
    let world = World::new(place, generated(20)).await;
    world.api().await;
    world.strava.control().expire_access_tokens().unwrap();
    world.strava.control().forget_requests();
    world.api().await;
    let statuses: Vec<_> = world
        .strava
        .control()
        .requests()
        .iter()
        .map(|it| it.status)
        .collect();
    assert_eq!(
        statuses
            .iter()
            .filter(|status| **status == Some(401))
            .count(),
        1
    );
    assert_eq!(world.requests("/oauth/token"), 1);
}

async fn two_processes_refresh_at_once_and_neither_loses_the_token(place: Place) {
    let mut world = World::new(place, generated(20)).await;
    if matches!(place, Place::S3) {
        // SSM has no compare and swap: the lease in the bucket is all that keeps them apart.
        variable("AWS_ENDPOINT_URL");
        let store = format!(
            "ssm:///strava-extract/{:016x}/{{athlete_id}}",
            fastrand::u64(..)
        );
        world.variables.insert("STRAVA_TOKEN_STORE", store);
    }
    for _ in 0..10 {
        world.strava.control().expire_access_tokens().unwrap();
        world.strava.control().forget_requests();
        // Dry runs, as those do not wait for each other's landing.
        let both = [(); 2].map(|()| world.command(&["api", "--streams", "athletes", "--dry-run"]));
        let [mut one, mut two] = both;
        let (one, two) = tokio::join!(one.output(), two.output());
        for output in [one.unwrap(), two.unwrap()] {
            let log = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(0), "{log}");
        }
        assert_eq!(world.requests("/oauth/token"), 1);
    }
}

async fn what_no_retry_helps_against_is_exit_2_with_what_to_do(place: Place) {
    let mut world = World::new(place, generated(20)).await;
    let control = world.strava.control();
    world
        .variables
        .insert("STRAVA_CLIENT_SECRET", "wrong".to_owned());
    world
        .run(&["api"])
        .await
        .failed_with(2, &["STRAVA_CLIENT_ID and STRAVA_CLIENT_SECRET"]);
    world.variables.insert(
        "STRAVA_CLIENT_SECRET",
        world.strava.client_secret().to_owned(),
    );

    world
        .variables
        .insert("STRAVA_REFRESH_TOKEN", String::new());
    world
        .run(&["api"])
        .await
        .failed_with(2, &["STRAVA_REFRESH_TOKEN is not set"]);
    world
        .variables
        .insert("STRAVA_REFRESH_TOKEN", "worthless".to_owned());
    world.run(&["api"]).await.failed_with(
        2,
        &[
            "refuses the refresh token",
            "authorise the application again",
        ],
    );
    world
        .variables
        .insert("STRAVA_REFRESH_TOKEN", world.strava.refresh_token());

    control.set_scope(["read"]).unwrap();
    world
        .run(&["api"])
        .await
        .failed_with(2, &["lacks the scope activity:read", "authorise"]);
    control.set_scope(["read", "activity:read_all"]).unwrap();

    control.set_inactive(true).unwrap();
    world
        .run(&["api"])
        .await
        .failed_with(2, &["subscription", "strava-extract export"]);
    control.set_inactive(false).unwrap();

    world.variables.insert("STRAVA_ATHLETE_ID", "1".to_owned());
    world
        .variables
        .insert("STRAVA_REFRESH_TOKEN", world.strava.refresh_token());
    world
        .run(&["api"])
        .await
        .failed_with(2, &["STRAVA_ATHLETE_ID"]);
}
