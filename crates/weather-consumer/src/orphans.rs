//! Partitions that no member of the group reads, while every member takes all for well.
//!
//! A static member that is killed between giving a partition up and joining again is handed its old
//! assignment when it comes back: the group does not rebalance, and nobody gets what was given up. So
//! each static member looks at the whole group now and then. Where a partition stays without a reader,
//! it lets a guest join and leave: for a newcomer every member joins again, and every partition is
//! assigned. The guest asks for the dead letters alone, so that nothing of ours moves to it, and no
//! member has to stop reading.

mod assignment;

use std::{
    collections::BTreeSet,
    io, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use common::{kafka::KafkaArgs, vitals::Vitals};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    metrics::UNREAD,
    topic::{ANSWER_LIMIT, ASSIGNOR, Quiet, client_config, partitions, refused, serve_token},
};

pub use assignment::assigned;

/// A partition that is being given up has no reader either, while its owner drains, commits, and joins.
const COMMIT_AND_JOIN: Duration = Duration::from_secs(10);
/// The guest is let in when the slowest member has drained.
const GUEST_LIMIT: Duration = Duration::from_secs(60);
/// Should we be killed while the guest is there, the group waits so long for it.
const GUEST_SESSION_MILLISECONDS: &str = "10000";
const TICK: Duration = Duration::from_millis(100);

/// A client beside the group's members, which looks at all of them.
pub struct Orphans {
    consumer: BaseConsumer<Quiet>,
    quiet: Quiet,
    guest: ClientConfig,
    group: String,
    topic: String,
    dead_letters: String,
    patience: Duration,
    vitals: Vitals,
}

impl Orphans {
    /// To be called on the runtime, as [`Quiet`] is. `drain` is what members take to give up a partition.
    ///
    /// # Errors
    /// Settings that librdkafka does not take.
    pub fn new(
        kafka: &KafkaArgs,
        group: &str,
        topic: &str,
        dead_letters: &str,
        drain: Duration,
        vitals: Vitals,
    ) -> anyhow::Result<Self> {
        let mut guest = client_config(kafka)?;
        guest
            .set("group.id", group)
            .set("partition.assignment.strategy", ASSIGNOR)
            .set("session.timeout.ms", GUEST_SESSION_MILLISECONDS)
            .set("auto.offset.reset", "latest")
            .set("enable.auto.commit", "false");
        let quiet = Quiet::on_this_runtime();
        let consumer = client_config(kafka)?
            .set("group.id", group)
            .create_with_context(quiet.clone())
            .map_err(refused)?;
        Ok(Self {
            consumer,
            quiet,
            guest,
            group: group.to_owned(),
            topic: topic.to_owned(),
            dead_letters: dead_letters.to_owned(),
            patience: drain + COMMIT_AND_JOIN,
            vitals,
        })
    }

    /// Looks until `stop`. Kafka may be away.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn watch(self, stop: CancellationToken) -> io::Result<()> {
        // No task of the runtime: an answer that does not come must not keep the program from ending.
        let thread = thread::Builder::new().name("orphans".to_owned());
        thread.spawn(move || self.look_again_and_again(&stop))?;
        Ok(())
    }

    fn look_again_and_again(&self, stop: &CancellationToken) {
        let mut unread = Unread::default();
        // By chance, so that members do not act at once.
        while pause((self.patience / 3).mul_f64(0.5 + fastrand::f64()), stop) {
            let seen = match self.look() {
                Ok(seen) => seen,
                Err(error) => {
                    debug!(error = format!("{error:#}"), "could not look at the group");
                    continue;
                }
            };
            let standing = unread.saw(seen.unwrap_or_default(), Instant::now());
            self.vitals
                .set(&UNREAD, &[], unread.partitions.len() as f64);
            if standing < self.patience || unread.partitions.is_empty() {
                continue;
            }
            warn!(
                partitions = ?unread.partitions,
                seconds = standing.as_secs(),
                "nobody in the group reads these partitions: it is made to assign them again"
            );
            match self.let_a_guest_in(stop) {
                Ok(()) => info!("the group assigned its partitions again"),
                Err(error) => warn!(
                    error = format!("{error:#}"),
                    "could not make the group assign its partitions again"
                ),
            }
            unread = Unread::default();
        }
    }

    /// The partitions that nobody has; none while the group is not settled, or not there.
    fn look(&self) -> anyhow::Result<Option<BTreeSet<i32>>> {
        serve_token(&self.consumer);
        let Some(count) = partitions(self.consumer.client(), &self.topic)? else {
            return Ok(None);
        };
        let groups = self
            .consumer
            .fetch_group_list(Some(&self.group), ANSWER_LIMIT)
            .context("ask Kafka for the group")?;
        let mut settled = groups.groups().iter();
        let Some(group) = settled.find(|group| group.state() == "Stable") else {
            return Ok(None);
        };
        let mut unread: BTreeSet<i32> = (0..i32::try_from(count)?).collect();
        for member in group.members() {
            let bytes = member.assignment().unwrap_or_default();
            let assigned = assigned(bytes, &self.topic).context("a member's assignment is none")?;
            for number in assigned {
                unread.remove(&number);
            }
        }
        Ok(Some(unread))
    }

    /// Returns when every member has joined again, and the guest has left.
    fn let_a_guest_in(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let guest: BaseConsumer<Quiet> = self
            .guest
            .create_with_context(self.quiet.clone())
            .map_err(refused)?;
        guest
            .subscribe(&[&self.dead_letters])
            .with_context(|| format!("subscribe to {}", self.dead_letters))?;
        let started = Instant::now();
        while guest.assignment()?.count() == 0 {
            if stop.is_cancelled() || started.elapsed() > GUEST_LIMIT {
                bail!("the group did not let the guest in");
            }
            if let Some(Err(error)) = guest.poll(TICK) {
                debug!(error = error.to_string(), "the guest waits for Kafka");
            }
        }
        Ok(())
    }
}

/// The partitions that have had no reader for a while.
#[derive(Debug, Default)]
struct Unread {
    partitions: BTreeSet<i32>,
    since: Option<Instant>,
}

impl Unread {
    /// For how long those of these that were seen before have had none.
    fn saw(&mut self, seen: BTreeSet<i32>, now: Instant) -> Duration {
        let still = &self.partitions & &seen;
        if still.is_empty() {
            self.since = (!seen.is_empty()).then_some(now);
            self.partitions = seen;
        } else {
            self.partitions = still;
        }
        self.since.map_or(Duration::ZERO, |since| now - since)
    }
}

/// False: it is time to stop.
fn pause(time: Duration, stop: &CancellationToken) -> bool {
    let started = Instant::now();
    while !stop.is_cancelled() && started.elapsed() < time {
        thread::sleep(TICK);
    }
    !stop.is_cancelled()
}

impl std::fmt::Debug for Orphans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orphans")
            .field("group", &self.group)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_partition_that_stays_without_a_reader_counts() {
        let (mut unread, start) = (Unread::default(), Instant::now());
        let mut saw = |partitions: &[i32], seconds| {
            let seen = partitions.iter().copied().collect();
            let standing = unread.saw(seen, start + Duration::from_secs(seconds));
            (standing.as_secs(), unread.partitions.len())
        };
        assert_eq!(saw(&[], 0), (0, 0));
        assert_eq!(saw(&[1, 2], 10), (0, 2));
        assert_eq!(saw(&[2, 3], 20), (10, 1));
        assert_eq!(saw(&[2], 30), (20, 1));
        assert_eq!(saw(&[3], 40), (0, 1), "another one");
        assert_eq!(saw(&[], 50), (0, 0));
        assert_eq!(saw(&[3], 60), (0, 1), "it had one in between");
    }
}
