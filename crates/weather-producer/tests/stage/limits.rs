//! Limits and troubles of Open-Meteo: waited out, tried again, or left for a later run.

use std::time::Duration;

use devstack::open_meteo::{Fault, Kind, Window};
use jiff::Timestamp;
use weather_producer::produce;

use super::world::{World, count, places, readings};

const QUARTER: Duration = Duration::from_secs(900);

#[tokio::test]
async fn a_minute_that_is_used_up_is_waited_out() {
    let world = World::start_at("2026-10-03T12:30:20Z").await;
    world.control().exhaust(Window::Minute);
    let closing = produce::once(&mut world.stage(), &places(104), QUARTER)
        .await
        .unwrap();
    assert!(closing.complete && closing.failure.is_none());
    assert_eq!(count(&closing, "sent"), 104);
    let statuses: Vec<_> = world
        .control()
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [429, 200, 200]);
    assert!(world.now() >= "2026-10-03T12:31:00Z".parse().unwrap());
}

#[tokio::test]
async fn an_hour_and_a_day_are_left_for_a_later_run() {
    for (window, resume_at) in [
        (Window::Hour, "2026-10-03T13:00:01Z"),
        (Window::Day, "2026-10-04T00:00:01Z"),
    ] {
        let world = World::start_at("2026-10-03T12:30:20Z").await;
        world.control().exhaust(window);
        let closing = produce::once(&mut world.stage(), &places(10), QUARTER)
            .await
            .unwrap();
        assert!(!closing.complete && closing.failure.is_none(), "{window:?}");
        assert_eq!(
            closing.resume_at,
            Some(resume_at.parse::<Timestamp>().unwrap())
        );
        assert_eq!(count(&closing, "requests"), 1);
    }
}

#[tokio::test]
async fn an_hour_is_waited_out_by_who_has_the_time() {
    let world = World::start_at("2026-10-03T12:30:20Z").await;
    world.control().exhaust(Window::Hour);
    let closing = produce::once(&mut world.stage(), &places(10), Duration::from_secs(3_600))
        .await
        .unwrap();
    assert!(closing.complete);
    assert_eq!(count(&closing, "sent"), 10);
}

#[tokio::test]
async fn the_own_budget_keeps_a_burst_within_the_minute() {
    let world = World::start_at("2026-10-03T12:30:20Z").await;
    let closing = produce::once(&mut world.stage(), &places(1_300), QUARTER)
        .await
        .unwrap();
    assert_eq!(count(&closing, "sent"), 1_300);
    let usage = world.control().usage();
    assert!(usage.most_in_a_minute <= 600.0, "{usage:?}");
    assert!(
        world
            .control()
            .requests()
            .iter()
            .all(|request| request.status == 200)
    );
}

#[tokio::test]
async fn troubles_that_pass_are_tried_again() {
    for kind in [
        Kind::Overloaded,
        Kind::InternalError,
        Kind::BadGateway,
        Kind::TooManyConcurrent,
        Kind::Broken,
        Kind::Truncated,
    ] {
        let world = World::start().await;
        world
            .control()
            .plan_fault(Fault::next(kind.clone()).times(2));
        let closing = produce::once(&mut world.stage(), &places(30), QUARTER)
            .await
            .unwrap();
        assert!(closing.complete && closing.failure.is_none(), "{kind:?}");
        assert_eq!(
            (count(&closing, "sent"), count(&closing, "requests")),
            (30, 3),
            "{kind:?}"
        );
        assert_eq!(readings(&world.topic()).len(), 30);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_counts_as_much_here_as_at_the_service() {
    for kind in [Kind::Broken, Kind::Truncated] {
        let world = World::start().await;
        world
            .control()
            .plan_fault(Fault::next(kind.clone()).times(2));
        let closing = produce::once(&mut world.stage(), &places(30), QUARTER)
            .await
            .unwrap();
        assert_eq!(count(&closing, "weight"), 90, "{kind:?}");
        assert_eq!(world.control().usage().day, 90.0, "{kind:?}");
    }
}

#[tokio::test]
async fn a_200_that_is_broken_every_time_fails_with_what_the_service_said() {
    let world = World::start().await;
    world.control().plan_fault(Fault::always(Kind::Broken));
    let failed = produce::once(&mut world.stage(), &places(30), QUARTER)
        .await
        .unwrap_err();
    let text = format!("{failed:#}");
    assert!(
        text.contains("Unexpected error while streaming data: timeoutReached"),
        "{text}"
    );
    assert!(!common::task::is_refused(&failed));
    assert!(
        world.control().usage().day <= 180.0,
        "a call of 30, three times, and what finds out that no place is at fault: {:?}",
        world.control().usage()
    );
}
