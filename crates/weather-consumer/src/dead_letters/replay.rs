//! Sends dead letters to where they came from, each once.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use common::{kafka::KafkaArgs, task::Stopped};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    Entry, Reason, headers,
    list::{list, reader},
    replayed::{Replayed, TOO_MANY},
};
use crate::topic::{self, Quiet};

const PATIENCE: Duration = Duration::from_secs(30);
/// Letters between two commits: what a crash may send twice.
const COMMIT_EVERY: usize = 500;

/// Which letters to replay.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub reason: Option<Reason>,
    pub limit: Option<usize>,
}

/// Which partitions' letters were replayed, by the group's commits.
pub(super) fn remembered(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
) -> anyhow::Result<BTreeMap<i32, Replayed>> {
    let mut asked = TopicPartitionList::new();
    for (partition, ..) in topic::ends(consumer, topic)? {
        asked.add_partition(topic, partition);
    }
    let mut remembered = BTreeMap::new();
    if asked.count() == 0 {
        return Ok(remembered);
    }
    let committed = consumer
        .committed_offsets(asked, PATIENCE)
        .context("ask Kafka what was replayed")?;
    for element in committed.elements() {
        if let Offset::Offset(offset) = element.offset() {
            remembered.insert(
                element.partition(),
                Replayed::read(offset, element.metadata())?,
            );
        }
    }
    Ok(remembered)
}

/// Replays what is selected and was not replayed yet; gives how many that were.
///
/// # Errors
/// Kafka does not answer, or does not take a letter; what was sent until then is remembered.
pub fn replay(
    kafka: &KafkaArgs,
    topic: &str,
    group: &str,
    selection: &Selection,
    stop: &CancellationToken,
    runtime: Handle,
) -> anyhow::Result<u64> {
    let consumer = reader(kafka, group)?;
    let mut remembered = remembered(&consumer, topic)?;
    let mut sender = Sender::new(kafka, runtime)?;
    let mut gone: HashSet<[Option<String>; 3]> = HashSet::new();
    let (mut pending, mut count) = (0, 0);
    let limit = selection.limit.unwrap_or(usize::MAX) as u64;
    let from: BTreeMap<i32, i64> = remembered
        .iter()
        .map(|(partition, known)| (*partition, known.below()))
        .collect();
    let walk = if limit == 0 {
        Ok(())
    } else {
        list(
            &consumer,
            topic,
            |partition| from.get(&partition).copied(),
            |entry| {
                if stop.is_cancelled() {
                    return Err(anyhow!(Stopped));
                }
                let (partition, offset) = (entry.message.partition(), entry.message.offset());
                let known = remembered
                    .entry(partition)
                    .or_insert_with(|| Replayed::read(offset, "").unwrap_or_default());
                let wanted = selection
                    .reason
                    .is_none_or(|reason| entry.header("error.reason") == Some(reason.as_str()));
                if known.has(offset) || !wanted {
                    return Ok(true);
                }
                if !known.can_add(offset) {
                    return Err(anyhow!(TOO_MANY));
                }
                let source = ["source.topic", "source.partition", "source.offset"]
                    .map(|name| entry.header(name).map(str::to_owned));
                // Two consumers may have put the same record aside: it goes back once.
                if gone.insert(source) {
                    sender.send(&entry)?;
                    count += 1;
                }
                known.add(offset);
                pending += 1;
                if pending == COMMIT_EVERY {
                    pending = 0;
                    sender.settle()?;
                    remember(&consumer, topic, &remembered)?;
                }
                Ok(count < limit)
            },
        )
    };
    // What did not arrive is not remembered, whatever ended the walk.
    sender.settle()?;
    remember(&consumer, topic, &remembered)?;
    walk.map(|()| count)
}

fn remember(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    remembered: &BTreeMap<i32, Replayed>,
) -> anyhow::Result<()> {
    let mut list = TopicPartitionList::new();
    for (partition, replayed) in remembered {
        let mut element = list.add_partition(topic, *partition);
        element.set_offset(Offset::Offset(replayed.below()))?;
        element.set_metadata(replayed.metadata()?);
    }
    if list.count() == 0 {
        return Ok(());
    }
    consumer
        .commit(&list, CommitMode::Sync)
        .context("remember what was replayed")
}

/// Sends to the source topics, and knows whether all of it arrived.
struct Sender {
    producer: FutureProducer<Quiet>,
    runtime: Handle,
    under_way: Vec<DeliveryFuture>,
    /// Why the first of those that did not arrive did not.
    failure: Option<anyhow::Error>,
}

impl Sender {
    fn new(kafka: &KafkaArgs, runtime: Handle) -> anyhow::Result<Self> {
        let mut config = topic::client_config(kafka)?;
        config
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            // The topic's own limit decides.
            .set("message.max.bytes", "1000000000")
            .set("message.timeout.ms", "60000");
        let producer = config
            .create_with_context(Quiet::on_this_runtime())
            .map_err(topic::refused)?;
        Ok(Self {
            producer,
            runtime,
            under_way: Vec::new(),
            failure: None,
        })
    }

    fn send(&mut self, entry: &Entry<'_>) -> anyhow::Result<()> {
        let target = entry
            .header("source.topic")
            .context("read a dead letter: it does not say which topic it is from")?;
        let mut record = FutureRecord::<[u8], [u8]> {
            topic: target,
            partition: None,
            payload: entry.message.payload(),
            key: entry.message.key(),
            timestamp: None,
            headers: entry.message.headers().map(headers::without_provenance),
        };
        loop {
            match self.producer.send_result(record) {
                Ok(delivery) => {
                    self.under_way.push(delivery);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    self.producer
                        .flush(PATIENCE)
                        .context("replay dead letters")?;
                }
                Err((error, _)) => {
                    return Err(error).with_context(|| format!("replay a dead letter to {target}"));
                }
            }
        }
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        for delivery in self.under_way.drain(..) {
            let failure = match self.runtime.block_on(delivery) {
                Ok(Ok(_)) => continue,
                Ok(Err((error, _))) => anyhow!(error),
                Err(gone) => anyhow!(gone),
            };
            self.failure.get_or_insert(failure);
        }
        match &self.failure {
            None => Ok(()),
            Some(error) => Err(anyhow!(
                "replay dead letters: not all arrived; replay again: {error:#}"
            )),
        }
    }
}
