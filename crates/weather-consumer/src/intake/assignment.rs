//! Partitions come and go: what is in hand is finished and committed before one is given up.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::warn;

use super::{HOPELESS, Intake, POLL};
use crate::{
    partition::Partition,
    record::Claim,
    topic::{Change, Topic, numbers},
};

impl Intake {
    pub(super) fn answer(&mut self, topic: &Topic, change: Change) -> anyhow::Result<()> {
        self.refusals.end(&self.vitals);
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
        let committed = self.commit_now(topic, numbers)?;
        Ok(settled && committed)
    }
}
