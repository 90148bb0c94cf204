//! Partitions come and go: what is in hand is finished and committed before one is given up.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::{debug, warn};

use super::{Intake, PATIENCE, POLL};
use crate::{
    partition::Partition,
    record::Claim,
    topic::{Change, Topic, numbers},
};

/// Commits are this far apart, but for the last one.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// For finishing what is in hand while a far side is known to be away.
const HOPELESS: Duration = Duration::from_secs(2);

impl Intake {
    pub(super) fn answer(&mut self, topic: &Topic, change: Change) -> anyhow::Result<()> {
        match change {
            Change::Assign(list) => {
                topic
                    .assign(&list)
                    .context("take the partitions that the group assigned")?;
                for number in numbers(&list) {
                    self.claims += 1;
                    let claim = Claim {
                        partition: number,
                        number: self.claims,
                    };
                    let (mongodb, landing) =
                        (self.outlets.writes.is_some(), self.outlets.files.is_some());
                    self.partitions
                        .insert(number, Partition::new(claim, mongodb, landing));
                }
                if self.paused {
                    self.pause(topic);
                }
            }
            Change::Revoke {
                partitions: list,
                lost,
            } => {
                let numbers = numbers(&list);
                if !lost {
                    self.drain(topic, &numbers)?;
                }
                for number in &numbers {
                    self.partitions.remove(number);
                    self.forget(*number);
                }
                topic
                    .unassign(&list)
                    .context("give up the partitions that the group took")?;
            }
        }
        Ok(())
    }

    /// Finishes what is in hand of these partitions, within the limit, and commits it. False: it could
    /// not all be finished; the next owner reads the rest again.
    pub(super) fn drain(&mut self, topic: &Topic, numbers: &[i32]) -> anyhow::Result<bool> {
        let started = Instant::now();
        let settled = loop {
            self.pulse.polled();
            self.take_reports(Duration::ZERO)?;
            for number in numbers {
                self.close(*number)?;
            }
            let mut mine = numbers
                .iter()
                .filter_map(|number| self.partitions.get(number));
            if mine.all(|partition| partition.progress.is_settled()) {
                break true;
            }
            let limit = if self.vitals.is_ready() {
                self.limits.drain
            } else {
                self.limits.drain.min(HOPELESS)
            };
            if started.elapsed() >= limit {
                warn!(
                    seconds = started.elapsed().as_secs(),
                    "could not finish what was in hand, it will be read again"
                );
                break false;
            }
            self.take_reports(POLL / 5)?;
        };
        let offsets = self.uncommitted(numbers);
        if !offsets.is_empty()
            && let Err(error) = topic.commit_now(&offsets, PATIENCE * 2)
        {
            warn!(
                error = error.to_string(),
                "could not commit what was stored, it will be read again"
            );
            return Ok(false);
        }
        Ok(settled)
    }

    pub(super) fn commit(&mut self, topic: &Topic) {
        if topic.commit_was_refused() {
            self.partitions
                .values_mut()
                .for_each(|partition| partition.committed = None);
        }
        if self.committed.elapsed() < COMMIT_EVERY {
            return;
        }
        self.committed = Instant::now();
        let all: Vec<i32> = self.partitions.keys().copied().collect();
        let offsets = self.uncommitted(&all);
        if offsets.is_empty() {
            return;
        }
        if let Err(error) = topic.commit(&offsets) {
            debug!(
                error = error.to_string(),
                "a commit was refused and will be repeated"
            );
            return;
        }
        for (number, offset) in offsets {
            if let Some(partition) = self.partitions.get_mut(&number) {
                partition.committed = Some(offset);
            }
        }
    }

    fn uncommitted(&mut self, numbers: &[i32]) -> Vec<(i32, i64)> {
        let mut offsets = Vec::new();
        for number in numbers {
            let Some(partition) = self.partitions.get_mut(number) else {
                continue;
            };
            offsets.extend(partition.uncommitted().map(|offset| (*number, offset)));
        }
        offsets
    }
}
