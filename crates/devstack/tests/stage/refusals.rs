//! What the simulator refuses: tokens, scopes, a lapsed application, too many requests.

use devstack::strava::{Limit, Limits, Options, Window};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::client::{Strava, header, small};

async fn body(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (
        status,
        serde_json::from_str(&response.text().await.unwrap()).unwrap(),
    )
}

fn fault(message: &str, resource: &str, field: &str, code: &str) -> Value {
    json!({"message": message, "errors": [{"resource": resource, "field": field, "code": code}]})
}

#[tokio::test]
async fn an_old_refresh_token_stops_working_once_a_new_one_was_given_out() {
    let strava = Strava::start(small(1)).await;
    let current = strava.simulator.refresh_token();
    let again = strava.refresh(&current).await;
    assert_eq!(
        again["access_token"], strava.token,
        "more than an hour is left"
    );
    assert_eq!(again["refresh_token"], current);

    strava
        .simulator
        .control()
        .advance_clock(SignedDuration::from_hours(5))
        .unwrap();
    let rotated = strava.refresh(&current).await;
    assert_ne!(rotated["access_token"], strava.token);
    assert_ne!(rotated["refresh_token"], current);
    assert_eq!(rotated["expires_in"], 21_600);

    let secret = strava.simulator.client_secret();
    assert_eq!(
        body(strava.try_refresh(secret, &current).await).await,
        (
            400,
            fault("Bad Request", "RefreshToken", "refresh_token", "invalid")
        )
    );
    assert_eq!(
        body(
            strava
                .try_refresh("another", &strava.simulator.refresh_token())
                .await
        )
        .await,
        (
            400,
            fault("Bad Request", "Application", "client_id", "invalid")
        )
    );
}

#[tokio::test]
async fn an_access_token_counts_in_the_header_only_and_for_six_hours() {
    let strava = Strava::start(small(1)).await;
    let url = format!(
        "{}/athlete?access_token={}",
        strava.simulator.api_url(),
        strava.token
    );
    let invalid = fault("Authorization Error", "Athlete", "access_token", "invalid");
    assert_eq!(
        body(strava.http.get(url).send().await.unwrap()).await,
        (401, invalid.clone())
    );
    assert_eq!(strava.get("/athlete").await.status(), 200);

    strava
        .simulator
        .control()
        .advance_clock(SignedDuration::from_hours(6))
        .unwrap();
    assert_eq!(body(strava.get("/athlete").await).await, (401, invalid));
    for request in strava.simulator.control().requests() {
        assert!(!request.path.contains("planted"), "{}", request.path);
    }
}

#[tokio::test]
async fn a_missing_scope_and_an_inactive_application_say_so() {
    let strava = Strava::start(small(1)).await;
    let control = strava.simulator.control();
    control.set_scope(["read"]).unwrap();
    assert_eq!(
        body(strava.get("/athlete/activities").await).await,
        (
            401,
            fault(
                "Authorization Error",
                "AccessToken",
                "activity:read_permission",
                "missing"
            )
        )
    );
    control.set_scope(["read", "activity:read_all"]).unwrap();
    assert_eq!(strava.get("/athlete/activities").await.status(), 200);
    assert_eq!(strava.get("/athlete/zones").await.status(), 401);

    control.set_inactive(true).unwrap();
    assert_eq!(
        body(strava.get("/athlete").await).await,
        (403, fault("Forbidden", "Application", "Status", "Inactive"))
    );
}

#[tokio::test]
async fn what_is_not_there_has_an_empty_body() {
    let strava = Strava::start(small(1)).await;
    for path in [
        "/activities/1",
        "/activities/194641753419464175341946417534",
    ] {
        let response = strava.get(path).await;
        assert_eq!(response.status(), 404);
        assert_eq!(response.text().await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_used_up_quarter_is_refused_until_the_next_one_begins() {
    let limits = Limits {
        overall: Limit {
            quarter: 200,
            day: 2_000,
        },
        read: Limit {
            quarter: 3,
            day: 10,
        },
    };
    let strava = Strava::start(Options {
        quota: limits,
        ..small(1)
    })
    .await;
    for usage in ["1,1", "2,2", "3,3"] {
        let response = strava.get("/athlete").await;
        assert_eq!(header(&response, "x-readratelimit-usage"), Some(usage));
        assert_eq!(header(&response, "x-ratelimit-limit"), Some("200,2000"));
    }
    let refused = strava.get("/athlete").await;
    assert_eq!(header(&refused, "x-ratelimit-usage"), Some("3,4"));
    assert_eq!(header(&refused, "retry-after"), None);
    let (status, text) = (refused.status(), refused.text().await.unwrap());
    assert_eq!(status, 429);
    assert_eq!(
        text,
        r#"{"errors":"Rate Limit Exceeded","status":429,"message":"Too Many Requests"}"#
    );

    // 10:03 on this clock; the next quarter begins at 10:15.
    let control = strava.simulator.control();
    control
        .advance_clock(SignedDuration::from_secs(12 * 60 - 1))
        .unwrap();
    assert_eq!(strava.get("/athlete").await.status(), 429);
    control.advance_clock(SignedDuration::from_secs(1)).unwrap();
    let response = strava.get("/athlete").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        header(&response, "x-ratelimit-usage"),
        Some("1,6"),
        "refusals count to the day"
    );
}

#[tokio::test]
async fn a_used_up_day_is_refused_until_midnight() {
    let strava = Strava::start(small(1)).await;
    let control = strava.simulator.control();
    control.exhaust(Window::Day);
    assert_eq!(strava.get("/athlete").await.status(), 429);
    control
        .advance_clock(SignedDuration::from_mins(15))
        .unwrap();
    assert_eq!(strava.get("/athlete").await.status(), 429);
    control
        .advance_clock(SignedDuration::from_hours(14))
        .unwrap();
    let refresh_token = strava.simulator.refresh_token();
    let token = strava.refresh(&refresh_token).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let strava = Strava { token, ..strava };
    assert_eq!(strava.get("/athlete").await.status(), 200);
}

#[tokio::test]
async fn the_read_pair_of_headers_is_missing_now_and_then() {
    let strava = Strava::start(small(1)).await;
    let mut with = 0;
    for _ in 0..10 {
        let response = strava.get("/athlete").await;
        assert!(header(&response, "x-ratelimit-usage").is_some());
        with += usize::from(header(&response, "x-readratelimit-usage").is_some());
    }
    assert_eq!(with, 8);
}
