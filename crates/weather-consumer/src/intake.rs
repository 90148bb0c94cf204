//! The thread that owns the consumer: reads, hands on, and commits what the sinks report as stored.

mod assignment;
mod commits;
mod holdings;

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use common::{vitals::Vitals, weather};
use rdkafka::{Message as _, message::BorrowedMessage};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    collection::{self, Unfit, document},
    consume::Limits,
    dead_letters::{DECODE, Reason},
    landing::{self, ClosedFile},
    metrics::PAUSED,
    partition::Partition,
    record::{Claim, Place, Record},
    report::{Report, Sink},
    topic::Topic,
    watchdog::Pulse,
};
use commits::Refusals;
use holdings::{Staleness, Waiting};

pub(crate) use holdings::{QUEUE_LETTERS, QUEUE_ROWS};

/// How long a poll waits for a record, and how many are read before anything else is looked at.
const POLL: Duration = Duration::from_millis(100);
const BURST: usize = 64;
/// A sink that has no room for so long is away: partitions are paused. Shorter waits are back-pressure.
const PATIENCE: Duration = Duration::from_secs(3);
/// For finishing what is in hand while a far side is known to be away.
const HOPELESS: Duration = Duration::from_secs(2);

/// A record to be put aside, on its way to the dead-letter topic.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) claim: Claim,
    pub(crate) record: Record,
    pub(crate) reason: Reason,
    pub(crate) detail: String,
    pub(crate) sink: &'static str,
}

/// The ways out of the thread.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) writes: Option<mpsc::Sender<collection::Write>>,
    pub(crate) files: Option<mpsc::Sender<ClosedFile>>,
    pub(crate) asides: mpsc::Sender<Aside>,
}

/// What was done, for the closing line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub consumed: u64,
    pub stored_mongodb: u64,
    pub stored_landing: u64,
    pub unchanged: u64,
    pub dead_lettered: u64,
    pub files: u64,
}

impl Counts {
    /// As the closing line has them.
    pub fn closing(&self) -> Map<String, Value> {
        let stored = json!({ "mongodb": self.stored_mongodb, "landing": self.stored_landing });
        [
            ("consumed", json!(self.consumed)),
            ("stored", stored),
            ("unchanged", json!(self.unchanged)),
            ("dead_lettered", json!(self.dead_lettered)),
            ("files", json!(self.files)),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into_iter()
        .collect()
    }
}

/// How the stage came to its end.
#[derive(Debug)]
pub struct Ended {
    pub counts: Counts,
    /// Everything that was read is stored and committed.
    pub settled: bool,
}

pub(crate) struct Intake {
    topic: String,
    outlets: Outlets,
    reports: Receiver<Report>,
    limits: Limits,
    vitals: Vitals,
    pulse: Pulse,
    partitions: BTreeMap<i32, Partition>,
    claims: u64,
    waiting: Waiting,
    staleness: Staleness,
    counts: Counts,
    /// Since when there is no room, and whether that paused the partitions.
    full_since: Option<Instant>,
    paused: bool,
    committed: Instant,
    refusals: Refusals,
    told: Instant,
}

impl Intake {
    pub(crate) fn new(
        topic: &str,
        outlets: Outlets,
        reports: Receiver<Report>,
        limits: Limits,
        vitals: Vitals,
        pulse: Pulse,
    ) -> Self {
        Self {
            topic: topic.to_owned(),
            outlets,
            reports,
            limits,
            vitals,
            pulse,
            partitions: BTreeMap::new(),
            claims: 0,
            waiting: Waiting::default(),
            staleness: Staleness::default(),
            counts: Counts::default(),
            full_since: None,
            paused: false,
            committed: Instant::now(),
            refusals: Refusals::default(),
            told: Instant::now(),
        }
    }

    pub(crate) fn run(mut self, topic: Topic, stop: &CancellationToken) -> anyhow::Result<Ended> {
        while !stop.is_cancelled() {
            self.pulse.polled();
            self.take_reports(Duration::ZERO)?;
            self.close_files()?;
            self.commit(&topic)?;
            self.tell(&topic);
            if self.has_room() {
                self.go_on(&topic);
                self.read(&topic, BURST)?;
            } else {
                self.wait_for_room(&topic)?;
            }
            for change in topic.changes() {
                self.answer(&topic, change)?;
            }
        }
        let all: Vec<i32> = self.partitions.keys().copied().collect();
        let settled = self.drain(&topic, &all)?;
        drop(topic);
        Ok(Ended {
            counts: self.counts,
            settled,
        })
    }

    /// Reads until there is nothing, no room, or `most` records.
    fn read(&mut self, topic: &Topic, most: usize) -> anyhow::Result<()> {
        let mut wait = POLL;
        for _ in 0..most {
            let Some(message) = topic.poll(wait)? else {
                break;
            };
            self.take(&message)?;
            wait = Duration::ZERO;
            if !self.has_room() {
                break;
            }
        }
        Ok(())
    }

    /// Hands one record on to every sink, or puts it aside.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let place = Place::of(message);
        let Some(partition) = self.partitions.get_mut(&place.partition) else {
            return Ok(());
        };
        self.pulse.progressed();
        self.counts.consumed += 1;
        self.waiting.consumed += 1;
        partition.progress.consumed(place.offset);
        let claim = partition.claim;
        let reading = match weather::decode(message.key(), message.payload()) {
            Ok(reading) => reading,
            Err(defect) => {
                return self.put_aside(claim, message, defect.reason.into(), defect.detail, DECODE);
            }
        };
        self.staleness.saw(&reading, place.partition);
        if self.outlets.files.is_some()
            && let Err(refusal) = partition.push(&reading, place)
        {
            let reason = weather::Reason::BadValue.into();
            self.put_aside(
                claim,
                message,
                reason,
                refusal.to_string(),
                Sink::Landing.as_str(),
            )?;
        }
        if self.outlets.writes.is_none() {
            return Ok(());
        }
        match document(&reading, &self.topic, place) {
            Ok(document) => self.write(collection::Write {
                claim,
                document,
                record: Record::copy(message),
            }),
            Err(unfit) => {
                let reason = match unfit {
                    Unfit::TooLarge(_) => Reason::TooLarge,
                    Unfit::Field(..) => Reason::UnfitField,
                };
                self.put_aside(
                    claim,
                    message,
                    reason,
                    unfit.to_string(),
                    Sink::Mongodb.as_str(),
                )
            }
        }
    }

    fn write(&mut self, write: collection::Write) -> anyhow::Result<()> {
        let place = write.record.place;
        self.waiting.rows += 1;
        self.waiting.row_bytes += write.bytes();
        if let Some(partition) = self.partitions.get_mut(&place.partition) {
            partition.progress.handed(place.offset);
        }
        let Some(writes) = &self.outlets.writes else {
            return Ok(());
        };
        self.gone(writes.try_send(write).is_err())
    }

    fn put_aside(
        &mut self,
        claim: Claim,
        message: &BorrowedMessage<'_>,
        reason: Reason,
        detail: String,
        sink: &'static str,
    ) -> anyhow::Result<()> {
        let record = Record::copy(message);
        debug!(
            record.partition = claim.partition,
            record.offset = record.place.offset,
            reason = reason.as_str(),
            detail,
            "a record cannot be stored"
        );
        self.waiting.letters += 1;
        self.waiting.letter_bytes += record.bytes();
        if let Some(partition) = self.partitions.get_mut(&claim.partition) {
            partition.progress.dead(record.place.offset);
        }
        self.gone(
            self.outlets
                .asides
                .try_send(Aside {
                    claim,
                    record,
                    reason,
                    detail,
                    sink,
                })
                .is_err(),
        )
    }

    /// A channel has room as long as ours is counted, so a refusal is the end of its reader, who has
    /// reported why.
    fn gone(&self, refused: bool) -> anyhow::Result<()> {
        if !refused {
            return Ok(());
        }
        while let Ok(report) = self.reports.try_recv() {
            if let Report::Failed(error) = report {
                return Err(error);
            }
        }
        Err(anyhow!("hand a record on: its sink has ended"))
    }

    fn has_room(&self) -> bool {
        self.waiting.has_room() && self.held_bytes() < self.limits.max_bytes && !self.is_blocked()
    }

    /// Nothing more fits: waits for a report, and when it takes longer keeps polling with every
    /// partition paused, so that the group keeps us.
    fn wait_for_room(&mut self, topic: &Topic) -> anyhow::Result<()> {
        let since = *self.full_since.get_or_insert_with(Instant::now);
        if since.elapsed() < PATIENCE {
            return self.take_reports(POLL / 2);
        }
        if !self.paused {
            info!("paused the partitions until there is room again");
            self.pause(topic);
        }
        self.read(topic, 1)
    }

    fn pause(&mut self, topic: &Topic) {
        self.paused = true;
        self.vitals.set(&PAUSED, &[], 1.0);
        if let Err(error) = topic.pause() {
            warn!(error = error.to_string(), "could not pause the partitions");
        }
    }

    fn go_on(&mut self, topic: &Topic) {
        self.full_since = None;
        if !self.paused {
            return;
        }
        match topic.resume() {
            Ok(()) => {
                self.paused = false;
                self.vitals.set(&PAUSED, &[], 0.0);
                info!("resumed the partitions");
            }
            Err(error) => warn!(error = error.to_string(), "could not resume the partitions"),
        }
    }

    /// Takes what the sinks have reported, and waits for the first of it if there is none yet.
    fn take_reports(&mut self, wait: Duration) -> anyhow::Result<()> {
        if !wait.is_zero() {
            match self.reports.recv_timeout(wait) {
                Ok(report) => self.apply(report)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(anyhow!("wait for the sinks: they have ended"));
                }
            }
        }
        while let Ok(report) = self.reports.try_recv() {
            self.apply(report)?;
        }
        Ok(())
    }
}

/// Files that may be written at once.
const FILES: usize = landing::WRITERS;

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
