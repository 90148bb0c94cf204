//! Whether the topic is there, and how it is made.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use common::task::Refused;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, TopicReplication};
use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::time::Instant;

use super::courier::{Courier, Deliveries};

const ONE_CALL: Duration = Duration::from_secs(5);
const BETWEEN_CALLS: Duration = Duration::from_millis(500);

/// How a missing topic is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTopic {
    pub partitions: i32,
    /// -1: the broker's default.
    pub replication_factor: i32,
    /// `None`: kept for ever. Otherwise that long from when a reading was sent, however far back its slot is.
    pub retention: Option<Duration>,
}

/// How many partitions the topic has; none where there is no such topic. Asks until a broker answers, or refuses.
pub(super) async fn partitions(
    producer: Arc<ThreadedProducer<Courier>>,
    deliveries: &Deliveries,
    topic: &str,
    patience: Duration,
) -> anyhow::Result<Option<usize>> {
    let started = Instant::now();
    loop {
        let left = patience.saturating_sub(started.elapsed()).min(ONE_CALL);
        let asked = Arc::clone(&producer);
        // All topics, as asking for one could make it, with the broker's defaults.
        let fetch = move || asked.client().fetch_metadata(None, left);
        let fetched = tokio::task::spawn_blocking(fetch)
            .await
            .context("ask the brokers for their topics")?;
        match fetched {
            Ok(metadata) => {
                deliveries.reached();
                let found = metadata.topics().iter().find(|found| found.name() == topic);
                return Ok(found.map(|found| found.partitions().len()));
            }
            // The answer says only that no broker is usable; why, librdkafka tells on the side.
            Err(_) if deliveries.is_refused() => return deliveries.let_in().map(|()| None),
            Err(error) if started.elapsed() + BETWEEN_CALLS >= patience => {
                return Err(error).context("ask the brokers for their topics; no broker answered");
            }
            Err(_) => tokio::time::sleep(BETWEEN_CALLS).await,
        }
    }
}

pub(super) async fn create(
    config: &ClientConfig,
    deliveries: &Arc<Deliveries>,
    topic: &str,
    new: &NewTopic,
    patience: Duration,
) -> anyhow::Result<()> {
    if deliveries.signs() {
        // rdkafka's admin client never serves the call for a token.
        return Err(anyhow!(Refused::new(format!(
            "there is no topic {topic}: create it first, as a client that signs with IAM cannot"
        ))));
    }
    let retention = new
        .retention
        .map_or_else(|| "-1".to_owned(), |time| time.as_millis().to_string());
    let wanted = rdkafka::admin::NewTopic::new(
        topic,
        new.partitions,
        TopicReplication::Fixed(new.replication_factor),
    )
    .set("retention.ms", &retention);
    let admin: AdminClient<Courier> = config
        .create_with_context(Courier::new(deliveries))
        .map_err(|error: KafkaError| {
            anyhow!(Refused::new(format!(
                "set up Kafka's admin client: {error}"
            )))
        })?;
    let wait = patience.min(Duration::from_secs(60));
    let options = AdminOptions::new()
        .request_timeout(Some(wait))
        .operation_timeout(Some(wait));
    let created = admin.create_topics([&wanted], &options).await;
    // Its end waits for a thread.
    tokio::task::spawn_blocking(move || drop(admin))
        .await
        .context("leave Kafka's admin client")?;
    let created = created.with_context(|| format!("create the topic {topic}"))?;
    match created.into_iter().next() {
        Some(Ok(_)) | Some(Err((_, Code::TopicAlreadyExists))) => Ok(()),
        Some(Err((
            _,
            code @ (Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed),
        ))) => Err(anyhow!(Refused::new(format!(
            "create the topic {topic}: {code}"
        )))),
        Some(Err((
            _,
            code @ (Code::InvalidTopic | Code::InvalidConfig | Code::PolicyViolation),
        ))) => Err(anyhow!(Refused::new(format!(
            "create the topic {topic}: {code}"
        )))),
        Some(Err((_, code))) => Err(anyhow!("create the topic {topic}: {code}")),
        None => Err(anyhow!(
            "create the topic {topic}: the broker did not say whether it did"
        )),
    }
}
