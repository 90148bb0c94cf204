//! Readings by their number, and how they lie on the topic.

use common::weather::{self, Decimal, Message, Source};
use jiff::{SignedDuration, Timestamp};

/// The reading with this number, in one of its revisions: fifty places, one slot after the other.
pub(crate) fn reading(number: u64, revision: i64) -> Message<'static> {
    let location_id = format!("place-{}", number % 50);
    let start: Timestamp = "2026-10-03T12:30:00Z".parse().unwrap();
    let slot = start + SignedDuration::from_secs(i64::try_from(number / 50).unwrap() * 900);
    let decimal = |text: String| Decimal::parse(text).unwrap();
    let mut values = [const { None }; weather::VALUES.len()];
    values[0] = Some(decimal(format!("{}.{}", number % 40, revision)));
    values[1] = Some(decimal("66".to_owned()));
    values[5] = Some(decimal("2".to_owned()));
    Message {
        event_id: weather::event_id(&location_id, slot, 900, Source::Forecast).into(),
        location_id: location_id.into(),
        latitude: decimal("52.520".to_owned()),
        longitude: decimal("13.419998".to_owned()),
        elevation_metres: Some(decimal("38.0".to_owned())),
        slot,
        slot_seconds: 900,
        source: Source::Forecast,
        model: "best_match".into(),
        fetched_at: slot + SignedDuration::from_millis(4120 + revision),
        values,
        extra: weather::Extra::default(),
    }
}

pub(crate) fn record(reading: &Message<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    (
        Some(reading.location_id.as_bytes().to_vec()),
        Some(reading.encode()),
    )
}
