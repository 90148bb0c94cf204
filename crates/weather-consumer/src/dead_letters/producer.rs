//! Puts records aside, and knows that the topic has them before it says so.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use common::{kafka::KafkaArgs, task::Refused, vitals::Vitals};
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
    },
    consumer::Consumer as _,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord, Producer as _},
};
use tokio::sync::Mutex;
use tracing::{debug, info, warn};

use super::{
    Letter, headers,
    list::reader,
    seen::{Grave, Seen},
};
use crate::{
    metrics::{DEAD_LETTERS, READY_DEAD_LETTERS},
    retry::until_it_works,
    topic::{self, Quiet},
};

/// What the dead-letter topic takes beyond the source topic's limit: our headers need it.
const HEADROOM: usize = 64 * 1024;
const LIMIT: &str = "max.message.bytes";
const DEFAULT_LIMIT: usize = 1_048_588;
const ADMIN_LIMIT: Duration = Duration::from_secs(15);
/// Where nobody knows the topic's limit: the broker decides.
const ANY_LIMIT: usize = 1_000_000_000 - HEADROOM;
/// Long enough for a broker's restart; the attempt is repeated anyway.
const DELIVERY_LIMIT: Duration = Duration::from_secs(600);

type Producer = FutureProducer<Quiet>;
type Admin = Arc<AdminClient<Quiet>>;

/// The way to the dead-letter topic; clones share it.
#[derive(Clone)]
pub struct DeadLetters(Arc<Inner>);

struct Inner {
    kafka: KafkaArgs,
    source: String,
    topic: String,
    group: String,
    seen: Mutex<Seen>,
    /// Made with the first letter, and anew after a fatal error.
    producer: Mutex<Option<Producer>>,
}

impl DeadLetters {
    pub fn new(kafka: KafkaArgs, source: String, topic: String, group: String) -> Self {
        Self(Arc::new(Inner {
            kafka,
            source,
            topic,
            group,
            seen: Mutex::default(),
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

    /// Puts the record aside, unless an earlier owner of the partition has (false); returns when every
    /// replica that must has it.
    ///
    /// # Errors
    /// What no waiting changes.
    pub async fn bury(&self, letter: &Letter<'_>, vitals: &Vitals) -> anyhow::Result<bool> {
        let attempt = async || self.0.send_once(letter).await;
        if !until_it_works(READY_DEAD_LETTERS, vitals, DELIVERY_LIMIT, attempt).await? {
            return Ok(false);
        }
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
        Ok(true)
    }
}

impl Inner {
    /// False: it is there already.
    async fn send_once(&self, letter: &Letter<'_>) -> anyhow::Result<bool> {
        let place = Grave::of(letter);
        let mut seen = self.seen.lock().await;
        if seen.claim < letter.claim.number {
            let (kafka, source) = (self.kafka.clone(), self.source.clone());
            let (topic, group) = (self.topic.clone(), self.group.clone());
            let read = move || Seen::read(&kafka, &topic, &source, &group);
            *seen = tokio::task::spawn_blocking(read).await??;
            seen.claim = letter.claim.number;
        }
        if seen.has(&place) {
            return Ok(false);
        }
        self.send(letter).await?;
        seen.add(place);
        Ok(true)
    }

    async fn send(&self, letter: &Letter<'_>) -> anyhow::Result<()> {
        let producer = self.producer().await?;
        let headers = headers::with_provenance(letter, &self.source, &self.group);
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
            .create_with_context(Quiet::on_this_runtime())
            .map_err(topic::refused)?;
        Ok(held.insert(producer).clone())
    }

    fn admin(&self) -> anyhow::Result<Admin> {
        let config = topic::client_config(&self.kafka)?;
        let admin = config.create_with_context(Quiet::on_this_runtime());
        admin.map(Arc::new).map_err(topic::refused)
    }

    /// The dead-letter topic's message limit; the topic is made if it is missing. None while there is
    /// no source topic.
    async fn make_topic(&self) -> anyhow::Result<Option<usize>> {
        if self.kafka.signs_with_iam() {
            return self.find_topic().await;
        }
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

    /// The same without rdkafka's admin client, which never serves the call for a token.
    async fn find_topic(&self) -> anyhow::Result<Option<usize>> {
        let consumer = reader(&self.kafka, &self.group)?;
        let (topic, source) = (self.topic.clone(), self.source.clone());
        let find = move || {
            topic::serve_token(&consumer);
            if topic::partitions(consumer.client(), &topic)?.is_some() {
                return Ok(Some(ANY_LIMIT));
            }
            match topic::partitions(consumer.client(), &source)? {
                Some(_) => Err(missing(&topic)),
                None => Ok(None),
            }
        };
        tokio::task::spawn_blocking(find).await?
    }

    /// The source topic's limit was raised after the dead-letter topic had been made.
    async fn raise_limit(&self) -> anyhow::Result<()> {
        if self.kafka.signs_with_iam() {
            let topic = &self.topic;
            bail!("{LIMIT} of {topic} is below {}'s: raise it", self.source);
        }
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

/// There is no dead-letter topic, and a client that signs with IAM cannot make it.
pub(crate) fn missing(topic: &str) -> anyhow::Error {
    anyhow!(Refused::new(format!(
        "there is no topic {topic}: create it first, as a client that signs with IAM cannot"
    )))
}

/// The message limit of a topic in bytes; none where there is no such topic.
async fn limit_of(admin: &Admin, topic: &str) -> anyhow::Result<Option<usize>> {
    let asked = ResourceSpecifier::Topic(topic);
    let described = admin.describe_configs([&asked], &options()).await;
    let described = described.with_context(|| format!("ask for the settings of topic {topic}"))?;
    // The client hides the error of a single topic: it has no settings then.
    let resources = described
        .iter()
        .filter_map(|resource| resource.as_ref().ok());
    let entry = resources.filter_map(|resource| resource.get(LIMIT)).next();
    if let Some(value) = entry.and_then(|entry| entry.value.as_deref()) {
        return value
            .parse()
            .map(Some)
            .with_context(|| format!("read {LIMIT} of topic {topic}: {value}"));
    }
    let (asked, name) = (Arc::clone(admin), topic.to_owned());
    let exists = tokio::task::spawn_blocking(move || topic::partitions(asked.inner(), &name));
    if exists.await??.is_none() {
        return Ok(None);
    }
    debug!(
        topic,
        "may not read the topic's settings, taking Kafka's default for its message limit"
    );
    Ok(Some(DEFAULT_LIMIT))
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
