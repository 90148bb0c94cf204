//! The list: paging as Strava does it, and the text as it was recorded.

use std::collections::BTreeSet;
use std::path::Path;

use devstack::strava::{Athlete, Limits, Options};

use crate::client::{Strava, small};

#[tokio::test]
async fn pages_in_mid_list_are_short_and_an_empty_one_ends() {
    let strava = Strava::start(Options {
        filtered: Some(7),
        ..small(150)
    })
    .await;
    let (mut seen, mut short) = (Vec::new(), 0);
    for page in 1.. {
        let ids = strava
            .ids(&format!("/athlete/activities?per_page=20&page={page}"))
            .await;
        if ids.is_empty() {
            break;
        }
        short += usize::from(ids.len() < 20);
        seen.extend(ids);
    }
    assert!(short >= 7, "{short} short pages");
    assert_eq!(seen.len(), 150);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 150);
}

#[tokio::test]
async fn by_default_short_pages_cost_no_page_more() {
    let strava = Strava::start(small(395)).await;
    let first = strava.ids("/athlete/activities?per_page=200").await.len();
    let second = strava
        .ids("/athlete/activities?per_page=200&page=2")
        .await
        .len();
    assert!(first < 200, "{first}");
    assert_eq!(first + second, 395);
    assert!(
        strava
            .ids("/athlete/activities?per_page=200&page=3")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn the_list_is_newest_first_and_oldest_first_with_after() {
    let strava = Strava::start(small(40)).await;
    let newest_first = strava.json("/athlete/activities?per_page=500").await;
    let starts: Vec<&str> = newest_first
        .as_array()
        .unwrap()
        .iter()
        .map(|activity| activity["start_date"].as_str().unwrap())
        .collect();
    assert_eq!(starts.len(), 40);
    assert!(starts.is_sorted_by(|a, b| a >= b));

    let tenth: jiff::Timestamp = starts[10].parse().unwrap();
    let newer = strava
        .ids(&format!("/athlete/activities?after={}", tenth.as_second()))
        .await;
    let ids = strava.ids("/athlete/activities?per_page=200").await;
    assert_eq!(newer, ids[..10].iter().rev().copied().collect::<Vec<_>>());
    let older = strava
        .ids(&format!("/athlete/activities?before={}", tenth.as_second()))
        .await;
    assert_eq!(older, ids[11..]);
}

#[tokio::test]
async fn recorded_activities_are_served_with_exactly_their_text() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/strava/api/activities.ndjson");
    let Ok(recorded) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: no recorded activities at {}", file.display());
        return;
    };
    let options = Options {
        athlete: Athlete::Recorded(file),
        quota: Limits::generous(),
        ..Options::default()
    };
    let strava = Strava::start(options).await;
    let mut served = String::new();
    for page in 1..=6 {
        let path = format!("/athlete/activities?per_page=200&page={page}");
        served.push_str(&strava.get(&path).await.text().await.unwrap());
    }
    let lines: Vec<&str> = recorded.lines().collect();
    assert_eq!(lines.len(), 1_132);
    for line in lines {
        assert!(served.contains(line), "not served as recorded: {line}");
    }
    assert!(
        strava
            .ids("/athlete/activities?per_page=200&page=7")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn the_detail_has_the_summary_s_numbers_and_more_keys() {
    let strava = Strava::start(small(5)).await;
    let page = strava.json("/athlete/activities").await;
    for summary in page.as_array().unwrap() {
        let detail = strava.json(&format!("/activities/{}", summary["id"])).await;
        assert_eq!(
            detail["distance"].to_string(),
            summary["distance"].to_string()
        );
        assert_eq!(detail["resource_state"], 3);
        assert_eq!(detail["laps"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_athlete_owns_the_gear_that_the_activities_name() {
    let strava = Strava::start(small(300)).await;
    let athlete = strava.json("/athlete").await;
    let bike = athlete["bikes"][0]["id"].as_str().unwrap();
    let gear = strava.json(&format!("/gear/{bike}")).await;
    assert!(gear["distance"].as_f64().unwrap() > 0.0);
    assert_eq!(strava.get("/gear/b1").await.status(), 404);
    let stats = strava
        .json(&format!("/athletes/{}/stats", athlete["id"]))
        .await;
    assert!(stats["all_run_totals"]["count"].as_i64().unwrap() > 50);
    let zones = strava.json("/athlete/zones").await;
    assert_eq!(zones["heart_rate"]["zones"][4]["max"], -1);
}
