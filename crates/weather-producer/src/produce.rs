//! The stage: ask for the running slot of every location, and hand what is new to Kafka.

mod closing;
mod slots;

use std::{collections::HashMap, time::Duration};

use anyhow::{Context as _, anyhow};
use common::task::{Closing, Refused, Stopped};
use common::vitals::Vitals;
use common::weather::Source;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::locations::Location;
use crate::metrics;
use crate::open_meteo::{Error, OpenMeteo, Patience, Spot, ask_all};
use crate::record::record;
use crate::topic::{NewTopic, Topic};

pub use closing::{End, Tally};
pub use slots::Slots;

/// Between asking for a slot that the service did not have yet and asking again.
const LATE_AGAIN: SignedDuration = SignedDuration::from_secs(15);
const LATE_TRIES: u32 = 3;
/// Kubernetes and ECS allow 30 s between SIGTERM and SIGKILL.
const DRAIN: Duration = Duration::from_secs(20);
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
    /// How long `once` and `backfill` wait for Kafka to take everything.
    pub delivery_timeout: Duration,
}

/// Hash of what was sent last of each location, as long as this process lives.
#[derive(Debug, Default)]
pub struct Known(HashMap<String, String>);

/// What one pass over locations left.
#[derive(Debug, Default)]
struct Pass<'a> {
    /// Their slot is not the running one yet.
    late: Vec<&'a Location>,
    /// Why others were not asked for, and how many.
    end: Option<(Error, usize)>,
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
        stage.slot(&all, &mut known, end, &mut tally).await?;
        let due = slots.due(end, jitter);
        while stage.topic.waiting() > 0 && stage.clock.now() < due && !stage.stop.is_cancelled() {
            stage.topic.settle(SETTLE).await?;
        }
        stage.clock.wait_until(due, &stage.stop).await;
    }
    info!(
        waiting.count = stage.topic.waiting(),
        "stopped, delivering what waits"
    );
    let end = match stage.topic.settle(DRAIN).await {
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

    /// Waits for Kafka, as long as `once` and `backfill` do.
    pub(crate) async fn deliver(&mut self) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        let settled = tokio::select! {
            settled = self.topic.settle(self.delivery_timeout) => settled?,
            () = stop.cancelled() => {
                // What is on its way may still arrive.
                if self.topic.settle(DRAIN / 2).await? {
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
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let patience = Patience {
            attempts: u32::MAX,
            max_wait: FOR_EVER,
            until: Some(end),
        };
        let mut wanted = locations.to_vec();
        for attempt in 0.. {
            let pass = self.pass(&wanted, known, patience, tally).await;
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let pass = pass?;
            if let Some((error, count)) = pass.end {
                if matches!(error, Error::Misconfigured(_)) && !self.open_meteo.has_answered() {
                    return Err(anyhow!(Refused::new(error.to_string())));
                }
                self.vitals.add(&metrics::MISSED, &[], count as f64);
                tally.missed += count as u64;
                warn!(
                    error = error.to_string(),
                    locations.count = count,
                    "missed a slot of {count} locations"
                );
                return Ok(());
            }
            let again = self.clock.now() + LATE_AGAIN;
            if pass.late.is_empty() || attempt >= LATE_TRIES || again > end {
                return Ok(());
            }
            wanted = pass.late;
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
        let ask = async |open_meteo: &mut OpenMeteo, part: &[&Location]| {
            let spots: Vec<_> = part.iter().map(|location| Spot::of(location)).collect();
            open_meteo.current(&spots, patience).await
        };
        let answers = ask_all(&mut self.open_meteo, locations, self.batch, ask).await;
        let mut pass = Pass::default();
        let answered = answers.elements.len() + answers.rejected.len();
        for (index, reason) in answers.rejected {
            tally.refuse(&self.vitals, &locations[index].id, &reason);
        }
        for (index, element) in answers.elements {
            let location = locations[index];
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
            if known.0.get(&location.id) == Some(&record.content_hash) {
                tally.skip(&self.vitals);
                continue;
            }
            known
                .0
                .insert(location.id.clone(), record.content_hash.clone());
            let slot = reading.slot.as_second() as f64;
            self.vitals
                .set(&metrics::LOCATION_SLOT, &[("location", &location.id)], slot);
            self.topic.send(record, &self.stop).await?;
        }
        pass.end = answers.end.map(|error| (error, locations.len() - answered));
        Ok(pass)
    }
}
