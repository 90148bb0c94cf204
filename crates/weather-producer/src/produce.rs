//! The stage: ask for the running slot of every location, and hand what is new to Kafka.

mod closing;
mod slots;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use common::task::{Closing, Refused, Stopped, is_refused};
use common::vitals::Vitals;
use common::weather::Source;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::locations::Location;
use crate::metrics;
use crate::open_meteo::{Call, Error, OpenMeteo, Patience, Spot, ask_all};
use crate::record::record;
use crate::topic::{NewTopic, Topic};

pub use closing::{End, Tally};
pub use slots::Slots;

/// Between asking for a slot that the service did not have yet and asking again.
const LATE_AGAIN: SignedDuration = SignedDuration::from_secs(15);
/// How long `once` and `backfill` go on after SIGTERM with what is on its way.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two questions whether Kafka is back, and how long one waits.
const ASK_KAFKA_EVERY: SignedDuration = SignedDuration::from_secs(15);
const ASK_KAFKA: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(1);
/// A pause between asking brokers that are away.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// What every command works with.
pub struct Stage {
    pub open_meteo: OpenMeteo,
    pub topic: Topic,
    pub new_topic: NewTopic,
    pub clock: Clock,
    pub vitals: Vitals,
    pub stop: CancellationToken,
    /// The most locations in one request.
    pub batch: usize,
    /// Tries of a request that fails for a passing reason.
    pub attempts: u32,
    /// How long to wait at the end for Kafka to take everything.
    pub delivery_timeout: Duration,
}

/// What is known of locations, as long as this process lives.
#[derive(Debug, Default)]
pub struct Known {
    /// Hash of what was sent last.
    sent: HashMap<String, String>,
    /// Locations that break the answer of the call they are in; they are asked for alone.
    alone: HashSet<String>,
}

/// What one pass over locations left.
#[derive(Debug, Default)]
struct Pass<'a> {
    /// Their slot is not the running one yet.
    late: Vec<&'a Location>,
    /// Why others have no answer, and which.
    end: Option<(Error, Vec<&'a Location>)>,
}

/// Sends the running slot of every location.
///
/// # Errors
/// When nothing could be sent. What was sent in part is a [`Closing`] with its failure.
pub async fn once(
    stage: &mut Stage,
    locations: &[Location],
    max_wait: Duration,
) -> anyhow::Result<Closing> {
    stage.make_topic(stage.delivery_timeout).await?;
    let mut tally = Tally::new(locations.len());
    let all: Vec<_> = locations.iter().collect();
    let patience = Patience {
        attempts: stage.attempts,
        broken_attempts: stage.attempts,
        max_wait,
        until: None,
    };
    let pass = stage
        .pass(&all, &mut Known::default(), patience, &mut tally)
        .await?;
    let mut end = End::of(pass.end.map(|(error, _)| error));
    if let Err(error) = stage.deliver().await {
        end = End::Failed(error);
    }
    let sent = stage.topic.acknowledged();
    info!(
        readings.count = sent,
        topic = stage.topic.name(),
        "sent {sent} readings to {}",
        stage.topic.name()
    );
    tally.close(stage, end)
}

/// Sends every slot of every location until stopped; then whatever waits is still delivered.
///
/// # Errors
/// When Open-Meteo or Kafka refuse for good; a passing trouble costs a slot at most.
pub async fn stream(
    stage: &mut Stage,
    locations: &[Location],
    slots: Slots,
    jitter: Duration,
) -> anyhow::Result<Closing> {
    let mut tally = Tally::new(locations.len());
    let mut known = Known::default();
    let made = stage.make_topic(FOR_EVER).await;
    if stage.stop.is_cancelled() {
        return tally.close(stage, End::Stopped);
    }
    made?;
    let all: Vec<_> = locations.iter().collect();
    while !stage.stop.is_cancelled() {
        let end = slots.next(stage.clock.now());
        stage.slot(&all, &mut known, end, slots, &mut tally).await?;
        let due = slots.due(end, jitter);
        while stage.topic.waiting() > 0 && stage.clock.now() < due && !stage.stop.is_cancelled() {
            stage.topic.settle(SETTLE).await?;
        }
        stage.idle(due).await?;
    }
    info!(
        waiting.count = stage.topic.waiting(),
        "stopped, delivering what waits"
    );
    let end = match stage.topic.settle(stage.delivery_timeout).await {
        Ok(true) => End::Stopped,
        Ok(false) => End::Failed(anyhow!(
            "Kafka did not take {} readings before the end",
            stage.topic.waiting()
        )),
        Err(error) => End::Failed(error),
    };
    tally.close(stage, end)
}

impl Stage {
    /// The topic, made where it is missing.
    pub(crate) async fn make_topic(&self, patience: Duration) -> anyhow::Result<()> {
        tokio::select! {
            made = self.topic.create_if_missing(&self.new_topic, patience) => made,
            () = self.stop.cancelled() => Err(anyhow!(Stopped).context("ask for the topic")),
        }
    }

    /// Waits for the next slot. Where Kafka has gone it is asked meanwhile whether it is back: nothing else would tell.
    async fn idle(&self, due: Timestamp) -> anyhow::Result<()> {
        loop {
            let look_again = self.clock.now() + ASK_KAFKA_EVERY;
            let is_waiting = self.clock.wait_until(look_again.min(due), &self.stop).await;
            if look_again >= due || !is_waiting {
                return Ok(());
            }
            if !self.topic.is_away() {
                continue;
            }
            tokio::select! {
                asked = self.topic.partitions(ASK_KAFKA) => match asked {
                    Err(error) if is_refused(&error) => return Err(error),
                    // Still away, as `/readyz` says, or back.
                    _ => {}
                },
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Waits for Kafka, as long as `once` and `backfill` do.
    pub(crate) async fn deliver(&mut self) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        let settled = tokio::select! {
            settled = self.topic.settle(self.delivery_timeout) => settled?,
            () = stop.cancelled() => {
                // What is on its way may still arrive.
                if self.topic.settle(DRAIN.min(self.delivery_timeout)).await? {
                    return Ok(());
                }
                return Err(anyhow!(Stopped).context("wait for Kafka"));
            }
        };
        let seconds = self.delivery_timeout.as_secs();
        settled.then_some(()).with_context(|| {
            format!(
                "Kafka did not take {} readings within {seconds} s",
                self.topic.waiting()
            )
        })
    }

    /// One slot, until `end` when the next begins.
    async fn slot(
        &mut self,
        locations: &[&Location],
        known: &mut Known,
        end: Timestamp,
        slots: Slots,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let patience = Patience {
            attempts: u32::MAX,
            broken_attempts: self.attempts,
            max_wait: FOR_EVER,
            until: Some(end),
        };
        let later = slots.left_in_day(end) * locations.len() as u64;
        let mut wanted = locations.to_vec();
        for is_last in [false, true] {
            let pass = self.pass(&wanted, known, patience, tally).await;
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let Pass { late, end: early } = pass?;
            wanted = late;
            let mut why = "Open-Meteo does not have the slot yet".to_owned();
            let mut may_pass = true;
            if let Some((error, left)) = early {
                if matches!(error, Error::Misconfigured(_)) && !self.open_meteo.has_answered() {
                    return Err(anyhow!(Refused::new(error.to_string())));
                }
                // Everything else was tried until the slot's end, or is known to last.
                may_pass = matches!(error, Error::Broken(_));
                why = error.to_string();
                wanted.extend(left);
            }
            if wanted.is_empty() {
                return Ok(());
            }
            let (count, again) = (wanted.len(), self.clock.now() + LATE_AGAIN);
            // The day's allowance is for the slots to come first.
            let is_worth_it = may_pass && self.open_meteo.can_spare(count as f64, later as f64);
            if is_last || again > end || !is_worth_it {
                self.vitals.add(&metrics::MISSED, &[], count as f64);
                tally.missed += count as u64;
                warn!(
                    error = why,
                    locations.count = count,
                    "missed a slot of {count} locations"
                );
                return Ok(());
            }
            self.clock.wait_until(again, &self.stop).await;
        }
        Ok(())
    }

    /// Asks once for each location, and hands on what is new.
    async fn pass<'a>(
        &mut self,
        locations: &[&'a Location],
        known: &mut Known,
        patience: Patience,
        tally: &mut Tally,
    ) -> anyhow::Result<Pass<'a>> {
        let ask = async |open_meteo: &mut OpenMeteo, part: &[&Location], tries: u32| {
            let patience = Patience {
                broken_attempts: tries.min(patience.broken_attempts),
                ..patience
            };
            let spots: Vec<_> = part.iter().map(|location| Spot::of(location)).collect();
            open_meteo.current(&spots, patience).await
        };
        let (mut locations, alone): (Vec<_>, Vec<_>) = locations
            .iter()
            .copied()
            .partition(|location| !known.alone.contains(&location.id));
        let together = locations.len();
        locations.extend(alone);
        let calls =
            Call::several(0..together, self.batch).chain(Call::alone(together..locations.len()));
        let answers = ask_all(&mut self.open_meteo, &locations, calls, ask).await;
        let mut pass = Pass::default();
        let mut unanswered: Vec<_> = locations.iter().copied().map(Some).collect();
        for (index, _) in &answers.broken {
            known.alone.insert(locations[*index].id.clone());
        }
        for (index, reason) in answers.rejected.into_iter().chain(answers.broken) {
            unanswered[index] = None;
            tally.refuse(&self.vitals, &locations[index].id, &reason);
        }
        for (index, element) in answers.elements {
            let location = locations[index];
            unanswered[index] = None;
            known.alone.remove(&location.id);
            let Some(reading) = element
                .readings
                .first()
                .filter(|reading| !reading.is_empty())
            else {
                tally.refuse(&self.vitals, &location.id, "no data for this location");
                continue;
            };
            if reading.slot < slots::start(element.fetched_at, element.slot_seconds) {
                pass.late.push(location);
            }
            let record = record(
                location,
                &element,
                reading,
                Source::Forecast,
                element.fetched_at,
            );
            if known.sent.get(&location.id) == Some(&record.content_hash) {
                tally.skip(&self.vitals);
                continue;
            }
            known
                .sent
                .insert(location.id.clone(), record.content_hash.clone());
            let slot = reading.slot.as_second() as f64;
            self.vitals
                .set(&metrics::LOCATION_SLOT, &[("location", &location.id)], slot);
            self.topic.send(record, &self.stop).await?;
        }
        pass.end = answers
            .end
            .map(|error| (error, unanswered.into_iter().flatten().collect()));
        Ok(pass)
    }
}
