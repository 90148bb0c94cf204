//! The weather message: what `weather-producer` writes to the topic and `weather-consumer` reads from it.
//!
//! The key is the location id, the value a JSON object. Numbers keep the digits that the service sent.
//! The same reading always has the same [`event_id`]; a later `fetched_at` under it is a revision.

mod decimal;
mod decode;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{
    Serialize,
    ser::{SerializeMap as _, Serializer},
};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

pub use decimal::Decimal;
pub use decode::{Defect, Reason, decode};

/// The version that this code writes, and the highest that it reads.
pub const VERSION: u64 = 1;

/// Header with [`Message::content_hash`].
pub const CONTENT_HASH_HEADER: &str = "content_hash";

/// Names of the ten values, in the order of [`Message::values`].
pub const VALUES: [&str; 10] = [
    "temperature_celsius",
    "relative_humidity_percent",
    "dew_point_celsius",
    "apparent_temperature_celsius",
    "precipitation_millimetres",
    "weather_code",
    "cloud_cover_percent",
    "wind_speed_metres_per_second",
    "wind_direction_degrees",
    "wind_gusts_metres_per_second",
];

/// One reading of one location in one slot, from one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    pub event_id: Cow<'a, str>,
    pub location_id: Cow<'a, str>,
    /// As configured, not the grid cell's.
    pub latitude: Decimal<'a>,
    pub longitude: Decimal<'a>,
    pub elevation_metres: Option<Decimal<'a>>,
    /// Start of the slot.
    pub slot: Timestamp,
    /// 900 or 3600.
    pub slot_seconds: u32,
    pub source: Source,
    pub model: Cow<'a, str>,
    pub fetched_at: Timestamp,
    /// As served, `None` where the service has none; named by [`VALUES`].
    pub values: [Option<Decimal<'a>>; VALUES.len()],
    /// Fields that this version does not know, as they were read; a writer leaves it empty.
    pub extra: Extra<'a>,
}

/// Fields of a message that this version does not know, in their order.
#[derive(Debug, Clone, Default)]
pub struct Extra<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl PartialEq for Extra<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && std::iter::zip(&self.0, &other.0)
                .all(|((a, x), (b, y))| a == b && x.get() == y.get())
    }
}

impl Message<'_> {
    /// The value of the Kafka record.
    pub fn encode(&self) -> Vec<u8> {
        self.json(true)
    }

    /// First 32 hex of SHA-256 over the value without `fetched_at`: equal for readings that say the same.
    pub fn content_hash(&self) -> String {
        first_32_hex(Sha256::digest(self.json(false)).as_slice())
    }

    fn json(&self, with_fetched_at: bool) -> Vec<u8> {
        let fields = Fields {
            message: self,
            with_fetched_at,
        };
        serde_json::to_vec(&fields).expect("texts and numbers are always JSON")
    }
}

/// The hash that names a reading: first 32 hex of SHA-256 over `location_id|slot|slot_seconds|source`.
pub fn event_id(location_id: &str, slot: Timestamp, slot_seconds: u32, source: Source) -> String {
    let text = format!("{location_id}|{slot}|{slot_seconds}|{source}");
    first_32_hex(Sha256::digest(text.as_bytes()).as_slice())
}

fn first_32_hex(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(32);
    for byte in digest.iter().take(16) {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    hex
}

/// Which of the service's interfaces a reading comes from; dbt prefers the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    Forecast,
    HistoricalForecast,
    Archive,
}

impl Source {
    pub const ALL: [Self; 3] = [Self::Forecast, Self::HistoricalForecast, Self::Archive];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forecast => "forecast",
            Self::HistoricalForecast => "historical_forecast",
            Self::Archive => "archive",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|source| source.as_str() == text);
        known.ok_or_else(|| format!("no such source: {text}"))
    }
}

struct Fields<'m, 'a> {
    message: &'m Message<'a>,
    with_fetched_at: bool,
}

impl Serialize for Fields<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.message;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("event_id", &message.event_id)?;
        map.serialize_entry("location_id", &message.location_id)?;
        map.serialize_entry("latitude", &message.latitude)?;
        map.serialize_entry("longitude", &message.longitude)?;
        map.serialize_entry("elevation_metres", &message.elevation_metres)?;
        map.serialize_entry("slot", &format_args!("{}", message.slot))?;
        map.serialize_entry("slot_seconds", &message.slot_seconds)?;
        map.serialize_entry("source", message.source.as_str())?;
        map.serialize_entry("model", &message.model)?;
        if self.with_fetched_at {
            map.serialize_entry("fetched_at", &format_args!("{:.3}", message.fetched_at))?;
        }
        for (name, value) in std::iter::zip(VALUES, &message.values) {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in &message.extra.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
