//! The topic: an idempotent producer that is made anew when it fails for good, and loses nothing by that.

mod courier;
mod create;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use common::kafka::KafkaArgs;
use common::task::{Refused, Stopped};
use common::vitals::Vitals;
use common::weather::CONTENT_HASH_HEADER;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::metrics;
use courier::{Courier, Deliveries};
pub use create::NewTopic;

/// librdkafka's own: what waits for an acknowledgement when the broker is away.
const MAX_WAITING_MESSAGES: usize = 100_000;
const MAX_WAITING_KIB: usize = 64 * 1024;
/// So many records between two looks at what is sent and waits, for the metrics.
const SHOW_EVERY: u64 = 1_024;
/// Between two looks at what came back.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// One message as it goes to Kafka.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub key: String,
    pub value: Vec<u8>,
    pub content_hash: String,
}

pub struct Topic {
    name: String,
    config: ClientConfig,
    /// None between one that failed for good and the next.
    producer: Option<Arc<ThreadedProducer<Courier>>>,
    /// Gives back what the failed one held.
    leaving: Option<JoinHandle<()>>,
    /// When the next one may be made.
    next_at: Instant,
    deliveries: Arc<Deliveries>,
    vitals: Vitals,
    sent: u64,
    backoff: Duration,
}

impl Topic {
    /// Nothing is asked of a broker yet; [`Topic::create_if_missing`] does that.
    pub fn open(kafka: &KafkaArgs, name: &str, vitals: Vitals) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        for (key, value) in kafka.settings()? {
            config.set(key, value);
        }
        config
            .set("client.id", env!("CARGO_PKG_NAME"))
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            // A message that times out leaves a gap in the sequence, which is fatal: who sends decides how long to wait.
            .set("message.timeout.ms", "0")
            .set(
                "queue.buffering.max.messages",
                MAX_WAITING_MESSAGES.to_string(),
            )
            .set("queue.buffering.max.kbytes", MAX_WAITING_KIB.to_string())
            .set("log.connection.close", "false")
            .set("socket.keepalive.enable", "true");
        let signer = kafka
            .signs_with_iam()
            .then(|| common::kafka::Signer::new(tokio::runtime::Handle::current()));
        let deliveries = Arc::new(Deliveries::new(vitals.clone(), signer));
        let producer = Some(produce(&config, &deliveries)?);
        Ok(Self {
            name: name.to_owned(),
            config,
            producer,
            leaving: None,
            next_at: Instant::now(),
            deliveries,
            vitals,
            sent: 0,
            backoff: FIRST_BACKOFF,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Readings that Kafka has acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.deliveries.acknowledged()
    }

    /// Readings handed over that Kafka has not acknowledged yet.
    pub fn waiting(&self) -> usize {
        self.deliveries.waiting()
    }

    /// No broker answered yet, or none does any more.
    pub fn is_away(&self) -> bool {
        self.deliveries.is_away()
    }

    /// Hands a record over, once there is room for it and a producer to take it.
    ///
    /// # Errors
    /// Stopped while there was none, a record that Kafka never takes, or [`Refused`] as [`Topic::settle`] is.
    pub async fn send(&mut self, record: Record, stop: &CancellationToken) -> anyhow::Result<()> {
        self.sent += 1;
        if self.sent.is_multiple_of(SHOW_EVERY) {
            self.show();
        }
        let mut record = record;
        loop {
            if self.deliveries.has_failed() || self.producer.is_none() {
                tokio::select! {
                    replaced = self.send_again() => replaced?,
                    () = stop.cancelled() => return Err(stopped()),
                }
            }
            match self.try_send(record)? {
                None => return Ok(()),
                Some(same) => record = same,
            }
            self.deliveries.let_in()?;
            tokio::select! {
                () = self.deliveries.progress(LOOK_AGAIN) => {}
                () = stop.cancelled() => return Err(stopped()),
            }
        }
    }

    /// The record comes back where there is no room, or where the producer is about to be replaced.
    fn try_send(&mut self, record: Record) -> anyhow::Result<Option<Record>> {
        let producer = self.producer.as_ref().context("send without a producer")?;
        let headers = OwnedHeaders::new().insert(Header {
            key: CONTENT_HASH_HEADER,
            value: Some(record.content_hash.as_str()),
        });
        let message = BaseRecord::to(&self.name)
            .key(&record.key)
            .payload(&record.value)
            .headers(headers);
        self.deliveries.hand_over();
        let Err((error, _)) = producer.send(message) else {
            return Ok(None);
        };
        self.deliveries.take_back();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => {}
            Some(code) if is_final(code) => return Err(refusal(&self.name, code)),
            _ => self.deliveries.fail(&error.to_string()),
        }
        Ok(Some(record))
    }

    /// Waits until everything is acknowledged, sending again what came back, but not longer than `patience`.
    /// True when nothing is left waiting. Whoever drops the wait may begin another: nothing is lost by it.
    ///
    /// # Errors
    /// When Kafka refuses a record for good: [`Refused`] where credentials, rights or settings are at fault.
    pub async fn settle(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let give_up_at = Instant::now() + patience;
        loop {
            // A pause before the next producer may be longer than the patience that is left.
            if let Ok(sent) = tokio::time::timeout_at(give_up_at, self.send_again()).await {
                sent?;
            }
            self.show();
            if self.waiting() == 0 {
                self.backoff = FIRST_BACKOFF;
                return Ok(true);
            }
            self.deliveries.let_in()?;
            if Instant::now() >= give_up_at {
                return Ok(false);
            }
            let left = give_up_at.saturating_duration_since(Instant::now());
            self.deliveries.progress(left.min(LOOK_AGAIN)).await;
        }
    }

    /// Replaces a producer that has failed for good, and sends what came back unacknowledged.
    ///
    /// Dropped at any of its waits it goes on from there the next time.
    async fn send_again(&mut self) -> anyhow::Result<()> {
        if let Some(reason) = self.deliveries.take_failure() {
            self.retire(&reason)?;
        }
        if let Some(leaving) = &mut self.leaving {
            let left = leaving.await;
            self.leaving = None;
            left.context("drop the Kafka producer")?;
        }
        if self.producer.is_none() {
            tokio::time::sleep_until(self.next_at).await;
            // What the old one still told of is not the next one's.
            self.deliveries.take_failure();
            self.producer = Some(produce(&self.config, &self.deliveries)?);
        }
        for _ in 0..self.deliveries.returned_count() {
            let Some(returned) = self.deliveries.take_returned() else {
                break;
            };
            if let Some(code) = returned.code.filter(|code| is_final(*code)) {
                return Err(refusal(&self.name, code));
            }
            if let Some(record) = self.try_send(returned.record)? {
                // No room, or this producer has failed too: the next turn goes on with it.
                self.deliveries.give_back(record);
                break;
            }
        }
        Ok(())
    }

    /// Takes leave of a producer that has failed for good.
    ///
    /// # Errors
    /// [`Refused`] where the next one would fail as well.
    fn retire(&mut self, reason: &str) -> anyhow::Result<()> {
        let Some(old) = self.producer.take() else {
            return Ok(());
        };
        let fatal = old.client().fatal_error().map(|(code, _)| code);
        // Dropping it purges what it holds: every record comes back through the courier.
        self.leaving = Some(tokio::task::spawn_blocking(move || drop(old)));
        if let Some(code) = fatal.filter(|code| is_forbidden(*code)) {
            return Err(refusal(&self.name, code));
        }
        warn!(
            reason,
            waiting.count = self.waiting(),
            "replaced the Kafka producer after a fatal error"
        );
        self.vitals.add(&metrics::RECREATED, &[], 1.0);
        self.next_at = Instant::now() + self.backoff.mul_f64(0.5 + fastrand::f64());
        self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
        Ok(())
    }

    fn show(&self) {
        self.vitals.set(&metrics::SENT, &[], self.sent as f64);
        self.vitals
            .set(&metrics::WAITING, &[], self.waiting() as f64);
    }

    /// Asks the brokers for the topic, and creates it where it is missing.
    ///
    /// # Errors
    /// When no broker answers within `patience`, or the topic may not be created.
    pub async fn create_if_missing(
        &self,
        new: &NewTopic,
        patience: Duration,
    ) -> anyhow::Result<()> {
        if self.partitions(patience).await?.is_some() {
            return Ok(());
        }
        create::create(&self.config, &self.deliveries, &self.name, new, patience).await?;
        info!(
            topic = self.name,
            topic.partitions = new.partitions,
            "created the topic {}",
            self.name
        );
        Ok(())
    }

    /// How many partitions the topic has; none where there is no such topic.
    ///
    /// # Errors
    /// When no broker answers within `patience`; [`Refused`] where they refuse the credentials.
    pub async fn partitions(&self, patience: Duration) -> anyhow::Result<Option<usize>> {
        let producer = self.producer.as_ref().context("ask without a producer")?;
        create::partitions(Arc::clone(producer), &self.deliveries, &self.name, patience).await
    }
}

fn produce(
    config: &ClientConfig,
    deliveries: &Arc<Deliveries>,
) -> anyhow::Result<Arc<ThreadedProducer<Courier>>> {
    let made = config
        .create_with_context(Courier::new(deliveries))
        .map(Arc::new);
    made.map_err(|error: KafkaError| {
        anyhow!(Refused::new(format!("set up the Kafka producer: {error}")))
    })
}

fn stopped() -> anyhow::Error {
    anyhow!(Stopped).context("send readings to Kafka")
}

/// What no retry and no new producer would change.
fn is_final(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    is_forbidden(code)
        || matches!(
            code,
            Code::MessageSizeTooLarge
                | Code::InvalidMessageSize
                | Code::InvalidTopic
                | Code::InvalidRecord
                | Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
        )
}

fn is_forbidden(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
    )
}

fn refusal(topic: &str, code: RDKafkaErrorCode) -> anyhow::Error {
    let text = format!("send readings to the topic {topic}: {code}");
    if is_forbidden(code) {
        anyhow!(Refused::new(text))
    } else {
        anyhow!(text)
    }
}
