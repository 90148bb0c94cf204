//! The whole of a reading, from whichever side it is read: topic, collection or file.

use arrow_array::{
    Array as _, Float64Array, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use common::weather::{Decimal, Message, VALUES};
use mongodb::bson::{Bson, Document};
use sha2::{Digest as _, Sha256};

/// What every side must agree on; times in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) event_id: String,
    pub(crate) location_id: String,
    pub(crate) source: String,
    pub(crate) model: String,
    pub(crate) slot: i64,
    pub(crate) slot_seconds: i64,
    pub(crate) fetched_at: i64,
    /// Latitude, longitude, elevation.
    pub(crate) position: [Option<f64>; 3],
    pub(crate) values: [Option<f64>; VALUES.len()],
}

const POSITION: [&str; 3] = ["latitude", "longitude", "elevation_metres"];

impl Content {
    pub(crate) fn of_message(message: &Message<'_>) -> Self {
        let number = |decimal: &Option<Decimal<'_>>| decimal.as_ref().map(Decimal::as_f64);
        Self {
            event_id: message.event_id.to_string(),
            location_id: message.location_id.to_string(),
            source: message.source.as_str().to_owned(),
            model: message.model.to_string(),
            slot: message.slot.as_millisecond(),
            slot_seconds: i64::from(message.slot_seconds),
            fetched_at: message.fetched_at.as_millisecond(),
            position: [
                Some(message.latitude.as_f64()),
                Some(message.longitude.as_f64()),
                number(&message.elevation_metres),
            ],
            values: std::array::from_fn(|index| number(&message.values[index])),
        }
    }

    pub(crate) fn of_document(document: &Document) -> Self {
        let text = |name| document.get_str(name).unwrap().to_owned();
        let time = |name| document.get_datetime(name).unwrap().timestamp_millis();
        let number = |name: &str| match document.get(name).unwrap() {
            Bson::Null => None,
            Bson::Int32(number) => Some(f64::from(*number)),
            Bson::Int64(number) => Some(*number as f64),
            other => Some(other.as_f64().unwrap()),
        };
        Self {
            event_id: text("_id"),
            location_id: text("location_id"),
            source: text("source"),
            model: text("model"),
            slot: time("slot"),
            slot_seconds: number("slot_seconds").unwrap() as i64,
            fetched_at: time("fetched_at"),
            position: POSITION.map(number),
            values: VALUES.map(number),
        }
    }

    pub(crate) fn of_row(batch: &RecordBatch, row: usize) -> Self {
        let column = |name: &str| batch.column_by_name(name).unwrap().as_any();
        let text = |name| {
            let texts = column(name).downcast_ref::<StringArray>().unwrap();
            texts.value(row).to_owned()
        };
        let time = |name| {
            let times = column(name).downcast_ref::<TimestampMillisecondArray>();
            times.unwrap().value(row)
        };
        let number = |name: &str| {
            if let Some(whole) = column(name).downcast_ref::<Int32Array>() {
                return whole.is_valid(row).then(|| f64::from(whole.value(row)));
            }
            let doubles = column(name).downcast_ref::<Float64Array>().unwrap();
            doubles.is_valid(row).then(|| doubles.value(row))
        };
        Self {
            event_id: text("event_id"),
            location_id: text("location_id"),
            source: text("source"),
            model: text("model"),
            slot: time("slot"),
            slot_seconds: number("slot_seconds").unwrap() as i64,
            fetched_at: time("fetched_at"),
            position: POSITION.map(number),
            values: VALUES.map(number),
        }
    }

    pub(crate) fn temperature(&self) -> Option<f64> {
        self.values[0]
    }
}

/// SHA-256 over contents, in their order.
pub(crate) fn checksum<'c>(contents: impl Iterator<Item = &'c Content>) -> String {
    let mut hash = Sha256::new();
    contents.for_each(|content| hash.update(format!("{content:?}\n")));
    let digest = hash.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
