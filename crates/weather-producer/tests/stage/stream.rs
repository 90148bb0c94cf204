//! Slot after slot, on a clock that jumps.

use std::time::{Duration, Instant};

use common::task::Closing;
use devstack::open_meteo::{Fault, Kind, Window};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use weather_producer::locations::Location;
use weather_producer::metrics;
use weather_producer::produce::{self, Slots};

use super::world::{World, count, places, readings};

const JITTER: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);

fn slots() -> Slots {
    Slots::new(Duration::from_secs(900)).unwrap()
}

/// Streams until the clock says `until`.
async fn stream_until(world: &World, locations: &[Location], until: &str) -> Closing {
    let until: Timestamp = until.parse().unwrap();
    let stop = CancellationToken::new();
    let mut stage = world.stage_with(stop.clone(), |_| {});
    let watch = async {
        while world.now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    let streamed = produce::stream(&mut stage, locations, slots(), JITTER);
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(streamed, watch) });
    both.await.expect("the stream within its time").0.unwrap()
}

#[tokio::test]
async fn a_day_of_slots_for_104_locations_misses_none_and_stays_under_every_window() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    let places = places(104);
    let closing = stream_until(&world, &places, "2026-10-04T00:00:01Z").await;
    assert!(
        closing.failure.is_none() && !closing.counts.contains_key("missed"),
        "{closing:?}"
    );
    let requests = world.control().requests();
    assert!(requests.iter().all(|request| request.status == 200));
    let usage = world.control().usage();
    assert!(
        usage.most_in_a_minute <= 600.0 && usage.most_in_an_hour <= 5_000.0,
        "{usage:?}"
    );
    assert!(usage.most_in_a_day <= 10_000.0, "{usage:?}");
    let seen = world.topic();
    let first: Timestamp = "2026-10-03T00:00:00Z".parse().unwrap();
    let all = (0..96)
        .map(|slot| (first + SignedDuration::from_mins(15 * slot)).to_string())
        .collect::<Vec<_>>();
    let readings = readings(&seen);
    for place in &places {
        for slot in &all {
            assert!(
                readings.contains(&(place.id.as_str(), slot.as_str())),
                "{} at {slot}",
                place.id
            );
        }
    }
    assert_eq!(readings.len(), seen.len(), "nothing was sent twice");
}

#[tokio::test]
async fn a_slot_that_the_service_does_not_have_yet_is_asked_for_again() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    world
        .control()
        .plan_fault(Fault::next(Kind::Stale).after(1));
    let closing = stream_until(&world, &places(5), "2026-10-03T00:31:00Z").await;
    let seen = world.topic();
    assert!(readings(&seen).len() >= 5 * 3);
    // The late answer was the slot before, word for word.
    assert_eq!(count(&closing, "unchanged"), 5);
    assert_eq!(seen.len(), readings(&seen).len());
}

#[tokio::test]
async fn a_slot_that_stays_late_is_asked_for_once_more_and_counted_as_missed() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    world
        .control()
        .plan_fault(Fault::next(Kind::Stale).times(2));
    let closing = stream_until(&world, &places(5), "2026-10-03T00:14:00Z").await;
    assert_eq!(count(&closing, "missed"), 5);
    assert!(
        readings(&world.topic())
            .iter()
            .all(|(_, slot)| *slot != "2026-10-03T00:00:00Z")
    );
}

#[tokio::test]
async fn a_late_slot_costs_no_later_slot_of_its_day() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    world
        .control()
        .plan_fault(Fault::next(Kind::Stale).times(2).after(20));
    let closing = stream_until(&world, &places(104), "2026-10-04T00:00:01Z").await;
    // The day has room for 16 calls besides its slots.
    assert_eq!(count(&closing, "missed"), 104);
    let usage = world.control().usage();
    assert!(usage.most_in_a_day <= 10_000.0, "{usage:?}");
    let seen = world.topic();
    let slots: std::collections::BTreeSet<_> =
        readings(&seen).into_iter().map(|(_, slot)| slot).collect();
    assert!(slots.contains("2026-10-03T23:45:00Z"), "{slots:?}");
}

#[tokio::test]
async fn a_place_whose_answer_is_broken_every_time_costs_the_others_nothing() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    let places = places(60);
    let fault = Fault::always(Kind::Broken).at(places[3].latitude.as_str());
    world.control().plan_fault(fault);
    let closing = stream_until(&world, &places, "2026-10-03T06:00:01Z").await;
    assert!(!closing.counts.contains_key("missed"), "{closing:?}");
    assert_eq!(count(&closing, "failed"), 1);
    // 24 slots, and once what it takes to find the place.
    let weight = count(&closing, "weight");
    assert!((24 * 60..26 * 60 + 250).contains(&weight), "{weight}");
    let seen = world.topic();
    let readings = readings(&seen);
    for place in places.iter().filter(|place| place.id != places[3].id) {
        for slot in ["2026-10-03T00:00:00Z", "2026-10-03T05:45:00Z"] {
            assert!(
                readings.contains(&(place.id.as_str(), slot)),
                "{}",
                place.id
            );
        }
    }
}

#[tokio::test]
async fn answers_that_are_broken_for_a_while_cost_no_slot() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    let places = places(60);
    // As many as it takes to leave the places alone.
    world
        .control()
        .plan_fault(Fault::next(Kind::Broken).times(23));
    let closing = stream_until(&world, &places, "2026-10-03T00:14:00Z").await;
    assert!(!closing.counts.contains_key("missed"), "{closing:?}");
    let seen = world.topic();
    let first = readings(&seen)
        .into_iter()
        .filter(|(_, slot)| *slot == "2026-10-03T00:00:00Z");
    assert_eq!(first.count(), 60);
}

#[tokio::test]
async fn a_stream_that_is_stopped_waits_for_kafka_as_long_as_it_is_told() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    let stop = CancellationToken::new();
    let mut stage = world.stage_with(stop.clone(), |_| {});
    stage.delivery_timeout = Duration::from_secs(1);
    let (vitals, places) = (stage.vitals.clone(), places(5));
    let watch = async {
        while vitals.total(&metrics::ACKNOWLEDGED) < 5.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The broker is there, and does not say that it has taken anything.
        let silent = world.cluster.broker_round_trip_time(1, PATIENCE);
        silent.unwrap();
        while vitals.total(&metrics::WAITING) < 1.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop.cancel();
        Instant::now()
    };
    let streamed = produce::stream(&mut stage, &places, slots(), JITTER);
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(streamed, watch) });
    let (closing, stopped_at) = both.await.expect("the stream within its time");
    let drained = stopped_at.elapsed();
    assert!(drained < Duration::from_secs(10), "{drained:?}");
    let failure = format!("{:#}", closing.unwrap().failure.unwrap());
    assert!(failure.starts_with("Kafka did not take "), "{failure}");
}

#[tokio::test]
async fn a_trouble_within_a_slot_costs_no_slot() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    world
        .control()
        .plan_fault(Fault::next(Kind::Overloaded).after(1).times(5));
    let closing = stream_until(&world, &places(5), "2026-10-03T01:00:10Z").await;
    assert!(!closing.counts.contains_key("missed"));
    assert!(readings(&world.topic()).len() >= 5 * 4);
}

#[tokio::test]
async fn a_day_that_is_used_up_costs_its_slots_and_the_next_day_goes_on() {
    let world = World::start_at("2026-10-03T23:16:00Z").await;
    world.control().exhaust(Window::Day);
    let closing = stream_until(&world, &places(5), "2026-10-04T00:16:00Z").await;
    assert!(count(&closing, "missed") >= 5 * 2);
    let seen = world.topic();
    let slots: std::collections::BTreeSet<_> =
        readings(&seen).into_iter().map(|(_, slot)| slot).collect();
    assert!(slots.contains("2026-10-04T00:00:00Z"), "{slots:?}");
    assert!(
        slots.iter().all(|slot| slot.starts_with("2026-10-04")),
        "{slots:?}"
    );
    let refused = world
        .control()
        .requests()
        .iter()
        .filter(|request| request.status == 429)
        .count();
    assert_eq!(refused, 1, "the limit is asked for once");
}

#[tokio::test]
async fn restarted_at_seeded_moments_no_reading_is_two_documents() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    let places = places(30);
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..50 {
        let mut stage = world.stage();
        let killed_after = Duration::from_micros(random.u64(10_000..120_000));
        let streamed = produce::stream(&mut stage, &places, slots(), JITTER);
        // Dropped in the middle of whatever it does, as by a kill: nothing is drained.
        _ = tokio::time::timeout(killed_after, streamed).await;
    }
    let last = world.now();
    let until = last + SignedDuration::from_mins(31);
    stream_until(&world, &places, &until.to_string()).await;
    let seen = world.topic();
    let readings = readings(&seen);
    let slots: std::collections::BTreeSet<_> = readings.iter().map(|(_, slot)| *slot).collect();
    assert!(
        slots.len() > 2 && seen.len() > readings.len(),
        "{} slots, {} messages",
        slots.len(),
        seen.len()
    );
    // Weather is a function of place and time here: what was sent twice is the same.
    let contents: std::collections::BTreeSet<_> = seen
        .iter()
        .map(|seen| (&seen.event_id, &seen.content_hash))
        .collect();
    assert_eq!(contents.len(), readings.len());
}

#[tokio::test]
async fn a_location_without_data_is_no_failure_of_a_stream() {
    let world = World::start_at("2026-10-03T00:00:01Z").await;
    let mut places = places(3);
    let csv = "location_id,name,latitude,longitude,timezone\npole,Pole,-89.9,0,\n";
    places.extend(weather_producer::locations::parse(csv.as_bytes()).unwrap());
    let closing = stream_until(&world, &places, "2026-10-03T00:31:00Z").await;
    assert!(closing.failure.is_none(), "{closing:?}");
    assert_eq!(count(&closing, "failed"), 1);
    assert!(readings(&world.topic()).len() >= 3 * 3);
}
