use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::answer::Sky;
use super::query::Query;
use super::simulator::{Host, Options, Simulator};
use super::{Fault, Kind};

fn sky(host: Host, now: &str, lacking: &[String], query: &str) -> String {
    let parameters = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let now = now.parse().unwrap();
    let query = Query::read(&parameters, host, now).unwrap();
    Sky {
        now,
        host,
        revision: 0,
        lacking,
    }
    .json(&query)
}

/// Keys in their order, down to the leaves, without the values.
fn shape(json: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut rest = json;
    while let Some(at) = rest.find("\":") {
        let start = rest[..at].rfind('"').unwrap();
        keys.push(rest[start + 1..at].to_owned());
        rest = &rest[at + 2..];
    }
    keys
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so there")]
fn recorded(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/open-meteo")
        .join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("skipped: no recorded answer at {}", path.display());
    }
    text
}

#[test]
fn the_answer_has_the_shape_of_a_recorded_one() {
    let now = "2024-01-13T02:00:00Z";
    // Of this simulator's places, one that has an elevation.
    let place = "latitude=55.69&longitude=61.5";
    for (file, query) in [
        (
            "snippets/current_unixtime_2024-01-13.json",
            "current=temperature_2m&timeformat=unixtime",
        ),
        (
            "snippets/current_berlin_2024-08-10.json",
            "current=temperature_2m",
        ),
    ] {
        let Some(recorded) = recorded(file) else {
            continue;
        };
        let ours = sky(Host::Forecast, now, &[], &format!("{place}&{query}"));
        assert_eq!(shape(&ours), shape(&recorded), "{file}");
    }
    let Some(recorded) = recorded("eos/hourly_head.json") else {
        return;
    };
    let columns = "temperature_2m,relative_humidity_2m,precipitation,rain,weather_code,cloud_cover,pressure_msl";
    let ours = sky(
        Host::Forecast,
        now,
        &[],
        &format!("{place}&hourly={columns}"),
    );
    let known = shape(&recorded)
        .into_iter()
        .filter(|key| !["showers", "snowfall", "surface_pressure"].contains(&key.as_str()));
    assert_eq!(shape(&ours), known.collect::<Vec<_>>());
}

#[test]
fn one_place_is_an_object_and_two_are_an_array_whose_first_has_no_id() {
    let now = "2026-10-03T12:34:56Z";
    let one: Value = serde_json::from_str(&sky(
        Host::Forecast,
        now,
        &[],
        "latitude=1&longitude=2&current=rain",
    ))
    .unwrap();
    assert!(one.is_object());
    let two = sky(
        Host::Forecast,
        now,
        &[],
        "latitude=1,3&longitude=2,4&current=rain",
    );
    let two: Value = serde_json::from_str(&two).unwrap();
    assert_eq!(
        (two[0].get("location_id"), two[1]["location_id"].as_u64()),
        (None, Some(1))
    );
}

#[test]
fn the_slot_is_a_quarter_of_an_hour_and_the_cell_is_not_the_place() {
    let json = sky(
        Host::Forecast,
        "2026-10-03T12:44:59Z",
        &[],
        "latitude=52.27&longitude=6.84&current=rain",
    );
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["current"]["time"], "2026-10-03T12:30");
    assert_eq!(answer["current"]["interval"], 900);
    assert_ne!(answer["latitude"], 52.27);
}

#[test]
fn a_variable_that_the_model_lacks_is_null_in_the_unit_undefined() {
    let lacking = ["wind_gusts_10m".to_owned()];
    let json = sky(
        Host::Forecast,
        "2026-10-03T12:44:59Z",
        &lacking,
        "latitude=1&longitude=2&current=wind_gusts_10m,visibility,rain",
    );
    let answer: Value = serde_json::from_str(&json).unwrap();
    for name in ["wind_gusts_10m", "visibility"] {
        assert_eq!(answer["current_units"][name], "undefined");
        assert!(answer["current"][name].is_null());
    }
    assert!(answer["current"]["rain"].is_number());
}

#[test]
fn the_same_place_and_hour_have_the_same_weather_whoever_asks_and_when() {
    let hour = "latitude=52.5&longitude=13.4&hourly=temperature_2m&start_hour=2026-10-01T10:00&end_hour=2026-10-01T10:00";
    let of = |now: &str| -> Value {
        let answer: Value = serde_json::from_str(&sky(Host::Forecast, now, &[], hour)).unwrap();
        answer["hourly"].clone()
    };
    let first = of("2026-10-01T12:00:00Z");
    assert_eq!(first["temperature_2m"].as_array().unwrap().len(), 1);
    assert_eq!(first, of("2026-11-01T12:00:00Z"));
}

#[tokio::test]
async fn whoever_goes_away_unanswered_is_no_longer_one_of_the_crowd() {
    let simulator = Simulator::start(Options::default()).await.unwrap();
    let url = format!(
        "{}/v1/forecast?latitude=1&longitude=2&current=rain",
        simulator.forecast_url()
    );
    let slow = Kind::Slow {
        milliseconds: 60_000,
    };
    simulator.control().plan_fault(Fault::always(slow));
    let http = reqwest::Client::new();
    for _ in 0..10 {
        let asked = http.get(&url).timeout(Duration::from_millis(100)).send();
        assert!(asked.await.is_err_and(|error| error.is_timeout()));
    }
    simulator.control().clear_faults();
    // The connections' ends arrive when they arrive.
    let answered = async {
        while http.get(&url).send().await.unwrap().status() != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answered)
        .await
        .expect("an answer once everybody has gone away");
}
