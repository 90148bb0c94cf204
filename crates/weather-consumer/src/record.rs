//! A record as it lay on the topic, and the claim under which it was read.

use rdkafka::message::{
    BorrowedHeaders, BorrowedMessage, Headers as _, Message as _, OwnedHeaders,
};

/// A partition as long as it is assigned to us without a break: what was read under an older claim
/// on the same partition says nothing about this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    pub partition: i32,
    /// Counts the assignments of this process.
    pub number: u64,
}

/// Where and when a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970, where the record has a time.
    pub timestamp: Option<i64>,
}

impl Place {
    pub fn of(message: &BorrowedMessage<'_>) -> Self {
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
        }
    }
}

/// A record with nothing changed, so that it can go to the dead-letter topic as it came.
#[derive(Clone, Debug)]
pub struct Record {
    pub place: Place,
    pub key: Option<Box<[u8]>>,
    pub value: Option<Box<[u8]>>,
    pub headers: Option<OwnedHeaders>,
}

impl Record {
    pub fn copy(message: &BorrowedMessage<'_>) -> Self {
        Self {
            place: Place::of(message),
            key: message.key().map(Into::into),
            value: message.payload().map(Into::into),
            headers: message
                .headers()
                .filter(|headers| headers.count() > 0)
                .map(BorrowedHeaders::detach),
        }
    }

    /// What it holds in memory, roughly.
    pub fn bytes(&self) -> usize {
        let length = |part: &Option<Box<[u8]>>| part.as_ref().map_or(0, |bytes| bytes.len());
        size_of::<Self>() + length(&self.key) + length(&self.value)
    }
}
