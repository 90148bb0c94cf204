//! The headers that say where a dead letter is from and why it is one: always the last ones.

use rdkafka::message::{BorrowedHeaders, Header, Headers as _, OwnedHeaders};

use super::Letter;

/// What we add, in this order.
pub(super) const NAMES: [&str; 8] = [
    "error.reason",
    "error.detail",
    "error.sink",
    "error.group",
    "source.topic",
    "source.partition",
    "source.offset",
    "source.timestamp",
];

/// Bytes of a detail that are kept, so that the headers fit into what the dead-letter topic allows
/// beyond the source's limit.
const DETAIL_BYTES: usize = 1024;

/// The record's own headers, and ours behind them.
pub(super) fn with_provenance(letter: &Letter<'_>, topic: &str, group: &str) -> OwnedHeaders {
    let place = letter.record.place;
    let detail = &letter.detail[..letter.detail.floor_char_boundary(DETAIL_BYTES)];
    let values = [
        letter.reason.as_str().to_owned(),
        detail.to_owned(),
        letter.sink.to_owned(),
        group.to_owned(),
        topic.to_owned(),
        place.partition.to_string(),
        place.offset.to_string(),
        place
            .timestamp
            .map_or(String::new(), |millis| millis.to_string()),
    ];
    let own = letter.record.headers.clone().unwrap_or_default();
    NAMES
        .into_iter()
        .zip(&values)
        .fold(own, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        })
}

/// The value of one of our headers.
pub(super) fn value<'h>(headers: &'h BorrowedHeaders, name: &str) -> Option<&'h str> {
    let ours = headers.count().checked_sub(NAMES.len())?;
    let index = NAMES.iter().position(|known| *known == name)?;
    let header = headers
        .try_get(ours + index)
        .filter(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}

/// The headers that the record had before it came here.
pub(super) fn without_provenance(headers: &BorrowedHeaders) -> OwnedHeaders {
    let own = headers.count().saturating_sub(NAMES.len());
    headers
        .iter()
        .take(own)
        .fold(OwnedHeaders::new(), |headers, Header { key, value }| {
            headers.insert(Header { key, value })
        })
}
