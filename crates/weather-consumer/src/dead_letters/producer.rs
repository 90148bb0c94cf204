//! Puts records aside, and knows that the topic has them before it says so.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use common::{kafka::KafkaArgs, vitals::Vitals};
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
    },
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord, Producer as _},
};
use tokio::sync::Mutex;
use tracing::{debug, info, warn};

use super::{Letter, headers};
use crate::{
    metrics::{DEAD_LETTERS, READY_DEAD_LETTERS},
    retry::until_it_works,
    topic::{self, Quiet},
};

/// What the dead-letter topic takes beyond the source topic's limit: our headers need it.
const HEADROOM: usize = 64 * 1024;
const LIMIT: &str = "max.message.bytes";
const ADMIN_LIMIT: Duration = Duration::from_secs(15);
/// Long enough for a broker's restart; the attempt is repeated anyway.
const DELIVERY_LIMIT: Duration = Duration::from_secs(600);

type Producer = FutureProducer<Quiet>;

/// The way to the dead-letter topic; clones share it.
#[derive(Clone)]
pub struct DeadLetters(Arc<Inner>);

struct Inner {
    kafka: KafkaArgs,
    source: String,
    topic: String,
    /// Made with the first letter, and anew after a fatal error.
    producer: Mutex<Option<Producer>>,
}

impl DeadLetters {
    pub fn new(kafka: KafkaArgs, source: String, topic: String) -> Self {
        Self(Arc::new(Inner {
            kafka,
            source,
            topic,
            producer: Mutex::default(),
        }))
    }

    /// Makes the topic if it is missing, once the source topic is there to be measured.
    pub async fn prepare(&self, vitals: &Vitals) -> anyhow::Result<()> {
        loop {
            let made = until_it_works(READY_DEAD_LETTERS, vitals, ADMIN_LIMIT * 3, async || {
                self.0.make_topic().await
            })
            .await?;
            if made.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Puts the record aside; returns when every replica that must has it.
    ///
    /// # Errors
    /// What no waiting changes.
    pub async fn bury(&self, letter: &Letter<'_>, vitals: &Vitals) -> anyhow::Result<()> {
        until_it_works(READY_DEAD_LETTERS, vitals, DELIVERY_LIMIT, async || {
            self.0.send(letter).await
        })
        .await?;
        vitals.add(
            &DEAD_LETTERS,
            &[("reason", letter.reason.as_str()), ("sink", letter.sink)],
            1.0,
        );
        debug!(
            record.partition = letter.record.place.partition,
            record.offset = letter.record.place.offset,
            reason = letter.reason.as_str(),
            "put a record aside"
        );
        Ok(())
    }
}

impl Inner {
    async fn send(&self, letter: &Letter<'_>) -> anyhow::Result<()> {
        let producer = self.producer().await?;
        let headers = headers::with_provenance(letter, &self.source);
        let record = FutureRecord::<[u8], [u8]> {
            topic: &self.topic,
            partition: None,
            payload: letter.record.value.as_deref(),
            key: letter.record.key.as_deref(),
            timestamp: None,
            headers: Some(headers),
        };
        let sent = match producer.send_result(record) {
            Ok(delivery) => delivery
                .await
                .context("wait for the dead-letter topic")?
                .map(drop)
                .map_err(|(error, _)| error),
            Err((error, _)) => Err(error),
        };
        let Err(error) = sent else { return Ok(()) };
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => self.raise_limit().await?,
            _ if producer.client().fatal_error().is_some() => *self.producer.lock().await = None,
            _ => {}
        }
        Err(error).context("send a dead letter")
    }

    async fn producer(&self) -> anyhow::Result<Producer> {
        let mut held = self.producer.lock().await;
        if let Some(producer) = &*held {
            return Ok(producer.clone());
        }
        let limit = self
            .make_topic()
            .await?
            .with_context(|| format!("topic {} does not exist", self.source))?;
        let mut config = topic::client_config(&self.kafka)?;
        config
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            // Above what the broker counts: the client adds the record's own overhead twice.
            .set("message.max.bytes", (limit + HEADROOM).to_string())
            .set("message.timeout.ms", DELIVERY_LIMIT.as_millis().to_string());
        let producer: Producer = config
            .create_with_context(Quiet::new())
            .map_err(topic::refused)?;
        Ok(held.insert(producer).clone())
    }

    fn admin(&self) -> anyhow::Result<AdminClient<Quiet>> {
        topic::client_config(&self.kafka)?
            .create_with_context(Quiet::new())
            .map_err(topic::refused)
    }

    /// The dead-letter topic's message limit; the topic is made if it is missing. None while there is
    /// no source topic.
    async fn make_topic(&self) -> anyhow::Result<Option<usize>> {
        let admin = self.admin()?;
        if let Some(limit) = limit_of(&admin, &self.topic).await? {
            return Ok(Some(limit));
        }
        let Some(source) = limit_of(&admin, &self.source).await? else {
            return Ok(None);
        };
        let limit = (source + HEADROOM).to_string();
        let topic = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(-1))
            .set(LIMIT, &limit)
            .set("retention.ms", "-1");
        let made = admin
            .create_topics([&topic], &options())
            .await
            .context("create the dead-letter topic")?;
        match made.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {}
            Some(Err((_, code))) => {
                return Err(anyhow!(
                    "create the dead-letter topic {}: {code}",
                    self.topic
                ));
            }
            _ => info!(topic = self.topic, "created the dead-letter topic"),
        }
        limit_of(&admin, &self.topic).await
    }

    /// The source topic's limit was raised after the dead-letter topic had been made.
    async fn raise_limit(&self) -> anyhow::Result<()> {
        let admin = self.admin()?;
        let source = limit_of(&admin, &self.source)
            .await?
            .with_context(|| format!("topic {} does not exist", self.source))?;
        let limit = (source + HEADROOM).to_string();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&self.topic))
            .set(LIMIT, &limit)
            .set("retention.ms", "-1");
        let changed = admin
            .alter_configs([&change], &options())
            .await
            .context("raise the dead-letter topic's limit")?;
        if let Some(Err((_, code))) = changed.into_iter().next() {
            return Err(anyhow!(
                "raise {LIMIT} of {} to {limit}: {code}",
                self.topic
            ));
        }
        warn!(
            topic = self.topic,
            limit, "raised the dead-letter topic's message limit above the source topic's"
        );
        *self.producer.lock().await = None;
        Ok(())
    }
}

/// The message limit of a topic in bytes; none where there is no such topic.
async fn limit_of(admin: &AdminClient<Quiet>, topic: &str) -> anyhow::Result<Option<usize>> {
    let described = admin
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &options())
        .await;
    let described = described.with_context(|| format!("ask for the settings of topic {topic}"))?;
    match described.into_iter().next() {
        Some(Ok(resource)) => {
            let value = resource
                .get(LIMIT)
                .and_then(|entry| entry.value.as_deref()?.parse().ok());
            value
                .map(Some)
                .with_context(|| format!("topic {topic} tells no {LIMIT}"))
        }
        Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => Ok(None),
        Some(Err(code)) => Err(KafkaError::AdminOp(code))
            .with_context(|| format!("ask for the settings of topic {topic}")),
        None => Err(anyhow!("ask for the settings of topic {topic}: no answer")),
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ADMIN_LIMIT))
        .operation_timeout(Some(ADMIN_LIMIT))
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetters")
            .field("topic", &self.0.topic)
            .finish_non_exhaustive()
    }
}
