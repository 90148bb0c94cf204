//! The JSON of an answer, field for field in the service's order, with its quirks.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::model::{self, Weather};
use super::query::{Place, Query};
use super::simulator::Host;
use super::variable::{Units, Variable};

/// What the service knows at the moment of the answer.
#[derive(Debug)]
pub(super) struct Sky<'a> {
    pub(super) now: Timestamp,
    pub(super) host: Host,
    pub(super) revision: u32,
    /// Variables that no model has at the moment.
    pub(super) lacking: &'a [String],
}

impl Sky<'_> {
    /// An object for one place, an array for more.
    pub(super) fn json(&self, query: &Query) -> String {
        let elements: Vec<String> = query
            .places
            .iter()
            .map(|place| self.element(place, query))
            .collect();
        match elements.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(",")),
        }
    }

    /// Whether all that is asked for lies where there is no data: an error alone, and nulls in company.
    pub(super) fn is_beyond_the_grid(query: &Query) -> bool {
        matches!(query.places.as_slice(), [place] if !model::is_covered(place.latitude))
    }

    fn element(&self, place: &Place, query: &Query) -> String {
        let (latitude, longitude) = (
            self.cell(place.latitude, -90.0),
            self.cell(place.longitude, -180.0),
        );
        let (zone, short) = match (place.zone.is_gmt, place.zone.offset.seconds() / 3_600) {
            (true, _) => ("GMT".to_owned(), "GMT".to_owned()),
            (false, hours) => (format!("Etc/GMT{:+}", -hours), format!("GMT{hours:+}")),
        };
        let offset = place.zone.offset.seconds();
        // Never the same twice, like the real one.
        let generation = fastrand::f64() * 0.2;
        let mut json = format!(
            r#"{{"latitude":{latitude},"longitude":{longitude},"generationtime_ms":{generation},"utc_offset_seconds":{offset},"timezone":"{zone}","timezone_abbreviation":"{short}""#
        );
        if let Some(metres) = model::elevation(latitude, longitude) {
            json += &format!(r#","elevation":{metres:.1}"#);
        }
        if place.location_id != 0 {
            json += &format!(r#","location_id":{}"#, place.location_id);
        }
        let slot = if self.host == Host::Archive {
            3_600
        } else {
            900
        };
        if !query.current.is_empty() {
            json += &self.current(place, query, slot);
        }
        for (name, columns, step) in [
            ("minutely_15", &query.minutely_15, 900),
            ("hourly", &query.hourly, 3_600),
        ] {
            if !columns.is_empty() {
                json += &self.section(place, query, name, columns, step);
            }
        }
        json + "}"
    }

    fn current(&self, place: &Place, query: &Query, slot: i64) -> String {
        let at = floor(self.now, slot);
        let units = self.units(place, &query.current, &query.units);
        let time_unit = if query.unix_time {
            "unixtime"
        } else {
            "iso8601"
        };
        let mut json = format!(
            r#","current_units":{{"time":"{time_unit}","interval":"seconds"{units}}},"current":{{"time":{},"interval":{slot}"#,
            time(at, place, query.unix_time)
        );
        let weather = self.weather(place, at);
        for column in &query.current {
            let value = self.value(*column, place, &weather, &query.units);
            _ = write!(json, r#","{}":{value}"#, column.name());
        }
        json + "}"
    }

    fn section(
        &self,
        place: &Place,
        query: &Query,
        name: &str,
        columns: &[Variable],
        step: i64,
    ) -> String {
        let (from, to) = (
            floor(place.window.0, step).as_second(),
            place.window.1.as_second(),
        );
        let instants = || {
            (from..to)
                .step_by(step as usize)
                .filter_map(|second| Timestamp::from_second(second).ok())
        };
        let units = self.units(place, columns, &query.units);
        let time_unit = if query.unix_time {
            "unixtime"
        } else {
            "iso8601"
        };
        let times: Vec<_> = instants()
            .map(|at| time(at, place, query.unix_time))
            .collect();
        let mut json = format!(
            r#","{name}_units":{{"time":"{time_unit}"{units}}},"{name}":{{"time":[{}]"#,
            times.join(",")
        );
        let weather: Vec<_> = instants().map(|at| self.weather(place, at)).collect();
        for column in columns {
            let values: Vec<_> = weather
                .iter()
                .map(|weather| self.value(*column, place, weather, &query.units))
                .collect();
            _ = write!(json, r#","{}":[{}]"#, column.name(), values.join(","));
        }
        json + "}"
    }

    fn weather(&self, place: &Place, at: Timestamp) -> Weather {
        Weather::of(place.latitude, place.longitude, at, self.revision)
    }

    fn has(&self, column: Variable, place: &Place) -> bool {
        model::is_covered(place.latitude) && !self.lacking.iter().any(|name| name == column.name())
    }

    fn value(&self, column: Variable, place: &Place, weather: &Weather, units: &Units) -> String {
        let value = self
            .has(column, place)
            .then(|| column.value(weather, units))
            .flatten();
        value.unwrap_or_else(|| "null".to_owned())
    }

    fn units(&self, place: &Place, columns: &[Variable], units: &Units) -> String {
        let unit = |column: &Variable| {
            if self.has(*column, place) {
                column.unit(units)
            } else {
                "undefined"
            }
        };
        columns
            .iter()
            .map(|column| format!(r#","{}":"{}""#, column.name(), unit(column)))
            .collect()
    }

    /// The middle of the grid's cell, in the single precision that the service computes in.
    fn cell(&self, coordinate: f64, edge: f32) -> f32 {
        let step: f32 = if self.host == Host::Archive {
            0.1
        } else {
            0.0625
        };
        let index = ((coordinate as f32 - edge) / step).round();
        edge + step * index
    }
}

/// The slot that runs at `at`.
fn floor(at: Timestamp, step: i64) -> Timestamp {
    let second = at.as_second().div_euclid(step) * step;
    Timestamp::from_second(second).expect("a slot begins within the range of its own time")
}

/// Without seconds and offset: local to the place.
fn time(at: Timestamp, place: &Place, unix: bool) -> String {
    if unix {
        return at.as_second().to_string();
    }
    let local = place.zone.offset.to_datetime(at);
    format!("\"{}\"", local.strftime("%Y-%m-%dT%H:%M"))
}
