//! The answers of the Strava API that the simulator knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::activities::{Activities, Activity};
use super::payload::Payload;
use super::simulator::{Account, Shared};
use super::{PLANTED_FIRST_NAME, PLANTED_LAST_NAME, answer};

const PER_PAGE_DEFAULT: usize = 30;
const PER_PAGE_MAX: usize = 200;
/// Left-out places in every so many, where a test does not say how many.
const FILTERED_IN: usize = 50;
const DAY_SECONDS: i64 = 24 * 60 * 60;

#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    page: Option<usize>,
    per_page: Option<usize>,
    before: Option<i64>,
    after: Option<i64>,
}

/// `GET /athlete/activities`: newest first, or oldest first where `after` is given.
pub(crate) async fn activities(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        let (status, message) = (StatusCode::BAD_REQUEST, "Bad Request");
        return answer::fault(status, message, "Activity", "page", "invalid");
    };
    let account = shared.lock();
    if !reads_activities(&account) {
        return scope_missing("activity:read_permission");
    }
    let per_page = query
        .per_page
        .unwrap_or(PER_PAGE_DEFAULT)
        .clamp(1, PER_PAGE_MAX);
    let first = (query.page.unwrap_or(1).max(1) - 1).saturating_mul(per_page);

    let mut listed: Vec<&Activity> = account
        .activities
        .oldest_first()
        .filter(|activity| {
            let start = activity.facts.start_date.as_second();
            query.after.is_none_or(|after| start > after)
                && query.before.is_none_or(|before| start < before)
                && !account.activities.hidden.contains(&activity.facts.id)
                && may_see(&account, activity)
        })
        .collect();
    if query.after.is_none() {
        listed.reverse();
    }
    let places = places(
        &listed,
        shared.filtered.unwrap_or_else(|| costless(listed.len())),
    );
    let page = places.iter().skip(first).take(per_page).flatten();
    let texts: Vec<&str> = page.map(|activity| &*activity.text).collect();
    answer::json(StatusCode::OK, format!("[{}]", texts.join(",")))
}

/// The list as Strava pages it: some places hold something that the reader may not see. They
/// count when paging and are left out of the page afterwards, so that a page in mid-list is
/// short, and only an empty page is the end.
fn places<'a>(listed: &[&'a Activity], filtered: usize) -> Vec<Option<&'a Activity>> {
    let mut places = Vec::with_capacity(listed.len() + filtered);
    let mut left_out = 0;
    for (index, activity) in listed.iter().enumerate() {
        places.push(Some(*activity));
        let due = (index + 1) * (filtered + 1) / (listed.len() + 1);
        while left_out < due.min(filtered) {
            places.push(None);
            left_out += 1;
        }
    }
    places
}

/// As many left-out places as fit without needing one page of 200 more.
fn costless(listed: usize) -> usize {
    let room = listed.div_ceil(PER_PAGE_MAX) * PER_PAGE_MAX - listed;
    room.min(listed / FILTERED_IN)
}

/// `GET /activities/{id}`: the summary with what only the detail has.
pub(crate) async fn activity(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Response {
    let account = shared.lock();
    if !reads_activities(&account) {
        return scope_missing("activity:read_permission");
    }
    let found = id.parse().ok().and_then(|id| account.activities.find(id));
    let Some(activity) = found.filter(|activity| may_see(&account, activity)) else {
        return answer::not_found();
    };
    match detail(&account.activities, activity) {
        Ok(detail) => answer::json(StatusCode::OK, detail.to_string()),
        Err(error) => answer::broken(&error),
    }
}

fn detail(activities: &Activities, activity: &Activity) -> anyhow::Result<Payload> {
    let mut detail: Payload = activity.text.parse()?;
    let facts = &activity.facts;
    detail.set_value("resource_state", &3)?;
    for (key, value) in [
        ("description", Value::Null),
        ("private_note", json!("")),
        ("calories", json!((facts.moving_time * 0.19).round() / 1.0)),
        ("perceived_exertion", Value::Null),
        ("prefer_perceived_exertion", Value::Null),
        ("embed_token", Value::Null),
    ] {
        if detail.text(key).is_none() {
            detail.set_value(key, &value)?;
        }
    }
    if let Some(id) = &facts.gear_id {
        detail.set_value("gear", &gear_summary(activities, id))?;
    }
    detail.set_value("segment_efforts", &json!([]))?;
    detail.set_value("splits_metric", &json!([]))?;
    detail.set_value(
        "laps",
        &json!([{
            "id": facts.id * 10 + 1,
            "resource_state": 2,
            "name": "Lap 1",
            "activity": { "id": facts.id, "resource_state": 1 },
            "athlete": { "id": facts.athlete.id, "resource_state": 1 },
            "elapsed_time": facts.elapsed_time,
            "moving_time": facts.moving_time,
            "distance": facts.distance,
            "lap_index": 1,
            "split": 1,
        }]),
    )?;
    Ok(detail)
}

/// `GET /athlete`: with gear and body only for who may read the whole profile.
pub(crate) async fn athlete(State(shared): State<Arc<Shared>>) -> Response {
    let account = shared.lock();
    let whole = account.tokens.has_scope(&["profile:read_all"]);
    let mut athlete = json!({
        "id": shared.athlete_id,
        "username": null,
        "resource_state": if whole { 3 } else { 2 },
        "firstname": PLANTED_FIRST_NAME,
        "lastname": PLANTED_LAST_NAME,
        "bio": null, "city": null, "state": null, "country": null, "sex": null,
        "premium": true,
        "summit": true,
        "created_at": "2017-11-28T19:05:35Z",
        "updated_at": "2025-09-27T12:57:32Z",
        "badge_type_id": 1,
        "weight": 71.5,
        "profile_medium": "avatar/athlete/medium.png",
        "profile": "avatar/athlete/large.png",
        "friend": null,
        "follower": null,
    });
    if let (true, Some(fields)) = (whole, athlete.as_object_mut()) {
        let gear = gear_distances(&account.activities);
        let of_kind = |kind| -> Vec<Value> {
            let ids = gear.keys().filter(|id| id.starts_with(kind));
            ids.map(|id| gear_summary(&account.activities, id))
                .collect()
        };
        fields.insert("ftp".into(), json!(241));
        fields.insert("measurement_preference".into(), json!("meters"));
        fields.insert("date_preference".into(), json!("%m/%d/%Y"));
        fields.insert("clubs".into(), json!([]));
        fields.insert("bikes".into(), json!(of_kind('b')));
        fields.insert("shoes".into(), json!(of_kind('g')));
    }
    answer::json(StatusCode::OK, athlete.to_string())
}

/// `GET /athlete/zones`; the open top bucket ends at -1.
pub(crate) async fn athlete_zones(State(shared): State<Arc<Shared>>) -> Response {
    if !shared.lock().tokens.has_scope(&["profile:read_all"]) {
        return scope_missing("profile:read_permission");
    }
    let bounds = [0, 111, 139, 152, 166, -1];
    let zones: Vec<Value> = bounds
        .windows(2)
        .map(|pair| json!({ "min": pair[0], "max": pair[1] }))
        .collect();
    let body = json!({ "heart_rate": { "custom_zones": false, "zones": zones } });
    answer::json(StatusCode::OK, body.to_string())
}

/// `GET /athletes/{id}/stats`: counts only what everyone may see.
pub(crate) async fn athlete_stats(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Response {
    if id != shared.athlete_id.to_string() {
        let (status, message) = (StatusCode::FORBIDDEN, "Forbidden");
        return answer::fault(status, message, "Athlete", "", "not_found");
    }
    let account = shared.lock();
    let now = shared.clock.now();
    let year = now.strftime("%Y").to_string();
    let mut stats = serde_json::Map::new();
    for (name, sports) in [
        ("ride", &["Ride"][..]),
        ("run", &["Run", "TrailRun"][..]),
        ("swim", &["Swim"][..]),
    ] {
        let of_sport: Vec<&Activity> = account
            .activities
            .oldest_first()
            .filter(|activity| {
                sports.contains(&activity.facts.sport_type.as_str()) && is_public(activity)
            })
            .collect();
        let recent = |activity: &&Activity| {
            now.as_second() - activity.facts.start_date.as_second() < 28 * DAY_SECONDS
        };
        let this_year =
            |activity: &&Activity| activity.facts.start_date.strftime("%Y").to_string() == year;
        let mut recent_totals = totals(of_sport.iter().copied().filter(recent));
        recent_totals["achievement_count"] = json!(0);
        stats.insert(format!("recent_{name}_totals"), recent_totals);
        stats.insert(
            format!("ytd_{name}_totals"),
            totals(of_sport.iter().copied().filter(this_year)),
        );
        stats.insert(
            format!("all_{name}_totals"),
            totals(of_sport.iter().copied()),
        );
    }
    answer::json(StatusCode::OK, Value::Object(stats).to_string())
}

fn totals<'a>(activities: impl Iterator<Item = &'a Activity>) -> Value {
    let (mut count, mut distance, mut moving, mut elapsed, mut climbed) = (0, 0.0, 0.0, 0.0, 0.0);
    for Activity { facts, .. } in activities {
        count += 1;
        distance += facts.distance;
        moving += facts.moving_time;
        elapsed += facts.elapsed_time;
        climbed += facts.total_elevation_gain;
    }
    json!({
        "count": count,
        "distance": distance,
        "moving_time": moving,
        "elapsed_time": elapsed,
        "elevation_gain": climbed,
    })
}

/// `GET /gear/{id}`: also of gear that the profile no longer lists.
pub(crate) async fn gear(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let account = shared.lock();
    if !gear_distances(&account.activities).contains_key(id.as_str()) {
        return answer::not_found();
    }
    let mut gear = gear_summary(&account.activities, &id);
    gear["resource_state"] = json!(3);
    gear["brand_name"] = json!("Devstack");
    gear["model_name"] = json!(id);
    gear["description"] = Value::Null;
    if id.starts_with('b') {
        gear["frame_type"] = json!(3);
        gear["weight"] = json!(9.0);
    } else {
        gear["notification_distance"] = json!(0);
    }
    answer::json(StatusCode::OK, gear.to_string())
}

fn gear_summary(activities: &Activities, id: &str) -> Value {
    let metres = gear_distances(activities)
        .get(id)
        .copied()
        .unwrap_or_default();
    let kind = if id.starts_with('b') { "Bike" } else { "Shoes" };
    json!({
        "id": id,
        "primary": false,
        "name": format!("{kind} {id}"),
        "nickname": "",
        "resource_state": 2,
        "retired": false,
        "distance": metres.round(),
        "converted_distance": (metres / 100.0).round() / 10.0,
    })
}

fn gear_distances(activities: &Activities) -> BTreeMap<&str, f64> {
    let mut metres = BTreeMap::new();
    for Activity { facts, .. } in activities.oldest_first() {
        if let Some(id) = &facts.gear_id {
            *metres.entry(id.as_str()).or_default() += facts.distance;
        }
    }
    metres
}

/// Every other path.
pub(crate) async fn unknown() -> Response {
    let (status, message) = (StatusCode::NOT_FOUND, "Record Not Found");
    answer::fault(status, message, "resource", "path", "invalid")
}

fn reads_activities(account: &Account) -> bool {
    account
        .tokens
        .has_scope(&["activity:read", "activity:read_all"])
}

/// What is for the athlete only needs the wider scope.
fn may_see(account: &Account, activity: &Activity) -> bool {
    activity.facts.visibility.as_deref() != Some("only_me")
        || account.tokens.has_scope(&["activity:read_all"])
}

fn is_public(activity: &Activity) -> bool {
    activity.facts.visibility.as_deref() == Some("everyone")
}

/// A missing scope is a 401 too; only the body tells it from a bad token.
fn scope_missing(field: &str) -> Response {
    let (status, message) = (StatusCode::UNAUTHORIZED, "Authorization Error");
    answer::fault(status, message, "AccessToken", field, "missing")
}
