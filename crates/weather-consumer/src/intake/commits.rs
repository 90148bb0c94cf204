//! What is stored is committed, again and again until the broker has confirmed it.

use std::time::{Duration, Instant};

use common::vitals::Vitals;
use tracing::{debug, info, warn};

use super::{HOPELESS, Intake, POLL};
use crate::{
    metrics::{READY_COMMITS, RETRIES},
    record::Claim,
    topic::{Outcome, Topic},
};

/// Commits are this far apart, but for the last one.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// A last commit may take so long.
const LAST_COMMIT: Duration = Duration::from_secs(6);
/// Between a refusal and the next try while a last commit is waited for.
const AGAIN: Duration = Duration::from_millis(50);
/// A group that assigns anew refuses commits for seconds; longer than this something is wrong.
const REFUSED_LONG: Duration = Duration::from_secs(30);

/// Refusals in a row: what is stored stays safe, but would be read again.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    since: Option<Instant>,
    is_told: bool,
}

impl Refusals {
    fn add(&mut self, error: &str, vitals: &Vitals) {
        vitals.add(&RETRIES, &[("sink", READY_COMMITS)], 1.0);
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < REFUSED_LONG {
            return;
        }
        vitals.not_ready(READY_COMMITS, format!("Kafka refuses them: {error}"));
        if !std::mem::replace(&mut self.is_told, true) {
            warn!(
                error,
                "Kafka refuses to commit what is stored, trying until it does"
            );
        }
    }

    /// A commit was confirmed, or there is another assignment.
    pub(super) fn end(&mut self, vitals: &Vitals) {
        if std::mem::take(self).is_told {
            vitals.ready(READY_COMMITS);
            info!("Kafka's refusals of commits have ended");
        }
    }
}

impl Intake {
    /// Sends what is stored and not confirmed, when nothing is under way.
    pub(super) fn commit(&mut self, topic: &Topic) -> anyhow::Result<()> {
        self.confirm(topic, Duration::ZERO)?;
        if topic.is_committing() || self.committed.elapsed() < COMMIT_EVERY {
            return Ok(());
        }
        self.committed = Instant::now();
        let all: Vec<i32> = self.partitions.keys().copied().collect();
        let offsets = self.uncommitted(&all);
        if !offsets.is_empty() {
            topic.commit(offsets);
        }
        Ok(())
    }

    /// Commits what is stored of these partitions, and waits for it. False: it is not confirmed, and
    /// will be read again.
    pub(super) fn commit_now(&mut self, topic: &Topic, numbers: &[i32]) -> anyhow::Result<bool> {
        let limit = if self.vitals.is_ready() {
            LAST_COMMIT
        } else {
            HOPELESS
        };
        let started = Instant::now();
        let mut refusal = None;
        loop {
            self.pulse.polled();
            if !topic.is_committing() {
                let offsets = self.uncommitted(numbers);
                if offsets.is_empty() {
                    return Ok(true);
                }
                topic.commit(offsets);
            }
            if let Some(error) = self.confirm(topic, POLL)? {
                refusal = Some(error);
                std::thread::sleep(AGAIN);
            }
            if started.elapsed() >= limit {
                let error = refusal.unwrap_or_else(|| "no answer".to_owned());
                warn!(
                    error,
                    "could not commit what was stored, it will be read again"
                );
                return Ok(false);
            }
        }
    }

    /// Takes note of what the broker has confirmed, if it does within `wait`; gives its refusal.
    fn confirm(&mut self, topic: &Topic, wait: Duration) -> anyhow::Result<Option<String>> {
        let Some(Outcome { offsets, result }) = topic.outcome(wait)? else {
            return Ok(None);
        };
        if let Err(error) = result {
            let error = error.to_string();
            debug!(error, "a commit was refused and will be repeated");
            self.refusals.add(&error, &self.vitals);
            return Ok(Some(error));
        }
        self.refusals.end(&self.vitals);
        for (claim, offset) in offsets {
            let partition = self.partitions.get_mut(&claim.partition);
            if let Some(partition) = partition.filter(|partition| partition.claim == claim) {
                partition.committed = Some(offset);
            }
        }
        Ok(None)
    }

    fn uncommitted(&mut self, numbers: &[i32]) -> Vec<(Claim, i64)> {
        let mut offsets = Vec::new();
        for number in numbers {
            let Some(partition) = self.partitions.get_mut(number) else {
                continue;
            };
            let offset = partition.uncommitted();
            offsets.extend(offset.map(|offset| (partition.claim, offset)));
        }
        offsets
    }
}
