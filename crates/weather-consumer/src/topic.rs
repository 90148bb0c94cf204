//! The topic's end of the arrow: the consumer that one thread owns, and the changes of its assignment.
//!
//! librdkafka asks for an assignment to be taken or given up while it is polled. The request is put
//! aside there and answered by the polling thread, which can then drain what it holds first.

mod commits;
mod events;
mod quiet;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use common::{kafka::KafkaArgs, task::Refused, vitals::Vitals};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    client::Client,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::BorrowedMessage,
};

use tracing::debug;

use crate::{metrics::READY_KAFKA, record::Claim};
use commits::Commits;

pub use commits::Outcome;
pub use events::{Change, Events};
pub use quiet::Quiet;

/// The most that librdkafka may hold ready, in messages and in kilobytes; its own default is 64 MiB.
const QUEUED_MESSAGES: &str = "1000";
const QUEUED_KILOBYTES: &str = "4096";
/// Of one answer, before it is unpacked; a record that is larger comes by itself all the same.
const FETCHED_BYTES: &str = "524288";
/// A partition with that much ready is left alone so long; librdkafka's own second would be the limit of
/// everything.
const FULL_MILLISECONDS: &str = "10";

/// How the group shares its partitions: nobody stops reading what stays with it.
pub const ASSIGNOR: &str = "cooperative-sticky";

/// A question about a topic may take so long.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(8);
/// A broker that says nothing for so long is away; librdkafka would wait a minute for it.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);
/// A commit that is still under way when the group is left may take so long.
const LAST_COMMIT: Duration = Duration::from_secs(2);

/// How to join the group.
#[derive(Clone, Debug)]
pub struct Membership {
    pub group: String,
    /// A name that survives a restart: the group waits for it instead of moving its partitions.
    pub instance: Option<String>,
    pub session_timeout: Duration,
}

/// The topic, joined as a member of a group. Dropped, it leaves; what is assigned is then given up
/// without a commit.
pub struct Topic {
    name: String,
    commits: Commits,
    consumer: Arc<BaseConsumer<Events>>,
}

impl Topic {
    /// Joins the group; nothing is assigned yet, and no broker need be there.
    ///
    /// # Errors
    /// Settings that librdkafka does not take, marked [`Refused`].
    pub fn join(
        kafka: &KafkaArgs,
        name: &str,
        membership: &Membership,
        vitals: Vitals,
    ) -> anyhow::Result<Self> {
        let session = membership.session_timeout.as_millis();
        let mut config = client_config(kafka)?;
        config
            .set("group.id", &membership.group)
            .set("partition.assignment.strategy", ASSIGNOR)
            .set("session.timeout.ms", session.to_string())
            .set(
                "heartbeat.interval.ms",
                (session / 10).clamp(500, 3000).to_string(),
            )
            .set("max.poll.interval.ms", session.max(300_000).to_string())
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("queued.min.messages", QUEUED_MESSAGES)
            .set("queued.max.messages.kbytes", QUEUED_KILOBYTES)
            .set("fetch.queue.backoff.ms", FULL_MILLISECONDS)
            // The first is the lower limit of the second, and otherwise only a producer's.
            .set("message.max.bytes", FETCHED_BYTES)
            .set("fetch.max.bytes", FETCHED_BYTES)
            .set("max.partition.fetch.bytes", FETCHED_BYTES)
            .set("statistics.interval.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "10000");
        if let Some(instance) = &membership.instance {
            config.set("group.instance.id", instance);
        }
        vitals.not_ready(READY_KAFKA, "joining the group");
        let consumer: BaseConsumer<Events> = config
            .create_with_context(Events::new(name, vitals))
            .map_err(refused)?;
        consumer
            .subscribe(&[name])
            .context("subscribe to the topic")?;
        let consumer = Arc::new(consumer);
        Ok(Self {
            name: name.to_owned(),
            commits: Commits::start(Arc::clone(&consumer), name)
                .context("start the thread that commits")?,
            consumer,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the next record, and serves what librdkafka has to tell meanwhile.
    ///
    /// # Errors
    /// What no waiting changes: refused credentials, or a fatal error of the client. Everything else is
    /// told in the log and by `/readyz`, and librdkafka goes on trying.
    pub fn poll(&self, wait: Duration) -> anyhow::Result<Option<BorrowedMessage<'_>>> {
        let polled = self.consumer.poll(wait);
        if let Some(failure) = self.consumer.context().failure() {
            return Err(failure);
        }
        match polled {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(message)),
            Some(Err(error)) => self.consumer.context().judge(&error).map(|()| None),
        }
    }

    /// Changes of the assignment that wait for an answer.
    pub fn changes(&self) -> Vec<Change> {
        self.consumer.context().take_changes()
    }

    /// Takes the partitions; they begin at the group's offsets.
    pub fn assign(&self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.context().answered();
        self.consumer.incremental_assign(partitions)
    }

    /// Gives the partitions up.
    pub fn unassign(&self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.context().answered();
        self.consumer.incremental_unassign(partitions)
    }

    /// Stops fetching, and stays in the group.
    pub fn pause(&self) -> KafkaResult<()> {
        self.consumer.pause(&self.consumer.assignment()?)
    }

    pub fn resume(&self) -> KafkaResult<()> {
        self.consumer.resume(&self.consumer.assignment()?)
    }

    /// Sends a commit, when none is under way. How it ends is told by [`Topic::outcome`].
    pub fn commit(&self, offsets: Vec<(Claim, i64)>) {
        self.commits.send(offsets);
    }

    pub fn is_committing(&self) -> bool {
        self.commits.is_under_way()
    }

    /// How the commit under way ended, if that is known within `wait`.
    ///
    /// # Errors
    /// Nothing will ever be committed: its thread panicked.
    pub fn outcome(&self, wait: Duration) -> anyhow::Result<Option<Outcome>> {
        self.commits.outcome(wait)
    }

    /// The end of a partition as the broker last told it.
    pub fn end(&self, partition: i32) -> Option<i64> {
        self.consumer.context().end(partition)
    }

    /// Where the group left a partition, or its first record where the group never read it.
    pub fn start(&self, partition: i32) -> Option<i64> {
        self.consumer.context().start(partition)
    }
}

impl Drop for Topic {
    /// Answers what librdkafka still waits for: its consumer would wait for ever, and so would we.
    fn drop(&mut self) {
        self.commits.end(LAST_COMMIT);
        if let Some(change) = self.consumer.context().close()
            && let Err(error) = change.give_in(&self.consumer)
        {
            debug!(
                error = error.to_string(),
                "gave the assignment up while leaving"
            );
        }
    }
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topic")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What every client of this program begins with.
pub fn client_config(kafka: &KafkaArgs) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new();
    for (name, value) in kafka.settings()? {
        config.set(name, value);
    }
    config
        .set("client.id", "weather-consumer")
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.timeout.ms", SOCKET_TIMEOUT.as_millis().to_string())
        .set("socket.keepalive.enable", "true");
    Ok(config)
}

/// A client that cannot be made at all is a matter of its settings.
pub fn refused(error: KafkaError) -> anyhow::Error {
    anyhow::Error::new(error).context(Refused::new(
        "make a Kafka client: check the KAFKA_* settings",
    ))
}

/// A list of partitions of one topic, as the consumer hands them out.
pub fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions
        .elements()
        .iter()
        .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
        .collect()
}

/// Answers librdkafka's call for a token, before anything is assigned.
///
/// A client that only asks is never polled otherwise: where it signs with IAM, each question would wait
/// for a token until it times out.
pub fn serve_token<C: ConsumerContext>(consumer: &BaseConsumer<C>) {
    drop(consumer.poll(Duration::ZERO));
}

/// How many partitions a topic has; none where there is no such topic.
///
/// # Errors
/// Kafka does not answer, or refuses.
pub fn partitions(client: &Client<Quiet>, topic: &str) -> anyhow::Result<Option<usize>> {
    let metadata = match client.fetch_metadata(Some(topic), ANSWER_LIMIT) {
        Ok(metadata) => metadata,
        Err(KafkaError::MetadataFetch(RDKafkaErrorCode::Authentication)) => {
            return Err(anyhow!(Refused::new(
                "Kafka refused the credentials: check the KAFKA_* settings"
            )));
        }
        Err(error) => return Err(error).context("ask Kafka for its topics"),
    };
    let Some(known) = metadata.topics().iter().find(|known| known.name() == topic) else {
        return Ok(None);
    };
    match known.error().map(RDKafkaErrorCode::from) {
        None => Ok(Some(known.partitions().len())),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(None)
        }
        Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => Err(anyhow!(Refused::new(
            format!("Kafka refused topic {topic}: {code}")
        ))),
        Some(code) => bail!("ask Kafka for topic {topic}: {code}"),
    }
}

/// Partition, first offset and end of each partition. A topic that is not there has none.
///
/// # Errors
/// Kafka does not answer, or refuses.
pub fn ends(consumer: &BaseConsumer<Quiet>, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    serve_token(consumer);
    let metadata = consumer
        .fetch_metadata(Some(topic), ANSWER_LIMIT)
        .with_context(|| format!("ask Kafka for topic {topic}"))?;
    let mut ends = Vec::new();
    for known in metadata.topics() {
        match known.error().map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => continue,
            Some(code) => bail!("ask Kafka for topic {topic}: {code}"),
        }
        for partition in known.partitions() {
            let (low, high) = consumer
                .fetch_watermarks(topic, partition.id(), ANSWER_LIMIT)
                .with_context(|| format!("ask Kafka for the ends of topic {topic}"))?;
            ends.push((partition.id(), low, high));
        }
    }
    Ok(ends)
}

#[cfg(test)]
pub(crate) mod tests;
