//! What a run did, as the closing line tells it.

use std::collections::BTreeMap;

use common::{
    landing::Stream,
    task::{Closing, is_refused},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The counts of one stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub listed: u64,
    pub new: u64,
    /// Edited, or with other counters.
    pub changed: u64,
    pub unchanged: u64,
    pub deleted: u64,
    /// Rows landed.
    pub written: u64,
    pub absent: u64,
    pub quarantined: u64,
    pub pending: u64,
}

/// How a run ended, and what it did.
#[derive(Debug, Default)]
pub struct Report {
    pub streams: BTreeMap<Stream, Counts>,
    /// A limit ended it: `complete` is false.
    pub cut_short: bool,
    pub resume_at: Option<Timestamp>,
    pub requests: u64,
    pub quota: Option<Value>,
    /// Whether what was landed, or that there was nothing to land, is of use in spite of a failure.
    pub usable: bool,
    pub failure: Option<anyhow::Error>,
}

impl Report {
    /// The counts of that stream.
    pub fn of(&mut self, stream: Stream) -> &mut Counts {
        self.streams.entry(stream).or_default()
    }

    /// The closing line; an error where nothing usable was made.
    pub fn close(self) -> anyhow::Result<Closing> {
        let written: u64 = self.streams.values().map(|counts| counts.written).sum();
        let pending: u64 = self.streams.values().map(|counts| counts.pending).sum();
        let mut counts = Map::new();
        counts.insert("streams".into(), json!(self.streams));
        if let Some(quota) = self.quota {
            counts.insert("requests".into(), json!(self.requests));
            counts.insert("quota".into(), quota);
        }
        match self.failure {
            Some(failure) if written == 0 && !self.usable && !is_refused(&failure) => Err(failure),
            failure => Ok(Closing {
                complete: failure.is_none() && !self.cut_short && pending == 0,
                resume_at: self.resume_at,
                counts,
                failure,
            }),
        }
    }
}
