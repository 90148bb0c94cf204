//! One reading of every location.

use std::collections::HashMap;
use std::time::Duration;

use common::weather::VALUES;
use devstack::open_meteo::{Fault, Kind};
use serde_json::value::RawValue;
use weather_producer::locations::Location;
use weather_producer::open_meteo::VARIABLES;
use weather_producer::produce;

use super::world::{Seen, World, count, documents, places, readings};

const MAX_WAIT: Duration = Duration::from_secs(900);

fn beyond_the_grid() -> Location {
    let csv = "location_id,name,latitude,longitude,timezone\npole,Pole,-89.9,0,\n";
    weather_producer::locations::parse(csv.as_bytes())
        .unwrap()
        .remove(0)
}

#[tokio::test]
async fn every_location_has_its_reading_with_the_digits_as_served() {
    let world = World::start_at("2026-10-03T12:34:56Z").await;
    let places = places(104);
    let closing = produce::once(&mut world.stage(), &places, MAX_WAIT)
        .await
        .unwrap();
    assert!(closing.complete && closing.failure.is_none());
    assert_eq!(closing.counts["sent"], 104);
    assert_eq!(closing.counts["requests"], 2);
    assert_eq!(closing.counts["weight"], 104.0);
    let seen = world.topic();
    assert_eq!(readings(&seen).len(), 104);
    let of = |id: &str| seen.iter().find(|seen| seen.location_id == id).unwrap();
    let Seen { value, text, .. } = of("place-3");
    assert_eq!(value["slot"], "2026-10-03T12:30:00Z");
    assert_eq!(value["fetched_at"], "2026-10-03T12:34:56.000Z");
    assert_eq!(
        (value["source"].as_str(), value["model"].as_str()),
        (Some("forecast"), Some("best_match"))
    );
    assert_eq!(value["slot_seconds"], 900);
    // As configured, and not the cell's of the grid.
    assert!(text.contains(r#""latitude":-39.190,"#), "{text}");
    assert_eq!(world.control().usage().day, 104.0);
    let served = served(&world, &places[3]).await;
    for (name, variable) in VALUES.iter().zip(VARIABLES) {
        let same = format!(r#""{name}":{}"#, served[variable]);
        assert!(
            [",", "}"]
                .iter()
                .any(|end| text.contains(&format!("{same}{end}"))),
            "{same} in {text}"
        );
    }
}

/// What the service has for a place now, each value as it is written.
async fn served(world: &World, place: &Location) -> HashMap<String, Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Answer {
        current: HashMap<String, Box<RawValue>>,
    }
    let (latitude, longitude) = (place.latitude.as_str(), place.longitude.as_str());
    let url = format!(
        "{}/v1/forecast?latitude={latitude}&longitude={longitude}&current={}&wind_speed_unit=ms",
        world.simulator.forecast_url(),
        VARIABLES.join(",")
    );
    let body = reqwest::get(url).await.unwrap().bytes().await.unwrap();
    serde_json::from_slice::<Answer>(&body).unwrap().current
}

#[tokio::test]
async fn a_batch_of_one_is_an_object_and_is_read_too() {
    let world = World::start().await;
    let closing = produce::once(&mut world.stage(), &places(53), MAX_WAIT)
        .await
        .unwrap();
    assert_eq!(closing.counts["sent"], 53);
    assert_eq!(closing.counts["requests"], 2);
}

#[tokio::test]
async fn running_twice_leaves_one_document_for_each_reading() {
    let world = World::start().await;
    let places = places(20);
    for _ in 0..2 {
        produce::once(&mut world.stage(), &places, MAX_WAIT)
            .await
            .unwrap();
    }
    let seen = world.topic();
    assert_eq!((seen.len(), readings(&seen).len()), (40, 20));
}

#[tokio::test]
async fn a_revision_is_the_same_event_and_the_later_one_wins() {
    let world = World::start().await;
    let places = places(1);
    produce::once(&mut world.stage(), &places, MAX_WAIT)
        .await
        .unwrap();
    let before = world.topic();
    world.control().revise();
    world
        .time
        .fetch_add(60_000, std::sync::atomic::Ordering::SeqCst);
    produce::once(&mut world.stage(), &places, MAX_WAIT)
        .await
        .unwrap();
    let after = world.topic();
    let documents = documents(&after);
    assert_eq!((after.len(), documents.len()), (2, 1));
    let held = documents[before[0].event_id.as_str()];
    assert_ne!(held.content_hash, before[0].content_hash);
    assert!(held.fetched_at > before[0].fetched_at);
}

#[tokio::test]
async fn a_location_that_the_service_refuses_is_named_and_the_others_are_sent() {
    let world = World::start().await;
    let mut places = places(20);
    places.insert(7, beyond_the_grid());
    let closing = produce::once(&mut world.stage(), &places, MAX_WAIT)
        .await
        .unwrap();
    assert_eq!(
        (count(&closing, "sent"), count(&closing, "failed")),
        (20, 1)
    );
    let failure = format!("{:#}", closing.failure.unwrap());
    assert_eq!(failure, "Open-Meteo refused 1 locations: pole");
    assert_eq!(readings(&world.topic()).len(), 20);
}

#[tokio::test]
async fn a_call_that_is_rejected_for_one_place_is_halved_until_that_place_is_alone() {
    let world = World::start().await;
    let places = places(21);
    let reason = "No data is available for this location".to_owned();
    let fault = Fault::always(Kind::BadRequest { reason }).at(places[7].latitude.as_str());
    world.control().plan_fault(fault);
    let closing = produce::once(&mut world.stage(), &places, MAX_WAIT)
        .await
        .unwrap();
    assert_eq!(
        (count(&closing, "sent"), count(&closing, "failed")),
        (20, 1)
    );
    let failure = format!("{:#}", closing.failure.unwrap());
    assert_eq!(failure, "Open-Meteo refused 1 locations: place-7");
    // 21, 10, 5, 2 and 3 with it, 1: each leaves its other half to be answered.
    let requests = world.control().requests();
    let refused = requests.iter().filter(|request| request.status == 400);
    assert_eq!((refused.count(), requests.len()), (5, 9));
}

#[tokio::test]
async fn places_beside_refused_ones_are_asked_for_before_they_are_given_up() {
    for refused in [0..4, 0..8, 30..50] {
        let world = World::start().await;
        let mut stage = world.stage();
        stage.batch = 100;
        let places = places(100);
        for place in &places[refused.clone()] {
            let reason = "No data is available for this location".to_owned();
            let fault = Fault::always(Kind::BadRequest { reason }).at(place.latitude.as_str());
            world.control().plan_fault(fault);
        }
        let closing = produce::once(&mut stage, &places, MAX_WAIT).await.unwrap();
        assert_eq!(count(&closing, "failed"), refused.len() as u64);
        let seen = world.topic();
        let sent = readings(&seen);
        for (index, place) in places.iter().enumerate() {
            let is_sent = sent.iter().any(|(id, _)| *id == place.id);
            assert_eq!(is_sent, !refused.contains(&index), "{}", place.id);
        }
    }
}

#[tokio::test]
async fn a_place_whose_answer_is_broken_every_time_is_named_and_the_others_are_sent() {
    let world = World::start().await;
    let places = places(104);
    let fault = Fault::always(Kind::Broken).at(places[7].latitude.as_str());
    world.control().plan_fault(fault);
    let closing = produce::once(&mut world.stage(), &places, MAX_WAIT)
        .await
        .unwrap();
    assert!(closing.complete);
    assert_eq!(
        (count(&closing, "sent"), count(&closing, "failed")),
        (103, 1)
    );
    let failure = format!("{:#}", closing.failure.unwrap());
    assert_eq!(failure, "Open-Meteo refused 1 locations: place-7");
}

#[tokio::test]
async fn when_everything_is_rejected_the_service_is_not_asked_for_every_place_alone() {
    let world = World::start().await;
    world.control().plan_fault(Fault::always(Kind::BadRequest {
        reason: "a new rule".to_owned(),
    }));
    let failed = produce::once(&mut world.stage(), &places(104), MAX_WAIT)
        .await
        .unwrap_err();
    assert!(
        format!("{failed:#}").starts_with("Open-Meteo refused 104 locations: place-"),
        "{failed:#}"
    );
    assert!(
        world.control().requests().len() <= 20,
        "{} requests",
        world.control().requests().len()
    );
    assert!(world.topic().is_empty());
}

#[tokio::test]
async fn what_the_far_side_gave_before_it_failed_is_sent_whole_and_the_next_run_sends_the_rest() {
    let world = World::start().await;
    let places = places(104);
    world
        .control()
        .plan_fault(Fault::always(Kind::Overloaded).after(1));
    let closing = produce::once(&mut world.stage(), &places, MAX_WAIT)
        .await
        .unwrap();
    assert_eq!(count(&closing, "sent"), 52);
    assert!(!closing.complete);
    let failure = format!("{:#}", closing.failure.unwrap());
    assert_eq!(
        failure,
        "Open-Meteo did not answer: The service is overloaded"
    );
    world.control().clear_faults();
    produce::once(&mut world.stage(), &places, MAX_WAIT)
        .await
        .unwrap();
    assert_eq!(readings(&world.topic()).len(), 104);
}

#[tokio::test]
async fn a_value_that_the_model_lacks_is_null() {
    let world = World::start().await;
    world.control().set_lacking(["wind_gusts_10m"]);
    produce::once(&mut world.stage(), &places(1), MAX_WAIT)
        .await
        .unwrap();
    let seen = world.topic();
    assert!(seen[0].value["wind_gusts_metres_per_second"].is_null());
    assert!(seen[0].value["temperature_celsius"].is_number());
}

#[tokio::test]
async fn a_wrong_key_is_a_configuration_that_no_retry_helps() {
    let world = World::start().await;
    let reason = "The supplied API key is invalid".to_owned();
    world
        .control()
        .plan_fault(Fault::always(Kind::BadRequest { reason }));
    let failed = produce::once(&mut world.stage(), &places(2), MAX_WAIT)
        .await
        .unwrap_err();
    assert!(common::task::is_refused(&failed), "{failed:#}");
    assert_eq!(world.control().requests().len(), 1);
}
