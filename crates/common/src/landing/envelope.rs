//! The envelope: one landed record, one line.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Origin, Stream, hash, version_hash};

/// One landed record with what is known about it. Reading borrows from the line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope<'a> {
    /// What kind of record.
    pub stream: Stream,
    /// The record's id; its parent's where the far side gives it none.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Whose record.
    #[serde(borrow)]
    pub athlete_id: Cow<'a, str>,
    /// When the far side said so: the response's time, or the newest time stamp in an export.
    pub fetched_at: Timestamp,
    /// Which way it came.
    pub origin: Origin,
    /// Hash of the payload in canonical form, 32 hex digits.
    #[serde(borrow)]
    pub hash: Cow<'a, str>,
    /// The same without counters.
    #[serde(borrow)]
    pub version_hash: Cow<'a, str>,
    /// Whether this is a tombstone: `payload` is null then.
    pub deleted: bool,
    /// The JSON as received, every digit kept.
    #[serde(borrow)]
    pub payload: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// The envelope of a record as received; its hashes are computed here.
    pub fn new(
        stream: Stream,
        id: impl Into<Cow<'a, str>>,
        athlete_id: impl Into<Cow<'a, str>>,
        fetched_at: Timestamp,
        origin: Origin,
        payload: &'a RawValue,
    ) -> Self {
        Self {
            stream,
            id: id.into(),
            athlete_id: athlete_id.into(),
            fetched_at,
            origin,
            hash: hash(payload).into(),
            version_hash: version_hash(payload).into(),
            deleted: false,
            payload,
        }
    }

    /// The tombstone of a record that is gone from the far side.
    pub fn tombstone(
        stream: Stream,
        id: impl Into<Cow<'a, str>>,
        athlete_id: impl Into<Cow<'a, str>>,
        fetched_at: Timestamp,
        origin: Origin,
    ) -> Self {
        Self {
            deleted: true,
            ..Self::new(stream, id, athlete_id, fetched_at, origin, RawValue::NULL)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_was_with_every_digit() {
        let payload =
            RawValue::from_string(r#"{"id": 9007199254740993, "distance": 12.0}"#.to_owned())
                .unwrap();
        let at = "2026-11-24T17:00:00Z".parse().unwrap();
        let line = serde_json::to_string(&Envelope::new(
            Stream::Activities,
            "1",
            "42",
            at,
            Origin::Api,
            &payload,
        ))
        .unwrap();
        assert_eq!(
            line,
            format!(
                r#"{{"stream":"activities","id":"1","athlete_id":"42","fetched_at":"2026-11-24T17:00:00Z","origin":"api","hash":"{}","version_hash":"{}","deleted":false,"payload":{}}}"#,
                hash(&payload),
                version_hash(&payload),
                payload
            )
        );
        let read: Envelope<'_> = serde_json::from_str(&line).unwrap();
        assert_eq!(read.payload.get(), payload.get());
        assert!(matches!(read.id, Cow::Borrowed("1")));
    }

    #[test]
    fn a_tombstone_has_a_null_for_a_payload() {
        let at = Timestamp::UNIX_EPOCH;
        let grave = serde_json::to_value(Envelope::tombstone(
            Stream::Gear,
            "b1",
            "42",
            at,
            Origin::Api,
        ))
        .unwrap();
        assert_eq!(
            (&grave["deleted"], &grave["payload"]),
            (&true.into(), &serde_json::Value::Null)
        );
    }
}
