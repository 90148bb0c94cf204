//! Faults on demand, as a client meets them.

use std::time::{Duration, Instant};

use devstack::strava::{Fault, Kind, Window};

use crate::client::{Strava, small};

const LIST: &str = "/athlete/activities";

#[tokio::test]
async fn a_reset_connection_is_an_error_and_the_next_request_is_answered() {
    let strava = Strava::start(small(3)).await;
    strava
        .simulator
        .control()
        .plan_fault(Fault::next(Kind::Reset, LIST));
    let error = strava.try_get(LIST).await.unwrap_err();
    assert!(format!("{error:?}").contains("reset"), "{error:?}");
    assert_eq!(strava.ids(LIST).await.len(), 3);
}

#[tokio::test]
async fn a_truncated_body_announces_its_full_length() {
    let strava = Strava::start(small(3)).await;
    let whole = strava.get(LIST).await.text().await.unwrap().len() as u64;
    strava
        .simulator
        .control()
        .plan_fault(Fault::next(Kind::Truncated, LIST));
    let response = strava.get(LIST).await;
    assert_eq!(
        (response.status().as_u16(), response.content_length()),
        (200, Some(whole))
    );
    response.text().await.unwrap_err();
    assert_eq!(strava.ids(LIST).await.len(), 3);
}

#[tokio::test]
async fn a_server_error_is_json_and_a_proxy_s_is_html() {
    let strava = Strava::start(small(3)).await;
    let control = strava.simulator.control();
    control.plan_fault(Fault::next(Kind::InternalError, LIST));
    control.plan_fault(Fault::next(Kind::BadGateway, LIST).after(1));
    assert_eq!(strava.get(LIST).await.status(), 500);
    assert_eq!(strava.get(LIST).await.status(), 200);
    let response = strava.get(LIST).await;
    assert_eq!(response.status(), 502);
    assert!(response.text().await.unwrap().starts_with("<html>"));
}

#[tokio::test]
async fn one_activity_can_fail_for_good() {
    let strava = Strava::start(small(3)).await;
    let ids = strava.ids(LIST).await;
    let path = format!("/activities/{}", ids[1]);
    strava
        .simulator
        .control()
        .plan_fault(Fault::always(Kind::InternalError, &path));
    for _ in 0..4 {
        assert_eq!(strava.get(&path).await.status(), 500);
    }
    assert_eq!(
        strava
            .get(&format!("/activities/{}", ids[0]))
            .await
            .status(),
        200
    );
    strava.simulator.control().clear_faults();
    assert_eq!(strava.get(&path).await.status(), 200);
}

#[tokio::test]
async fn a_slow_answer_is_the_right_one() {
    let strava = Strava::start(small(3)).await;
    let slow = Kind::Slow { milliseconds: 150 };
    strava
        .simulator
        .control()
        .plan_fault(Fault::next(slow, LIST));
    let started = Instant::now();
    assert_eq!(strava.ids(LIST).await.len(), 3);
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_limit_can_strike_in_the_middle_of_a_walk() {
    let strava = Strava::start(small(3)).await;
    let limit = Kind::Limit {
        window: Window::Quarter,
    };
    strava
        .simulator
        .control()
        .plan_fault(Fault::next(limit, LIST).after(1));
    assert_eq!(strava.get(LIST).await.status(), 200);
    assert_eq!(strava.get(LIST).await.status(), 429);
    assert_eq!(
        strava.get("/athlete").await.status(),
        429,
        "the window stays used up"
    );
}
