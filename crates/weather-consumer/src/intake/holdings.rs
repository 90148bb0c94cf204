//! What the thread holds in memory: readings under way, open files, and what it tells of them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use common::weather::Message;
use jiff::Timestamp;

use super::{FILES, Intake};
use crate::{
    metrics::{CONSUMED, HELD_BYTES, LAG, PARTITIONS, STALENESS},
    report::Report,
};

/// The most that is under way to MongoDB and to the dead-letter topic. A single larger record fits
/// where there is nothing else.
pub(crate) const QUEUE_ROWS: usize = 2_000;
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
pub(crate) const QUEUE_LETTERS: usize = 256;
/// A paused consumer may be handed a few records more: the channels are that much longer.
const SLACK: usize = 64;
/// Locations whose staleness is shown: backfills have a location per place.
const MOST_LOCATIONS: usize = 1_000;
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Handed on and not reported yet, whoever's partition it was.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) rows: usize,
    pub(super) row_bytes: usize,
    pub(super) letters: usize,
    pub(super) letter_bytes: usize,
    pub(super) files: usize,
    pub(super) file_bytes: usize,
    /// Read since the counter was last told.
    pub(super) consumed: u64,
}

impl Waiting {
    pub(super) fn has_room(&self) -> bool {
        self.rows + SLACK < QUEUE_ROWS
            && self.row_bytes < QUEUE_BYTES
            && self.letters + SLACK < QUEUE_LETTERS
            && self.letter_bytes < QUEUE_BYTES
    }
}

/// When each location was last heard of, and on which partition.
#[derive(Debug, Default)]
pub(super) struct Staleness(HashMap<Box<str>, (i64, i32)>);

impl Staleness {
    pub(super) fn saw(&mut self, reading: &Message<'_>, partition: i32) {
        let fetched = reading.fetched_at.as_millisecond();
        if let Some((newest, known)) = self.0.get_mut(reading.location_id.as_ref()) {
            *newest = fetched.max(*newest);
            *known = partition;
        } else if self.0.len() < MOST_LOCATIONS {
            self.0
                .insert(reading.location_id.as_ref().into(), (fetched, partition));
        }
    }
}

impl Intake {
    /// Memory of the files that are open or being written.
    pub(super) fn held_bytes(&self) -> usize {
        self.waiting.file_bytes + self.open_bytes()
    }

    fn open_bytes(&self) -> usize {
        self.partitions
            .values()
            .map(|partition| partition.rows().bytes())
            .sum()
    }

    /// A file has its rows, and cannot be closed before another is written.
    pub(super) fn is_blocked(&self) -> bool {
        let full = |rows: usize| rows >= self.limits.max_rows;
        self.partitions
            .values()
            .any(|partition| full(partition.rows().len()))
    }

    /// Closes what is full or old, and the largest file while memory runs out.
    pub(super) fn close_files(&mut self) -> anyhow::Result<()> {
        if self.outlets.files.is_none() {
            return Ok(());
        }
        let due = |rows: usize, opened: Option<Instant>| {
            rows >= self.limits.max_rows
                || opened.is_some_and(|opened| opened.elapsed() >= self.limits.max_age)
        };
        let due = self
            .partitions
            .iter()
            .filter(|(_, partition)| due(partition.rows().len(), partition.opened()));
        let due: Vec<i32> = due.map(|(number, _)| *number).collect();
        for number in due {
            self.close(number)?;
        }
        // Early enough that reading goes on while the file is written.
        while self.waiting.files < FILES && self.held_bytes() >= self.limits.max_bytes / 4 * 3 {
            let closable = self
                .partitions
                .iter()
                .filter(|(_, partition)| partition.can_close());
            let Some((number, _)) = closable.max_by_key(|(_, partition)| partition.rows().bytes())
            else {
                break;
            };
            self.close(*number)?;
        }
        Ok(())
    }

    /// Closes the open file of a partition, if there is one and a writer is free.
    pub(super) fn close(&mut self, number: i32) -> anyhow::Result<()> {
        let Some(files) = &self.outlets.files else {
            return Ok(());
        };
        let closable = self
            .partitions
            .get_mut(&number)
            .filter(|partition| partition.can_close());
        let Some(partition) = closable.filter(|_| self.waiting.files < FILES) else {
            return Ok(());
        };
        let Some(file) = partition.close() else {
            return Ok(());
        };
        self.waiting.files += 1;
        self.waiting.file_bytes += file.rows.bytes();
        self.gone(files.try_send(file).is_err())
    }

    /// Takes note of what a sink has finished.
    pub(super) fn apply(&mut self, report: Report) -> anyhow::Result<()> {
        self.pulse.progressed();
        match report {
            Report::Stored {
                through,
                rows,
                bytes,
                stored,
                unchanged,
                dead,
            } => {
                self.waiting.rows -= rows;
                self.waiting.row_bytes -= bytes;
                self.counts.stored_mongodb += stored;
                self.counts.unchanged += unchanged;
                self.counts.dead_lettered += dead;
                for (claim, offset) in through {
                    let partition = self.partitions.get_mut(&claim.partition);
                    if let Some(partition) = partition.filter(|partition| partition.claim == claim)
                    {
                        partition.progress.stored(offset);
                    }
                }
            }
            Report::Landed {
                claim,
                through,
                bytes,
                stored,
                unchanged,
                files,
            } => {
                self.waiting.files -= 1;
                self.waiting.file_bytes -= bytes;
                self.counts.stored_landing += stored;
                self.counts.unchanged += unchanged;
                self.counts.files += files;
                let partition = self.partitions.get_mut(&claim.partition);
                if let Some(partition) = partition.filter(|partition| partition.claim == claim) {
                    partition.landed(through);
                }
            }
            Report::Buried {
                claim,
                offset,
                bytes,
                is_new,
            } => {
                self.waiting.letters -= 1;
                self.waiting.letter_bytes -= bytes;
                self.counts.dead_lettered += u64::from(is_new);
                let partition = self.partitions.get_mut(&claim.partition);
                if let Some(partition) = partition.filter(|partition| partition.claim == claim) {
                    partition.progress.buried(offset);
                }
            }
            Report::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Sets the gauges, once a second.
    pub(super) fn tell(&mut self, topic: &crate::topic::Topic) {
        if self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        self.vitals.add(
            &CONSUMED,
            &[],
            std::mem::take(&mut self.waiting.consumed) as f64,
        );
        self.vitals.set(&HELD_BYTES, &[], self.held_bytes() as f64);
        self.vitals
            .set(&PARTITIONS, &[], self.partitions.len() as f64);
        let mut behind = false;
        for (number, partition) in &mut self.partitions {
            // As long as nothing came of it, it stands where the group left it.
            let next = partition.progress.next().or_else(|| topic.start(*number));
            let (Some(end), Some(next)) = (topic.end(*number), next) else {
                continue;
            };
            behind |= end > next;
            let stored = partition.progress.committable().unwrap_or(next);
            let lag = end.saturating_sub(stored).max(0);
            self.vitals
                .set(&LAG, &[("partition", &number.to_string())], lag as f64);
        }
        self.pulse
            .busy(behind || self.waiting.rows + self.waiting.files + self.waiting.letters > 0);
        let now = Timestamp::now().as_millisecond();
        for (location, (newest, _)) in &self.staleness.0 {
            let seconds = (now - newest) as f64 / 1000.0;
            self.vitals
                .set(&STALENESS, &[("location_id", location)], seconds);
        }
    }

    /// A partition is somebody else's now.
    pub(super) fn forget(&mut self, number: i32) {
        self.vitals
            .forget(&LAG, &[("partition", &number.to_string())]);
        let known = &mut self.staleness.0;
        for (location, _) in known.extract_if(|_, (_, partition)| *partition == number) {
            self.vitals
                .forget(&STALENESS, &[("location_id", &location)]);
        }
    }
}
