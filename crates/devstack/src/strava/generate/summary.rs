//! Writes a session as Strava's summary: its keys, its mix of integers and floats, its absences.

use fastrand::Rng;
use serde_json::Value;

use super::measured::Measured;
use super::object::{Object, integer_or_tenths, tenths, thousandths};
use super::plan::{Purpose, Session, Sport};
use super::route;

/// Watts at threshold in the first year.
const THRESHOLD_WATTS: f64 = 232.0;

/// The summary of a session, compact, keys in Strava's order.
pub(super) fn write(session: &Session, athlete_id: i64) -> String {
    let mut measured = Measured::of(session);
    let mut json = Object::default();
    let sport = sport_type(session.sport);
    json.raw("resource_state", 2);
    json.raw(
        "athlete",
        format_args!(r#"{{"id":{athlete_id},"resource_state":1}}"#),
    );
    json.text("name", &name(session));
    json.raw("distance", tenths(measured.metres));
    json.raw("moving_time", measured.moving as i64);
    json.raw("elapsed_time", measured.elapsed as i64);
    json.raw("total_elevation_gain", integer_or_tenths(measured.climbed));
    json.text("type", sport);
    json.text("sport_type", sport);
    workout_type(&mut json, session, &mut measured.rng);
    if !measured.manual {
        let indoors = session.sport == Sport::VirtualRide;
        json.text(
            "device_name",
            if indoors {
                "Zwift"
            } else {
                "Garmin Forerunner 955"
            },
        );
    }
    json.raw("id", session.id);
    times(&mut json, session);
    for key in ["location_city", "location_state", "location_country"] {
        json.null(key);
    }
    counters(&mut json, session, &mut measured.rng);
    let polyline = Value::from(route::polyline(&measured.points));
    json.raw(
        "map",
        format_args!(
            r#"{{"id":"a{}","summary_polyline":{polyline},"resource_state":2}}"#,
            session.id
        ),
    );
    let private = measured.rng.u32(0..40) == 0;
    json.raw(
        "trainer",
        measured.indoors && session.sport != Sport::WeightTraining,
    );
    json.raw("commute", session.purpose == Purpose::Commute);
    json.raw("manual", measured.manual);
    json.raw("private", private);
    json.text(
        "visibility",
        if private {
            "only_me"
        } else if measured.rng.u32(0..12) == 0 {
            "followers_only"
        } else {
            "everyone"
        },
    );
    json.raw("flagged", false);
    gear(&mut json, session);
    json.raw("start_latlng", pair(measured.points.first()));
    json.raw("end_latlng", pair(measured.points.last()));
    movement(&mut json, session, &mut measured);
    heart(&mut json, &mut measured);
    altitude(&mut json, session, &mut measured);
    upload(&mut json, session, &measured);
    json.close()
}

fn sport_type(sport: Sport) -> &'static str {
    match sport {
        Sport::Run => "Run",
        Sport::Ride => "Ride",
        Sport::VirtualRide => "VirtualRide",
        Sport::Swim => "Swim",
        Sport::Hike => "Hike",
        Sport::Walk => "Walk",
        Sport::NordicSki => "NordicSki",
        Sport::WeightTraining => "WeightTraining",
    }
}

fn name(session: &Session) -> String {
    let purpose = match session.purpose {
        Purpose::Easy => "Easy",
        Purpose::Tempo => "Tempo",
        Purpose::Intervals => "Intervals,",
        Purpose::Long => "Long",
        Purpose::Race => "Race day:",
        Purpose::Commute => "Commute,",
    };
    let sport = match session.sport {
        Sport::WeightTraining => "strength",
        Sport::VirtualRide => "ride indoors",
        Sport::NordicSki => "skiing",
        Sport::Run => "run",
        Sport::Ride => "ride",
        Sport::Swim => "swim",
        Sport::Hike => "hike",
        Sport::Walk => "walk",
    };
    format!("{purpose} {sport}")
}

/// Runs know 0 to 3, rides 10 to 12; null and absent both stand for "nothing special".
fn workout_type(json: &mut Object, session: &Session, rng: &mut Rng) {
    let base = match session.sport {
        Sport::Run => 0,
        Sport::Ride => 10,
        _ => return,
    };
    match session.purpose {
        Purpose::Race => json.raw("workout_type", base + 1),
        Purpose::Long if base == 0 => json.raw("workout_type", 2),
        Purpose::Intervals if base == 0 => json.raw("workout_type", 3),
        Purpose::Intervals => json.raw("workout_type", 12),
        _ => match rng.u32(0..3) {
            0 => json.null("workout_type"),
            1 => json.raw("workout_type", base),
            _ => {}
        },
    }
}

fn times(json: &mut Object, session: &Session) {
    let offset = session.place.zone().to_offset(session.start);
    let local = offset.to_datetime(session.start);
    json.text("start_date", &session.start.to_string());
    json.text("start_date_local", &format!("{local}Z"));
    json.text("timezone", session.place.label);
    json.raw("utc_offset", format_args!("{}.0", offset.seconds()));
}

fn counters(json: &mut Object, session: &Session, rng: &mut Rng) {
    let race = session.purpose == Purpose::Race;
    json.raw(
        "achievement_count",
        if race { rng.u32(3..9) } else { rng.u32(0..3) },
    );
    json.raw("kudos_count", rng.u32(0..25) + if race { 40 } else { 0 });
    json.raw(
        "comment_count",
        if race { rng.u32(2..9) } else { rng.u32(0..2) },
    );
    json.raw(
        "athlete_count",
        if race {
            rng.u32(80..400)
        } else {
            rng.u32(1..3)
        },
    );
    json.raw("photo_count", 0);
}

/// Bikes last, shoes are new every half year.
fn gear(json: &mut Object, session: &Session) {
    match session.sport {
        Sport::Ride => json.text("gear_id", "b12590811"),
        Sport::VirtualRide => json.text("gear_id", "b13470042"),
        Sport::Run => json.text(
            "gear_id",
            &format!("g{}", 21_000_301 + (session.years * 2.0) as u32),
        ),
        Sport::Hike => json.text("gear_id", "g21000999"),
        _ => json.null("gear_id"),
    }
}

fn movement(json: &mut Object, session: &Session, measured: &mut Measured) {
    let rng = &mut measured.rng;
    let average = measured.metres / measured.moving.max(1.0);
    json.raw("average_speed", thousandths(average));
    if measured.manual {
        json.raw("max_speed", 0);
        return;
    }
    json.raw("max_speed", thousandths(average * (1.25 + 0.4 * rng.f64())));
    let cadence = match session.sport {
        Sport::Run => Some(82.0),
        Sport::Ride | Sport::VirtualRide => Some(84.0),
        Sport::Hike | Sport::Walk => Some(56.0),
        _ => None,
    };
    if let Some(cadence) = cadence {
        json.raw("average_cadence", tenths(cadence + (rng.f64() - 0.5) * 8.0));
    }
    if matches!(session.sport, Sport::Ride | Sport::VirtualRide) {
        let watts = THRESHOLD_WATTS * (1.0 + 0.03 * session.years) * measured.intensity * 0.93;
        json.raw("average_watts", tenths(watts));
        json.raw("max_watts", (watts * (2.2 + rng.f64())).round());
        json.raw("weighted_average_watts", (watts * 1.06).round());
        json.raw(
            "device_watts",
            session.sport == Sport::VirtualRide || session.years > 1.0,
        );
        json.raw("kilojoules", tenths(watts * measured.moving / 1_000.0));
    }
    if !measured.indoors {
        json.raw("average_temp", warmth(session, rng));
    }
}

/// Degrees: by the time of year, colder in the mountains.
fn warmth(session: &Session, rng: &mut Rng) -> i64 {
    let day = f64::from(
        session
            .place
            .zone()
            .to_datetime(session.start)
            .date()
            .day_of_year(),
    );
    let season = -((day + 10.0) / 365.25 * std::f64::consts::TAU).cos();
    let height = session.place.elevation / 150.0;
    (12.0 + 10.0 * season - height + (rng.f64() - 0.5) * 8.0).round() as i64
}

fn heart(json: &mut Object, measured: &mut Measured) {
    let rng = &mut measured.rng;
    let has_heart_rate = !measured.manual && rng.u32(0..12) > 0;
    json.raw("has_heartrate", has_heart_rate);
    if has_heart_rate {
        let average = 62.0 + 112.0 * measured.intensity + (rng.f64() - 0.5) * 6.0;
        json.raw("average_heartrate", tenths(average));
        json.raw(
            "max_heartrate",
            format_args!("{}.0", (average * 1.1 + 4.0 * rng.f64()).min(192.0).round()),
        );
    }
    json.raw("heartrate_opt_out", false);
    json.raw("display_hide_heartrate_option", has_heart_rate);
    if has_heart_rate {
        let effort = measured.moving / 60.0 * measured.intensity.powi(3) * 2.1;
        json.raw("suffer_score", format_args!("{}.0", effort.round()));
    }
}

fn altitude(json: &mut Object, session: &Session, measured: &mut Measured) {
    if measured.points.is_empty() {
        return;
    }
    let low = session.place.elevation + measured.rng.f64() * 12.0;
    json.raw("elev_high", tenths(low + measured.climbed * 0.45));
    json.raw("elev_low", tenths(low));
}

fn upload(json: &mut Object, session: &Session, measured: &Measured) {
    if measured.manual {
        json.null("upload_id");
        json.null("external_id");
    } else {
        let upload_id = session.id + session.id / 15;
        json.raw("upload_id", upload_id);
        json.text("upload_id_str", &upload_id.to_string());
        json.text(
            "external_id",
            &format!("garmin_ping_{}", session.seed % 1_000_000_000_000),
        );
    }
    json.raw("from_accepted_tag", false);
    json.raw("pr_count", session.seed % 3);
    json.raw("total_photo_count", session.seed % 5);
    json.raw("has_kudoed", false);
}

fn pair(point: Option<&(f64, f64)>) -> String {
    point.map_or_else(
        || "[]".to_owned(),
        |(latitude, longitude)| format!("[{latitude:.6},{longitude:.6}]"),
    )
}
