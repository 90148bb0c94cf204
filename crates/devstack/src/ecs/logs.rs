//! What the tasks wrote, by log group and stream, for as long as an hour after the last line.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;

/// CloudWatch's own limit of one event; longer lines are several events.
pub(super) const LARGEST_EVENT: usize = 262_118;
/// A stream that has been silent for so long is forgotten when the next one is made.
const KEPT: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone)]
pub(super) struct Event {
    /// Milliseconds, as all times of this service.
    pub(super) timestamp: i64,
    pub(super) message: String,
}

/// The events of one stream, in the order of their arrival.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) created: i64,
    events: Mutex<Vec<Event>>,
}

impl Stream {
    pub(super) fn append(&self, line: &[u8]) {
        let message = String::from_utf8_lossy(line).into_owned();
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(Event {
            timestamp: now(),
            message,
        });
    }

    pub(super) fn read<T>(&self, with: impl FnOnce(&[Event]) -> T) -> T {
        with(&self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn last(&self) -> i64 {
        self.read(|events| events.last().map_or(self.created, |event| event.timestamp))
    }
}

type Group = BTreeMap<String, Arc<Stream>>;

#[derive(Default)]
pub(super) struct Logs(RwLock<BTreeMap<String, Group>>);

impl Logs {
    pub(super) fn create_group(&self, name: &str) {
        let mut groups = self.0.write().unwrap_or_else(PoisonError::into_inner);
        groups.entry(name.to_owned()).or_default();
    }

    pub(super) fn create_stream(&self, group: &str, name: &str) -> Arc<Stream> {
        let stream = Arc::new(Stream {
            created: now(),
            events: Mutex::default(),
        });
        let mut groups = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let streams = groups.entry(group.to_owned()).or_default();
        let oldest = now() - i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        streams.retain(|_, stream| stream.last() > oldest);
        streams.insert(name.to_owned(), Arc::clone(&stream));
        stream
    }

    /// The streams of a group, sorted by name; none where there is no such group.
    pub(super) fn streams(&self, group: &str) -> Option<Vec<(String, Arc<Stream>)>> {
        let groups = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let streams = groups.get(group)?.iter();
        Some(
            streams
                .map(|(name, stream)| (name.clone(), Arc::clone(stream)))
                .collect(),
        )
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
