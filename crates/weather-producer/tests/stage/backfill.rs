//! The hours of past activities.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::storage::Storage;
use common::task::Closing;
use devstack::open_meteo::{Fault, Host, Kind, Window};
use jiff::{SignedDuration, Timestamp};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::Value;
use weather_producer::backfill::{self, Activity};
use weather_producer::locations::Location;

use super::world::{World, count, documents, places, readings};

const NOW: &str = "2026-10-03T12:34:56Z";
const MAX_WAIT: Duration = Duration::from_secs(900);

fn activity(id: &str, latitude: f64, started_at: &str, minutes: i64) -> Activity {
    let started_at: Timestamp = started_at.parse().unwrap();
    let ended_at = started_at + SignedDuration::from_mins(minutes);
    Activity {
        id: id.to_owned(),
        latitude,
        longitude: 11.575,
        started_at,
        ended_at,
    }
}

/// One for each host, and one that is not over.
fn activities() -> Vec<Activity> {
    vec![
        activity("1", 48.137, "2026-09-20T10:20:00Z", 60),
        activity("2", 48.139, "2026-09-21T10:20:00Z", 60),
        activity("3", 48.137, "2024-05-01T06:00:00Z", 90),
        activity("4", 48.137, "2019-05-01T06:10:00Z", 20),
        activity("5", 48.137, "2026-10-03T12:10:00Z", 20),
    ]
}

struct Landing(tempfile::TempDir);

impl Landing {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn run(
        &self,
        world: &World,
        configured: Vec<Location>,
        activities: &[Activity],
    ) -> anyhow::Result<Closing> {
        let url = format!("file://{}", self.0.path().display())
            .parse()
            .unwrap();
        let storage = Storage::open(&url).await.unwrap();
        backfill::run(
            &mut world.stage(),
            storage,
            configured,
            activities,
            MAX_WAIT,
        )
        .await
    }
}

#[tokio::test]
async fn each_activity_has_its_hours_from_the_host_of_its_age() {
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    let closing = landing
        .run(&world, Vec::new(), &activities())
        .await
        .unwrap();
    assert!(closing.complete && closing.failure.is_none());
    assert_eq!(
        (
            count(&closing, "activities_done"),
            count(&closing, "activities_unfinished")
        ),
        (4, 1)
    );
    let hosts: Vec<_> = world
        .control()
        .requests()
        .iter()
        .map(|request| (request.host, request.locations))
        .collect();
    assert_eq!(
        hosts,
        [
            (Host::Forecast, 1),
            (Host::HistoricalForecast, 1),
            (Host::Archive, 1)
        ]
    );
    let seen = world.topic();
    let mut slots: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for seen in &seen {
        slots
            .entry(seen.value["source"].as_str().unwrap())
            .or_default()
            .insert(&seen.slot);
        assert_eq!(seen.value["slot_seconds"], 3_600);
        assert_eq!(
            seen.value["latitude"].to_string(),
            "48.1",
            "the cell's corner, and not the start"
        );
    }
    // Two activities in one window: their hours, and not the day between them.
    assert_eq!(slots["forecast"].len(), 6);
    assert_eq!(
        slots["historical_forecast"]
            .iter()
            .copied()
            .collect::<Vec<_>>(),
        [
            "2024-05-01T05:00:00Z",
            "2024-05-01T06:00:00Z",
            "2024-05-01T07:00:00Z",
            "2024-05-01T08:00:00Z"
        ]
    );
    assert_eq!(slots["archive"].len(), 2);
    let models: BTreeSet<_> = seen
        .iter()
        .map(|seen| seen.value["model"].as_str().unwrap())
        .collect();
    assert_eq!(models, BTreeSet::from(["best_match", "era5_seamless"]));
}

#[tokio::test]
async fn a_second_run_asks_for_nothing_and_a_new_activity_for_its_own_hours() {
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    let mut all = activities();
    landing.run(&world, Vec::new(), &all).await.unwrap();
    world.control().forget_requests();
    let closing = landing.run(&world, Vec::new(), &all).await.unwrap();
    assert!(closing.complete);
    assert_eq!(
        (
            count(&closing, "requests"),
            count(&closing, "activities_done")
        ),
        (0, 4)
    );
    all.push(activity("6", 48.137, "2023-05-01T06:00:00Z", 60));
    let closing = landing.run(&world, Vec::new(), &all).await.unwrap();
    assert_eq!(
        (count(&closing, "requests"), count(&closing, "weight")),
        (1, 1)
    );
}

#[tokio::test]
async fn an_activity_near_a_configured_location_belongs_to_it() {
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    let configured = weather_producer::locations::parse(
        b"location_id,name,latitude,longitude,timezone\nmunich,Munich,48.2,11.6,Europe/Berlin\n",
    );
    landing
        .run(&world, configured.unwrap(), &activities())
        .await
        .unwrap();
    assert!(
        world
            .topic()
            .iter()
            .all(|seen| seen.location_id == "munich")
    );
}

#[tokio::test]
async fn a_run_that_a_limit_ends_goes_on_where_it_stopped() {
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    world.control().plan_fault(
        Fault::next(Kind::Limit {
            window: Window::Day,
        })
        .after(1),
    );
    let closing = landing
        .run(&world, Vec::new(), &activities())
        .await
        .unwrap();
    assert!(!closing.complete && closing.failure.is_none());
    assert_eq!(
        closing.resume_at,
        Some("2026-10-04T00:00:01Z".parse().unwrap())
    );
    assert_eq!(count(&closing, "activities_done"), 2);
    world
        .time
        .fetch_add(13 * 3_600_000, std::sync::atomic::Ordering::SeqCst);
    world.control().forget_requests();
    let closing = landing
        .run(&world, Vec::new(), &activities()[..4])
        .await
        .unwrap();
    assert!(closing.complete);
    assert_eq!(
        (
            count(&closing, "requests"),
            count(&closing, "activities_done")
        ),
        (2, 4)
    );
    assert_eq!(
        readings(&world.topic()).len(),
        world.topic().len(),
        "nothing was sent twice"
    );
}

#[tokio::test]
async fn a_far_side_that_fails_midway_leaves_nothing_half_done() {
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    world
        .control()
        .plan_fault(Fault::always(Kind::Broken).after(1));
    let closing = landing
        .run(&world, Vec::new(), &activities())
        .await
        .unwrap();
    assert!(closing.failure.is_some());
    assert_eq!(count(&closing, "activities_done"), 2);
    world.control().clear_faults();
    let closing = landing
        .run(&world, Vec::new(), &activities())
        .await
        .unwrap();
    assert_eq!(count(&closing, "activities_done"), 4);
    assert_eq!(documents(&world.topic()).len(), world.topic().len());
}

#[tokio::test]
async fn what_kafka_did_not_take_stays_to_be_done() {
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    let denied = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 8];
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &denied);
    let failed = landing.run(&world, Vec::new(), &activities()).await;
    assert!(common::task::is_refused(&failed.unwrap_err()));
    world.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    let closing = landing
        .run(&world, Vec::new(), &activities())
        .await
        .unwrap();
    assert_eq!(
        (
            count(&closing, "requests"),
            count(&closing, "activities_done")
        ),
        (3, 4)
    );
}

#[tokio::test]
async fn a_place_without_data_is_named_and_stays_to_be_done() {
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    let mut all = activities();
    all.push(activity("7", -89.9, "2026-09-20T10:20:00Z", 60));
    let closing = landing.run(&world, Vec::new(), &all).await.unwrap();
    assert_eq!(count(&closing, "activities_done"), 4);
    let failure = format!("{:#}", closing.failure.unwrap());
    assert!(
        failure.starts_with("Open-Meteo refused 1 locations: grid_"),
        "{failure}"
    );
}

#[tokio::test]
async fn killed_at_seeded_moments_it_goes_on_and_no_reading_is_two_documents() {
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    let day = |day: i64| {
        let at: Timestamp = "2019-01-01T10:20:00Z".parse().unwrap();
        activity(
            &day.to_string(),
            40.0 + (day % 40) as f64,
            &(at + SignedDuration::from_hours(24 * day)).to_string(),
            60,
        )
    };
    let all: Vec<_> = (0..900).map(day).collect();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let run = landing.run(&world, places(3), &all);
        _ = tokio::time::timeout(Duration::from_micros(random.u64(0..60_000)), run).await;
    }
    let closing = landing.run(&world, places(3), &all).await.unwrap();
    assert_eq!(count(&closing, "activities_done"), 900);
    let seen = world.topic();
    assert!(readings(&seen).len() >= 900 * 3);
}

#[tokio::test]
async fn the_recorded_activities_get_their_weather() {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/strava/api/activities.ndjson");
    let Some(activities) = recorded(&path) else {
        eprintln!("skipped: no recorded activities at {}", path.display());
        return;
    };
    // Of 1,132; the others have no start point.
    assert_eq!(activities.len(), 965);
    let (world, landing) = (World::start_at(NOW).await, Landing::new());
    let closing = landing.run(&world, Vec::new(), &activities).await.unwrap();
    assert!(closing.complete && closing.failure.is_none(), "{closing:?}");
    assert_eq!(count(&closing, "activities_done"), activities.len() as u64);
    let usage = world.control().usage();
    assert!(usage.most_in_a_minute <= 600.0, "{usage:?}");
    let seen = world.topic();
    let distinct = readings(&seen).len();
    // By the tenth of a degree, as the message has it.
    let tenth = |degrees: f64| format!("{:.1}", degrees + 0.0);
    let sent: BTreeSet<_> = seen
        .iter()
        .map(|seen| {
            let degrees = |name: &str| tenth(seen.value[name].as_f64().unwrap());
            let slot: Timestamp = seen.slot.parse().unwrap();
            (degrees("latitude"), degrees("longitude"), slot)
        })
        .collect();
    let hour = |at: Timestamp| at.as_second().div_euclid(3_600);
    let wanted: BTreeSet<_> = activities
        .iter()
        .flat_map(|activity| {
            let (latitude, longitude) = (tenth(activity.latitude), tenth(activity.longitude));
            // From the hour before the start, which for a start on the hour is the one before that.
            let before = activity.started_at - SignedDuration::from_secs(1);
            (hour(before)..=hour(activity.ended_at) + 1).map(move |hour| {
                let slot = Timestamp::from_second(hour * 3_600).unwrap();
                (latitude.clone(), longitude.clone(), slot)
            })
        })
        .collect();
    let missing: Vec<_> = wanted.difference(&sent).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(distinct, wanted.len(), "no hour that nobody wants");
    eprintln!(
        "recorded: {} activities with a start point, all with their weather: {} requests, weight {}, {} locations, {distinct} readings",
        activities.len(),
        closing.counts["requests"],
        closing.counts["weight"],
        closing.counts["locations"],
    );
}

fn recorded(path: &Path) -> Option<Vec<Activity>> {
    let text = std::fs::read_to_string(path).ok()?;
    let activity = |line: &str| {
        let summary: Value = serde_json::from_str(line).unwrap();
        let start = summary["start_latlng"].as_array()?;
        let started_at: Timestamp = summary["start_date"].as_str()?.parse().ok()?;
        Some(Activity {
            id: summary["id"].to_string(),
            latitude: start.first()?.as_f64()?,
            longitude: start.get(1)?.as_f64()?,
            started_at,
            ended_at: started_at + SignedDuration::from_secs(summary["elapsed_time"].as_i64()?),
        })
    };
    Some(text.lines().filter_map(activity).collect())
}
