//! What is asked for, read as the service reads it, or the reason of its 400.

use std::collections::HashMap;

use jiff::{Timestamp, tz::Offset};

use super::simulator::Host;
use super::variable::{Units, Variable, WindUnit};
use super::windows::windows;

/// The most places in one call of a free caller.
const MAX_PLACES: usize = 1_000;
/// A heavier call is refused.
const MAX_WEIGHT: f64 = 5_000.0;
/// The length of the window that weighs 1 with ten variables.
const DAYS_PER_WEIGHT: f64 = 14.0;

/// Parameters by name, from the address or from a body.
pub(super) type Parameters = HashMap<String, String>;

#[derive(Debug)]
pub(super) struct Query {
    pub(super) places: Vec<Place>,
    pub(super) current: Vec<Variable>,
    pub(super) minutely_15: Vec<Variable>,
    pub(super) hourly: Vec<Variable>,
    pub(super) units: Units,
    pub(super) unix_time: bool,
    /// In calls: what the windows of minute, hour and day count.
    pub(super) weight: f64,
}

/// One coordinate and one window: one element of the answer.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// Zero is not printed.
    pub(super) location_id: u64,
    pub(super) zone: Zone,
    /// From and up to (exclusive).
    pub(super) window: (Timestamp, Timestamp),
}

/// Fixed offset of a place; zones by name are beyond this simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zone {
    pub(super) offset: Offset,
    pub(super) is_gmt: bool,
}

impl Query {
    pub(super) fn read(
        parameters: &Parameters,
        host: Host,
        now: Timestamp,
    ) -> Result<Self, String> {
        let text = |name: &str| parameters.get(name).map_or("", String::as_str).trim();
        let list = |name: &str| {
            text(name)
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .collect::<Vec<_>>()
        };

        let current = variables(&list("current"))?;
        let minutely_15 = variables(&list("minutely_15"))?;
        let hourly = variables(&list("hourly"))?;
        if !list("daily").is_empty() {
            return Err("This simulator has no daily values".to_owned());
        }
        if host == Host::Archive && !(current.is_empty() && minutely_15.is_empty()) {
            return Err(
                "Parameter 'current' and 'minutely_15' are not available for this API".to_owned(),
            );
        }
        let units = Units {
            fahrenheit: choice(
                "temperature_unit",
                text("temperature_unit"),
                &["celsius", "fahrenheit"],
            )? == 1,
            inches: choice(
                "precipitation_unit",
                text("precipitation_unit"),
                &["mm", "inch"],
            )? == 1,
            wind: match text("wind_speed_unit") {
                "" => WindUnit::default(),
                name => WindUnit::named(name).ok_or_else(|| invalid("WindspeedUnit", name))?,
            },
        };
        let unix_time = choice("timeformat", text("timeformat"), &["iso8601", "unixtime"])? == 1;

        let places = places(parameters, host, now)?;
        let columns = current.len() + minutely_15.len() + hourly.len();
        let weight = places
            .iter()
            .map(|place| weight(columns, place.window))
            .sum();
        if weight > MAX_WEIGHT {
            return Err(format!(
                "Request weight {weight:.0} is too large. Please request fewer locations or days."
            ));
        }
        Ok(Self {
            places,
            current,
            minutely_15,
            hourly,
            units,
            unix_time,
            weight,
        })
    }
}

/// `max(1, max(v/10, v/10 · days/14))`, the days a whole number.
fn weight(columns: usize, (from, to): (Timestamp, Timestamp)) -> f64 {
    let by_columns = columns as f64 / 10.0;
    let days = (to.duration_since(from).as_secs() / 86_400) as f64;
    by_columns.max(by_columns * days / DAYS_PER_WEIGHT).max(1.0)
}

fn variables(names: &[&str]) -> Result<Vec<Variable>, String> {
    let found = names
        .iter()
        .map(|name| Variable::named(name).ok_or_else(|| invalid("ForecastVariable", name)));
    found.collect()
}

pub(super) fn invalid(what: &str, value: &str) -> String {
    format!(
        "Data corrupted at path ''. Cannot initialize {what} from invalid String value {value}."
    )
}

fn choice(what: &str, value: &str, known: &[&str]) -> Result<usize, String> {
    let place = known.iter().position(|name| *name == value);
    place
        .or(value.is_empty().then_some(0))
        .ok_or_else(|| invalid(what, value))
}

fn places(parameters: &Parameters, host: Host, now: Timestamp) -> Result<Vec<Place>, String> {
    let list = |name: &str| {
        parameters
            .get(name)
            .map(|text| text.split(',').map(str::trim).collect::<Vec<_>>())
    };
    let latitudes = numbers(list("latitude").unwrap_or_default())?;
    let longitudes = numbers(list("longitude").unwrap_or_default())?;
    let count = latitudes.len();
    if count == 0 || count != longitudes.len() {
        return Err(
            "Parameter 'latitude' and 'longitude' must have the same number of elements".to_owned(),
        );
    }
    if count > MAX_PLACES {
        return Err(format!(
            "Only up to {MAX_PLACES} locations can be requested at once"
        ));
    }
    let ids = match list("location_id") {
        None => (0..count as u64).collect(),
        Some(ids) => {
            let ids: Result<Vec<u64>, _> = ids.into_iter().map(str::parse).collect();
            ids.map_err(|_| "Parameter 'location_id' must be integers".to_owned())?
        }
    };
    let zones = list("timezone").unwrap_or_else(|| vec!["GMT"]);
    if ids.len() != count || !(zones.len() == 1 || zones.len() == count) {
        return Err(
            "Parameter 'timezone' and coordinates must have the same number of elements".to_owned(),
        );
    }

    let mut places = Vec::with_capacity(count);
    for (index, (&latitude, &longitude)) in latitudes.iter().zip(&longitudes).enumerate() {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(format!(
                "Latitude must be in range of -90 to 90°. Given: {latitude:?}."
            ));
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(format!(
                "Longitude must be in range of -180 to 180°. Given: {longitude:?}."
            ));
        }
        let zone = zone(zones[if zones.len() == 1 { 0 } else { index }], longitude)?;
        let window = (now, now);
        places.push(Place {
            latitude,
            longitude,
            location_id: ids[index],
            zone,
            window,
        });
    }

    let windows = windows(parameters, host, now, places[0].zone.offset)?;
    match (windows.len(), places.len()) {
        (1, _) => places
            .iter_mut()
            .for_each(|place| place.window = windows[0]),
        (n, m) if n == m => places
            .iter_mut()
            .zip(&windows)
            .for_each(|(place, window)| place.window = *window),
        (_, 1) => {
            let place = places.remove(0);
            let element = |(index, &window)| Place {
                window,
                location_id: index as u64,
                ..place.clone()
            };
            places = windows.iter().enumerate().map(element).collect();
        }
        _ => {
            return Err(
                "Parameter 'start_date' and coordinates must have the same number of elements"
                    .to_owned(),
            );
        }
    }
    Ok(places)
}

fn numbers(list: Vec<&str>) -> Result<Vec<f64>, String> {
    let read = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    let numbers = list
        .into_iter()
        .map(|text| read(text).ok_or_else(|| invalid("Float", text)));
    numbers.collect()
}

fn zone(name: &str, longitude: f64) -> Result<Zone, String> {
    match name {
        "GMT" | "UTC" | "Etc/UTC" | "" => Ok(Zone {
            offset: Offset::UTC,
            is_gmt: true,
        }),
        "auto" => {
            let hours = (longitude / 15.0).round() as i8;
            Ok(Zone {
                offset: Offset::constant(hours.clamp(-12, 12)),
                is_gmt: false,
            })
        }
        _ => Err("Invalid timezone".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: Host, query: &str) -> Result<Query, String> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let parameters = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Query::read(&parameters, host, "2026-10-03T12:34:56Z".parse().unwrap())
    }

    #[test]
    fn every_coordinate_has_its_own_window_or_all_share_one() {
        let hours = "start_hour=2026-10-01T10:00,2026-10-02T08:00&end_hour=2026-10-01T12:00,2026-10-02T08:00";
        let query = read(
            Host::Forecast,
            &format!("latitude=1,2&longitude=3,4&hourly=rain&{hours}"),
        )
        .unwrap();
        assert_eq!(query.places[0].window.1.to_string(), "2026-10-01T13:00:00Z");
        assert_eq!(query.places[1].window.0.to_string(), "2026-10-02T08:00:00Z");
        let query = read(
            Host::Forecast,
            &format!("latitude=1&longitude=3&hourly=rain&{hours}"),
        )
        .unwrap();
        assert_eq!(query.places.len(), 2);
        assert!(
            read(
                Host::Forecast,
                &format!("latitude=1,2,3&longitude=3,4,5&{hours}")
            )
            .is_err()
        );
    }

    #[test]
    fn ten_variables_of_two_weeks_weigh_one_and_more_weighs_in_proportion() {
        let ten = "temperature_2m,relative_humidity_2m,dew_point_2m,apparent_temperature,precipitation,\
                   weather_code,cloud_cover,wind_speed_10m,wind_direction_10m,wind_gusts_10m";
        let of = |query: &str| {
            read(
                Host::Archive,
                &format!("latitude=1,2&longitude=3,4&{query}"),
            )
            .unwrap()
            .weight
        };
        assert_eq!(
            of(&format!(
                "hourly={ten}&start_date=2020-01-01&end_date=2020-01-14"
            )),
            2.0
        );
        assert_eq!(
            of(&format!(
                "hourly={ten}&start_date=2020-01-01&end_date=2020-01-28"
            )),
            4.0
        );
        assert_eq!(
            of("hourly=rain&start_date=2020-01-01&end_date=2020-01-28"),
            2.0
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_a_reason() {
        for (host, query, reason) in [
            (
                Host::Forecast,
                "latitude=1,2&longitude=3",
                "same number of elements",
            ),
            (
                Host::Forecast,
                "latitude=91&longitude=3",
                "Latitude must be in range",
            ),
            (
                Host::Forecast,
                "latitude=1&longitude=x",
                "invalid String value x",
            ),
            (
                Host::Forecast,
                "latitude=1&longitude=3&current=temprature",
                "invalid String value temprature",
            ),
            (
                Host::Forecast,
                "latitude=1&longitude=3&start_date=2026-01-01&end_date=2026-01-02",
                "out of allowed range",
            ),
            (
                Host::Forecast,
                "latitude=1&longitude=3&start_date=2026-10-01",
                "must be set",
            ),
            (Host::Archive, "latitude=1&longitude=3", "must be set"),
            (
                Host::Archive,
                "latitude=1&longitude=3&current=rain",
                "not available",
            ),
        ] {
            let refused = read(host, query).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
