//! Which hours to ask for, of which host: few windows for many activities.

use std::collections::{BTreeMap, BTreeSet};

use common::weather::{Decimal, Source};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::Offset};
use sha2::{Digest as _, Sha256};

use super::places::Activity;
use crate::budget::DAYS_PER_WEIGHT;
use crate::locations::Location;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// An activity belongs to a configured location that is no farther away.
const NEAR_METRES: f64 = 25_000.0;
const EARTH_RADIUS_METRES: f64 = 6_371_000.0;
/// The forecast host has 93; a margin for a run that goes over midnight.
const FORECAST_DAYS: i64 = 90;
/// Most models' forecasts are archived since then.
const HISTORICAL_FORECAST_SINCE: Date = Date::constant(2022, 1, 1);

/// One activity's hours at its location.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Want {
    pub(super) location: usize,
    pub(super) source: Source,
    /// First and last whole hour.
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Of the activity and all that its answer depends on: another place or time is another want.
    pub(super) hash: String,
}

/// One element of a request: a location, a span that weighs as little as an hour, and what of it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub(super) location: usize,
    pub(super) source: Source,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) wants: Vec<Want>,
}

impl Window {
    /// Without those of the days between two activities.
    pub(super) fn hours(&self) -> BTreeSet<Timestamp> {
        self.wants.iter().flat_map(Want::hours).collect()
    }
}

impl Want {
    pub(super) fn hours(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let to = self.to;
        std::iter::successors(Some(self.from), |hour| hour.checked_add(HOUR).ok())
            .take_while(move |hour| *hour <= to)
    }
}

/// Locations by index, and what is wanted of them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) locations: Vec<Location>,
    pub(super) wants: Vec<Want>,
    /// Activities whose last hour is not over: they are for a later run.
    pub(super) unfinished: usize,
}

/// Finds location, hours and host of each activity.
pub(super) fn plan(activities: &[Activity], configured: Vec<Location>, now: Timestamp) -> Plan {
    let is_configured = configured.len();
    let mut plan = Plan {
        locations: configured,
        ..Plan::default()
    };
    let mut cells = BTreeMap::new();
    for activity in activities {
        let (from, to) = (
            hour_before(activity.started_at),
            hour_after(activity.ended_at),
        );
        if to > now {
            plan.unfinished += 1;
            continue;
        }
        let location = nearest(&plan.locations[..is_configured], activity).unwrap_or_else(|| {
            let cell = cell(activity);
            *cells.entry(cell.id.clone()).or_insert_with(|| {
                plan.locations.push(cell);
                plan.locations.len() - 1
            })
        });
        let hash = hash(&activity.id, &plan.locations[location], from, to);
        let source = source(from, now);
        plan.wants.push(Want {
            location,
            source,
            from,
            to,
            hash,
        });
    }
    plan
}

/// Joins the wants of a location as long as their span weighs no more than one hour would; newest first, one host
/// after the other.
pub(super) fn windows(mut wants: Vec<Want>) -> Vec<Window> {
    wants.sort_by(|one, other| {
        (one.source, one.location, one.from, one.to).cmp(&(
            other.source,
            other.location,
            other.from,
            other.to,
        ))
    });
    let longest = SignedDuration::from_hours(24 * DAYS_PER_WEIGHT);
    let mut windows: Vec<Window> = Vec::new();
    for want in wants {
        match windows.last_mut() {
            Some(last)
                if (last.source, last.location) == (want.source, want.location)
                    && want.to.duration_since(last.from) + HOUR <= longest =>
            {
                last.to = last.to.max(want.to);
                last.wants.push(want);
            }
            _ => windows.push(Window {
                location: want.location,
                source: want.source,
                from: want.from,
                to: want.to,
                wants: vec![want],
            }),
        }
    }
    windows.sort_by(|one, other| one.source.cmp(&other.source).then(other.to.cmp(&one.to)));
    windows
}

/// By the age of the first hour.
fn source(from: Timestamp, now: Timestamp) -> Source {
    let date = |at: Timestamp| Offset::UTC.to_datetime(at).date();
    if date(from) >= date(now) - FORECAST_DAYS.days() {
        Source::Forecast
    } else if date(from) >= HISTORICAL_FORECAST_SINCE {
        Source::HistoricalForecast
    } else {
        Source::Archive
    }
}

/// The last whole hour before it.
fn hour_before(at: Timestamp) -> Timestamp {
    let hours = (at.as_nanosecond() - 1).div_euclid(HOUR.as_nanos());
    Timestamp::from_nanosecond(hours * HOUR.as_nanos()).unwrap_or(Timestamp::MIN)
}

/// The first whole hour after it.
fn hour_after(at: Timestamp) -> Timestamp {
    let hours = at.as_nanosecond().div_euclid(HOUR.as_nanos()) + 1;
    Timestamp::from_nanosecond(hours * HOUR.as_nanos()).unwrap_or(Timestamp::MAX)
}

fn nearest(locations: &[Location], activity: &Activity) -> Option<usize> {
    let distance = |location: &Location| {
        let (latitude, longitude) = (location.latitude.as_f64(), location.longitude.as_f64());
        great_circle_metres(
            (latitude, longitude),
            (activity.latitude, activity.longitude),
        )
    };
    let distances = locations
        .iter()
        .map(distance)
        .enumerate()
        .filter(|(_, metres)| *metres <= NEAR_METRES);
    distances
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(index, _)| index)
}

/// Haversine.
fn great_circle_metres((lat1, lon1): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    let half = |one: f64, other: f64| ((other - one).to_radians() / 2.0).sin().powi(2);
    let a = half(lat1, lat2) + lat1.to_radians().cos() * lat2.to_radians().cos() * half(lon1, lon2);
    2.0 * EARTH_RADIUS_METRES * a.sqrt().min(1.0).asin()
}

/// A location made of the start, rounded to a tenth of a degree; no coordinate in its name.
fn cell(activity: &Activity) -> Location {
    let rounded = |degrees: f64| {
        let text = format!("{degrees:.1}");
        let text = if text == "-0.0" {
            "0.0".to_owned()
        } else {
            text
        };
        Decimal::parse(text).expect("a number with one digit behind the point is one of JSON's")
    };
    let (latitude, longitude) = (rounded(activity.latitude), rounded(activity.longitude));
    let id = format!("grid_{}", hex(&format!("{latitude}|{longitude}"), 10));
    Location {
        id,
        latitude,
        longitude,
    }
}

fn hash(activity_id: &str, location: &Location, from: Timestamp, to: Timestamp) -> String {
    let Location {
        id,
        latitude,
        longitude,
    } = location;
    hex(
        &format!("{activity_id}|{id}|{latitude}|{longitude}|{from}|{to}"),
        32,
    )
}

fn hex(text: &str, digits: usize) -> String {
    let mut hex: String = Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.truncate(digits);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-10-03T12:34:56Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn activity(id: &str, (latitude, longitude): (f64, f64), from: &str, minutes: i64) -> Activity {
        let started_at = at(from);
        let ended_at = started_at + SignedDuration::from_mins(minutes);
        Activity {
            id: id.to_owned(),
            latitude,
            longitude,
            started_at,
            ended_at,
        }
    }

    fn location(id: &str, latitude: &str, longitude: &str) -> Location {
        let number = |text: &str| Decimal::parse(text.to_owned()).unwrap();
        Location {
            id: id.to_owned(),
            latitude: number(latitude),
            longitude: number(longitude),
        }
    }

    #[test]
    fn the_distance_is_that_of_the_facts() {
        let metres = great_circle_metres((52.0, 13.0), (52.1, 13.1));
        assert!((metres - 13_053.9).abs() < 0.1, "{metres}");
    }

    #[test]
    fn an_activity_belongs_to_the_nearest_location_or_to_a_cell_without_a_coordinate_in_its_name() {
        let configured = vec![
            location("far", "52.3", "13.4"),
            location("near", "52.45", "13.4"),
        ];
        let activities = [
            activity("1", (52.5, 13.4), "2026-10-01T10:20:00Z", 60),
            activity("2", (48.137, 11.575), "2026-10-01T10:20:00Z", 60),
            activity("3", (48.123, 11.612), "2026-10-02T10:20:00Z", 60),
        ];
        let plan = plan(&activities, configured, at(NOW));
        let ids: Vec<_> = plan
            .wants
            .iter()
            .map(|want| plan.locations[want.location].id.as_str())
            .collect();
        // printf '48.1|11.6' | sha256sum | cut -c1-10
        assert_eq!(ids, ["near", "grid_4ec8217835", "grid_4ec8217835"]);
        assert_eq!(plan.locations[2].latitude.as_str(), "48.1");
    }

    #[test]
    fn whole_hours_around_the_activity() {
        for (from, minutes, first, last) in [
            (
                "2026-10-01T10:20:00Z",
                70,
                "2026-10-01T10:00:00Z",
                "2026-10-01T12:00:00Z",
            ),
            (
                "2026-10-01T10:00:00Z",
                60,
                "2026-10-01T09:00:00Z",
                "2026-10-01T12:00:00Z",
            ),
        ] {
            let plan = plan(
                &[activity("1", (1.0, 2.0), from, minutes)],
                Vec::new(),
                at(NOW),
            );
            assert_eq!(
                (plan.wants[0].from, plan.wants[0].to),
                (at(first), at(last))
            );
        }
    }

    #[test]
    fn the_host_goes_by_age() {
        for (from, source) in [
            ("2026-10-03T10:00:00Z", Source::Forecast),
            ("2026-07-05T10:00:00Z", Source::Forecast),
            ("2026-07-04T10:00:00Z", Source::HistoricalForecast),
            ("2022-01-01T10:00:00Z", Source::HistoricalForecast),
            ("2021-12-31T10:00:00Z", Source::Archive),
        ] {
            let plan = plan(&[activity("1", (1.0, 2.0), from, 30)], Vec::new(), at(NOW));
            assert_eq!(plan.wants[0].source, source, "{from}");
        }
    }

    #[test]
    fn an_activity_whose_last_hour_is_not_over_waits() {
        let plan = plan(
            &[activity("1", (1.0, 2.0), "2026-10-03T12:00:00Z", 30)],
            Vec::new(),
            at(NOW),
        );
        assert_eq!((plan.wants.len(), plan.unfinished), (0, 1));
    }

    #[test]
    fn two_weeks_of_activities_at_a_place_are_one_window_of_their_hours_alone() {
        let day = |day: u32| {
            activity(
                &day.to_string(),
                (1.0, 2.0),
                &format!("2026-09-{day:02}T10:20:00Z"),
                30,
            )
        };
        let activities: Vec<_> = (1..=20).map(day).collect();
        let plan = plan(&activities, Vec::new(), at(NOW));
        let windows = windows(plan.wants);
        assert_eq!(windows.len(), 2);
        assert_eq!(windows[1].wants.len(), 14);
        assert_eq!(windows[1].hours().len(), 14 * 2);
        assert!(windows[0].from > windows[1].to, "newest first");
        for window in &windows {
            assert_eq!(
                crate::budget::weight(window.to.duration_since(window.from)),
                1.0
            );
        }
    }
}
