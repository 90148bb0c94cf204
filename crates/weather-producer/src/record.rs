//! A reading as the message that goes to Kafka.

use std::borrow::Cow;

use common::weather::{Extra, Message, Source, event_id};
use jiff::Timestamp;

use crate::locations::Location;
use crate::open_meteo::{Element, Reading};
use crate::topic::Record;

/// The record of one reading at one location.
pub fn record(
    location: &Location,
    element: &Element,
    reading: &Reading,
    source: Source,
    fetched_at: Timestamp,
) -> Record {
    let message = Message {
        event_id: Cow::Owned(event_id(
            &location.id,
            reading.slot,
            element.slot_seconds,
            source,
        )),
        location_id: Cow::Borrowed(&location.id),
        latitude: location.latitude.clone(),
        longitude: location.longitude.clone(),
        elevation_metres: element.elevation.clone(),
        slot: reading.slot,
        slot_seconds: element.slot_seconds,
        source,
        model: Cow::Borrowed(element.model),
        fetched_at,
        values: reading.values.clone(),
        extra: Extra::default(),
    };
    Record {
        key: location.id.clone(),
        value: message.encode(),
        content_hash: message.content_hash(),
    }
}
