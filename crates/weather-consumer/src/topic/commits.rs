//! Commits on a thread of their own, one at a time.
//!
//! Whoever sends a commit and goes on never hears of it: librdkafka answers to a queue or a callback,
//! and rdkafka gives it neither (<https://github.com/fede1024/rust-rdkafka/issues/856>). A refusal, as
//! in a rebalance, would be taken for a commit for ever. So this thread waits for each.

use std::{
    cell::Cell,
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use anyhow::bail;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::KafkaResult,
};

use super::Events;
use crate::record::Claim;

/// How a commit ended.
#[derive(Debug)]
pub struct Outcome {
    pub offsets: Vec<(Claim, i64)>,
    /// An error: the group has none of them, or not all.
    pub result: KafkaResult<()>,
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Commits {
    /// None: no more will come.
    requests: Option<mpsc::Sender<Vec<(Claim, i64)>>>,
    outcomes: mpsc::Receiver<Outcome>,
    under_way: Cell<bool>,
}

impl Commits {
    pub(super) fn start(consumer: Arc<BaseConsumer<Events>>, topic: &str) -> io::Result<Self> {
        let (requests, request) = mpsc::channel::<Vec<(Claim, i64)>>();
        let (outcome, outcomes) = mpsc::channel();
        let topic = topic.to_owned();
        let run = move || {
            for offsets in request {
                let result = commit(&consumer, &topic, &offsets);
                if outcome.send(Outcome { offsets, result }).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("commits".to_owned())
            .spawn(run)?;
        Ok(Self {
            requests: Some(requests),
            outcomes,
            under_way: Cell::new(false),
        })
    }

    /// Whether one is on its way and not answered.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.get()
    }

    pub(super) fn send(&self, offsets: Vec<(Claim, i64)>) {
        // The thread ends before us only by a panic, which is told; then nothing is ever confirmed.
        let sent = self
            .requests
            .as_ref()
            .map(|requests| requests.send(offsets));
        self.under_way.set(sent.is_some());
    }

    /// The outcome of the one that is on its way, if it comes within `wait`.
    pub(super) fn outcome(&self, wait: Duration) -> anyhow::Result<Option<Outcome>> {
        match self.outcomes.recv_timeout(wait) {
            Ok(outcome) => {
                self.under_way.set(false);
                Ok(Some(outcome))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("commit: the thread for it has ended"),
        }
    }

    /// Lets go of the consumer, unless a commit is under way for longer than `wait`.
    pub(super) fn end(&mut self, wait: Duration) {
        self.requests = None;
        // An error is what we wait for: the other end of the channel is gone, and so is the thread.
        while self.outcomes.recv_timeout(wait).is_ok() {}
    }
}

fn commit(
    consumer: &BaseConsumer<Events>,
    topic: &str,
    offsets: &[(Claim, i64)],
) -> KafkaResult<()> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (claim, offset) in offsets {
        list.add_partition_offset(topic, claim.partition, Offset::Offset(*offset))?;
    }
    consumer.commit(&list, CommitMode::Sync)
}
