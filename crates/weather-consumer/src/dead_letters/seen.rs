//! What was put aside before: a partition's earlier owner may have died before it could commit.

use std::collections::HashSet;

use common::kafka::KafkaArgs;

use super::{
    Letter,
    list::{list, reader},
};
use crate::topic::ends;

/// So many of the last letters are looked at: more than an owner leaves uncommitted.
const LATEST: i64 = 20_000;
/// So many are kept; then the last ones are read anew.
const MOST: usize = 2 * LATEST as usize;

/// A letter by the record that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Grave {
    partition: i32,
    offset: i64,
    /// A topic that was made anew under its name has other records at the same offsets.
    timestamp: Option<i64>,
    sink: String,
}

impl Grave {
    pub(super) fn of(letter: &Letter<'_>) -> Self {
        let place = letter.record.place;
        Self {
            partition: place.partition,
            offset: place.offset,
            timestamp: place.timestamp,
            sink: letter.sink.to_owned(),
        }
    }
}

/// The letters of this group about this topic, as of a claim.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Later claims may know more: another member owned the partition in between.
    pub(super) claim: u64,
    graves: HashSet<Grave>,
}

impl Seen {
    /// Remembers a letter that was sent.
    pub(super) fn add(&mut self, grave: Grave) {
        if self.graves.len() >= MOST {
            *self = Self::default();
            return;
        }
        self.graves.insert(grave);
    }

    pub(super) fn has(&self, grave: &Grave) -> bool {
        self.graves.contains(grave)
    }

    pub(super) fn read(
        kafka: &KafkaArgs,
        topic: &str,
        source: &str,
        group: &str,
    ) -> anyhow::Result<Self> {
        let consumer = reader(kafka, group)?;
        let starts = ends(&consumer, topic)?
            .into_iter()
            .map(|(number, _, end)| (number, end - LATEST));
        let starts: Vec<(i32, i64)> = starts.collect();
        let start = |number| {
            starts
                .iter()
                .find(|(known, _)| *known == number)
                .map(|(_, start)| *start)
        };
        let mut graves = HashSet::new();
        list(&consumer, topic, start, |entry| {
            let ours = entry.header("source.topic") == Some(source)
                && entry.header("error.group") == Some(group);
            let number = |name| entry.header(name).and_then(|text| text.parse::<i64>().ok());
            let partition =
                number("source.partition").and_then(|number| i32::try_from(number).ok());
            if let (true, Some(partition), Some(offset), Some(sink)) = (
                ours,
                partition,
                number("source.offset"),
                entry.header("error.sink"),
            ) {
                graves.insert(Grave {
                    partition,
                    offset,
                    timestamp: number("source.timestamp"),
                    sink: sink.to_owned(),
                });
            }
            Ok(true)
        })?;
        Ok(Self { claim: 0, graves })
    }
}
