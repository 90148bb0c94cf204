//! Writes what is buffered as soon as a writer is free: batches grow by back-pressure, not by a timer.

use std::mem;

use anyhow::anyhow;
use futures_util::{StreamExt as _, stream};
use mongodb::bson::RawDocumentBuf;
use tokio::sync::mpsc;

use super::{Attempted as _, COMMAND_LIMIT, Collection, Error, How, Why};
use crate::{
    dead_letters::{Letter, Reason},
    metrics::{BATCH_ROWS, READY_MONGODB, STORED, UNCHANGED},
    record::{Claim, Record},
    report::{Desk, Report, Sink},
    retry::until_it_works,
};

/// Commands under way at once, and the most statements in one.
const WRITERS: usize = 2;
const BATCH_ROWS_LIMIT: usize = 500;

/// One reading on its way to the collection.
#[derive(Debug)]
pub struct Write {
    pub claim: Claim,
    pub document: RawDocumentBuf,
    /// As it was on the topic, for the case that the server refuses it.
    pub record: Record,
}

impl Write {
    /// What it holds in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.document.as_bytes().len() + self.record.bytes()
    }
}

/// Stores what comes, and reports it in the order in which it came, until nothing comes any more.
pub async fn write(collection: &Collection, writes: mpsc::Receiver<Write>, desk: &Desk) {
    let batches = stream::unfold(writes, async |mut writes| {
        let mut batch = Vec::new();
        let some = writes.recv_many(&mut batch, BATCH_ROWS_LIMIT).await > 0;
        some.then_some((batch, writes))
    });
    let stored =
        batches.map(|batch| async move { Batch::new(batch).store(collection, desk).await });
    let mut stored = Box::pin(stored.buffered(WRITERS));
    while let Some(outcome) = stored.next().await {
        match outcome {
            Ok(report) => desk.report(report),
            Err(error) => return desk.report(Report::Failed(error)),
        }
    }
}

struct Batch {
    writes: Vec<Write>,
    /// Places of what is not decided yet, and of what met a document of its id.
    open: Vec<usize>,
    met: Vec<usize>,
    dead: Vec<(usize, String)>,
}

impl Batch {
    fn new(writes: Vec<Write>) -> Self {
        Self {
            open: (0..writes.len()).collect(),
            writes,
            met: Vec::new(),
            dead: Vec::new(),
        }
    }

    async fn store(mut self, collection: &Collection, desk: &Desk) -> anyhow::Result<Report> {
        self.settle(How::Insert, collection, desk).await?;
        // Whoever met a document may be newer than it.
        self.open = mem::take(&mut self.met);
        self.settle(How::Upsert, collection, desk).await?;
        let unchanged = mem::take(&mut self.met).len();
        let (dead, mut buried) = (mem::take(&mut self.dead), 0);
        for (place, detail) in &dead {
            let letter = Letter {
                claim: self.writes[*place].claim,
                record: &self.writes[*place].record,
                reason: Reason::Rejected,
                detail,
                sink: Sink::Mongodb.as_str(),
            };
            buried += u64::from(desk.letters.bury(&letter, &desk.vitals).await?);
        }
        let rows = self.writes.len();
        let stored = rows - unchanged - dead.len();
        let sink = [("sink", Sink::Mongodb.as_str())];
        desk.vitals.add(&BATCH_ROWS, &sink, rows as f64);
        desk.vitals.add(&STORED, &sink, stored as f64);
        desk.vitals.add(&UNCHANGED, &sink, unchanged as f64);
        Ok(Report::Stored {
            through: self.through(),
            rows,
            bytes: self.writes.iter().map(Write::bytes).sum(),
            stored: stored as u64,
            unchanged: unchanged as u64,
            dead: buried,
        })
    }

    /// Tries until nothing is open: a part that the server refuses as a whole is halved until the
    /// statement is found that it refuses.
    async fn settle(
        &mut self,
        how: How,
        collection: &Collection,
        desk: &Desk,
    ) -> anyhow::Result<()> {
        let mut parts = vec![mem::take(&mut self.open)];
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            self.open = part;
            let split = until_it_works(READY_MONGODB, &desk.vitals, COMMAND_LIMIT, async || {
                self.attempt(how, collection).await
            })
            .await?;
            if split {
                let tail = self.open.split_off(self.open.len() / 2);
                parts.push(tail);
                parts.push(mem::take(&mut self.open));
            }
        }
        Ok(())
    }

    /// One command for what is open. True: it must be halved.
    async fn attempt(&mut self, how: How, collection: &Collection) -> anyhow::Result<bool> {
        let documents = self.open.iter().map(|place| &self.writes[*place].document);
        let rejections = match collection.store(how, documents).await {
            Ok(rejections) => rejections,
            Err(Error::Data(detail)) => {
                if self.open.len() > 1 {
                    return Ok(true);
                }
                self.dead
                    .extend(self.open.drain(..).map(|place| (place, detail.clone())));
                return Ok(false);
            }
            Err(error) => return Err(error).attempted("store readings"),
        };
        let (sent, mut away) = (mem::take(&mut self.open), None);
        for rejection in rejections {
            let Some(place) = sent.get(rejection.index).copied() else {
                continue;
            };
            match rejection.why {
                Why::NotOlder => self.met.push(place),
                Why::Data(detail) => self.dead.push((place, detail)),
                Why::Away(detail) => {
                    self.open.push(place);
                    away = Some(detail);
                }
            }
        }
        match away {
            Some(detail) => Err(anyhow!("store readings: {detail}")),
            None => Ok(false),
        }
    }

    /// The last record of each claim.
    fn through(&self) -> Vec<(Claim, i64)> {
        let mut through: Vec<(Claim, i64)> = Vec::new();
        for Write { claim, record, .. } in &self.writes {
            match through.iter_mut().find(|(known, _)| known == claim) {
                Some((_, offset)) => *offset = record.place.offset,
                None => through.push((*claim, record.place.offset)),
            }
        }
        through
    }
}
