//! One odd payload of each kind that real accounts hold, at fixed places of the history.

use jiff::SignedDuration;

use super::plan::Session;
use super::summary;
use crate::strava::payload::Payload;

/// Fields that take the place of the plain ones, by position from the oldest activity.
const PATCHES: [(usize, &str); 10] = [
    // A sport type and a field that nobody has heard of.
    (34, r#"{"type":"Workout","sport_type":"UnderwaterHockey"}"#),
    (
        42,
        r#"{"future_field":{"of":[1,2.50,{"a":"kind"}],"unit":null},"x-dashed.key":"kept"}"#,
    ),
    // Above 2^53, where a double would change it, inside a nested object.
    (
        51,
        r#"{"best_effort":{"segment_effort_id":3085395771834188816,"route":{"id":2990981787137738056}}}"#,
    ),
    // Null, an empty list and an empty string for what is mostly a list or a text.
    (
        63,
        r#"{"start_latlng":null,"end_latlng":[],"external_id":"","gear_id":null,"average_temp":null}"#,
    ),
    // Whole numbers where there are mostly fractions, and the other way round; digits to keep.
    (
        72,
        r#"{"distance":5000,"max_speed":9,"average_speed":3.1230000000000002,"moving_time":1601.0,"suffer_score":null}"#,
    ),
    (
        80,
        r#"{"distance":150.79999999999998,"average_speed":1e-05,"max_speed":0,"total_elevation_gain":0}"#,
    ),
    // Text that must be escaped in every format it passes.
    (
        88,
        r#"{"name":"\"Père\" \\ Ümit \ud83d\udeb4\u200d\u2640\ufe0f\n<b>;--\t'x',\u2028end"}"#,
    ),
    (
        97,
        r#"{"workout_type":31,"flagged":true,"visibility":"only_me","private":true}"#,
    ),
    // An offset that is no whole hour of the label's, and no fraction at all.
    (
        105,
        r#"{"timezone":"(GMT+09:30) Australia/Adelaide","utc_offset":37800}"#,
    ),
    (
        113,
        r#"{"name":"","location_city":"","map":{"id":"a0","summary_polyline":null,"resource_state":2}}"#,
    ),
];

/// Start hidden by the athlete, few keys, and the same run recorded by a second device.
const HIDDEN_START: usize = 30;
const FEW_KEYS: usize = 57;
const TWIN: usize = 120;

const KEPT_WHEN_FEW: [&str; 13] = [
    "resource_state",
    "athlete",
    "name",
    "distance",
    "moving_time",
    "elapsed_time",
    "type",
    "sport_type",
    "id",
    "start_date",
    "start_date_local",
    "timezone",
    "utc_offset",
];

pub(super) fn apply(
    index: usize,
    text: String,
    session: &Session,
    before: Option<&Session>,
) -> String {
    if index == TWIN
        && let Some(before) = before
    {
        return twin(session, before);
    }
    let patch = PATCHES.iter().find(|(position, _)| *position == index);
    if patch.is_none() && ![HIDDEN_START, FEW_KEYS].contains(&index) {
        return text;
    }
    let mut odd: Payload = text.parse().expect("a generated summary is JSON");
    match patch {
        Some((_, fields)) => odd.merge(fields.parse().expect("the patches above are JSON")),
        None if index == FEW_KEYS => odd.keep(&KEPT_WHEN_FEW),
        None => hide_start(&mut odd, session),
    }
    odd.to_string()
}

/// Since July 2024 a hidden start is 00:00:01 on the local clock.
fn hide_start(odd: &mut Payload, session: &Session) {
    let zone = session.place.zone();
    let local = zone.to_datetime(session.start).date().at(0, 0, 1, 0);
    if let Ok(start) = zone.to_timestamp(local) {
        odd.set_text("start_date", &start.to_string());
        odd.set_text("start_date_local", &format!("{local}Z"));
    }
}

/// Watch and head unit uploaded the same activity.
fn twin(session: &Session, before: &Session) -> String {
    let start = before.start + SignedDuration::from_secs(4);
    let second = Session {
        id: session.id,
        start,
        ..before.clone()
    };
    summary::write(&second, super::ATHLETE_ID)
}
