//! Ends the program when it has work and gets nowhere, so that its successor can have the partitions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};
use common::vitals::Vitals;

/// Signs of life of the thread that owns the consumer.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    born: Instant,
    polled: AtomicU64,
    progressed: AtomicU64,
    busy: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        let beats = Beats {
            born: Instant::now(),
            polled: AtomicU64::new(0),
            progressed: AtomicU64::new(0),
            busy: AtomicBool::new(false),
        };
        Self(Arc::new(beats))
    }
}

impl Pulse {
    /// The thread is polling.
    pub(crate) fn polled(&self) {
        self.0.polled.store(self.now(), Ordering::Relaxed);
    }

    /// A record was read, or stored.
    pub(crate) fn progressed(&self) {
        self.0.progressed.store(self.now(), Ordering::Relaxed);
    }

    /// Whether there is anything to read or to store.
    pub(crate) fn busy(&self, busy: bool) {
        self.0.busy.store(busy, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since(&self, moment: &AtomicU64) -> Duration {
        Duration::from_millis(self.now().saturating_sub(moment.load(Ordering::Relaxed)))
    }
}

/// Returns when there was work for `limit`, every far side answered, and nothing went on.
pub(crate) async fn watch(pulse: Pulse, vitals: Vitals, limit: Duration) -> anyhow::Error {
    watched(&pulse, &vitals, limit)
        .await
        .err()
        .unwrap_or_else(|| anyhow!("the watchdog ended"))
}

async fn watched(pulse: &Pulse, vitals: &Vitals, limit: Duration) -> anyhow::Result<()> {
    let mut excused = Instant::now();
    let every = (limit / 10).clamp(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        tokio::time::sleep(every).await;
        if pulse.since(&pulse.0.polled) > limit {
            bail!("the consumer was not polled for {} s", limit.as_secs());
        }
        // An outage that is known and being retried is no stall.
        if !pulse.0.busy.load(Ordering::Relaxed) || !vitals.is_ready() {
            excused = Instant::now();
        }
        if excused.elapsed() > limit && pulse.since(&pulse.0.progressed) > limit {
            bail!(
                "there was work, and nothing was read or stored for {} s",
                limit.as_secs()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    async fn ends(pulse: &Pulse, vitals: &Vitals) -> bool {
        let watched = watch(pulse.clone(), vitals.clone(), LIMIT);
        let polled = async {
            for _ in 0..60 {
                pulse.polled();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! { _ = watched => true, () = polled => false }
    }

    #[tokio::test]
    async fn work_without_progress_ends_the_program() {
        let (pulse, vitals) = (Pulse::default(), Vitals::new(&[]));
        assert!(!ends(&pulse, &vitals).await, "idle");
        pulse.busy(true);
        assert!(ends(&pulse, &vitals).await, "stalled");
    }

    #[tokio::test]
    async fn a_known_outage_is_no_stall() {
        let (pulse, vitals) = (Pulse::default(), Vitals::new(&[]));
        pulse.busy(true);
        vitals.not_ready("mongodb", "away");
        assert!(!ends(&pulse, &vitals).await);
    }

    #[tokio::test]
    async fn a_consumer_that_is_not_polled_ends_the_program_whatever_else_is() {
        let (pulse, vitals) = (Pulse::default(), Vitals::new(&[]));
        vitals.not_ready("mongodb", "away");
        let ended = tokio::time::timeout(LIMIT * 4, watch(pulse, vitals, LIMIT)).await;
        assert!(ended.is_ok());
    }
}
