//! Reads the dead-letter topic from its beginning to the end that it has now.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use common::{kafka::KafkaArgs, task};
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::BorrowedMessage,
};
use serde_json::{Value, json};

use super::{headers, replay::remembered};
use crate::topic::{self, Quiet};

const PATIENCE: Duration = Duration::from_secs(30);

/// One dead letter, still in librdkafka's memory.
#[derive(Debug)]
pub struct Entry<'m> {
    pub message: BorrowedMessage<'m>,
}

impl Entry<'_> {
    /// One of the provenance headers.
    pub fn header(&self, name: &str) -> Option<&str> {
        headers::value(self.message.headers()?, name)
    }

    /// What `list` prints of it: no value, which may hold anything.
    pub fn json(&self, replayed: bool) -> Value {
        let number = |name| self.header(name).and_then(|text| text.parse::<i64>().ok());
        json!({
            "partition": self.message.partition(),
            "offset": self.message.offset(),
            "reason": self.header("error.reason"),
            "detail": self.header("error.detail"),
            "sink": self.header("error.sink"),
            "source": {
                "topic": self.header("source.topic"),
                "partition": number("source.partition"),
                "offset": number("source.offset"),
                "timestamp": number("source.timestamp"),
            },
            "key": self.message.key().map(String::from_utf8_lossy),
            "value_bytes": self.message.payload().map(<[u8]>::len),
            "replayed": replayed,
        })
    }
}

/// A consumer for the dead-letter topic, by itself and in no group's way.
pub(super) fn reader(kafka: &KafkaArgs, group: &str) -> anyhow::Result<BaseConsumer<Quiet>> {
    let mut config = topic::client_config(kafka)?;
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "8192");
    config
        .create_with_context(Quiet::on_this_runtime())
        .map_err(topic::refused)
}

/// Prints every dead letter as a line of JSON; gives how many there are.
///
/// # Errors
/// Kafka does not answer.
pub fn print(kafka: &KafkaArgs, topic: &str, group: &str) -> anyhow::Result<u64> {
    let consumer = reader(kafka, group)?;
    let remembered = remembered(&consumer, topic)?;
    let mut count = 0;
    list(
        &consumer,
        topic,
        |_| None,
        |entry| {
            let replayed = remembered
                .get(&entry.message.partition())
                .is_some_and(|known| known.has(entry.message.offset()));
            task::print(entry.json(replayed));
            count += 1;
            Ok(true)
        },
    )?;
    Ok(count)
}

/// Hands every dead letter from `from` on to `each`, up to the present end, until it says that it has enough.
///
/// # Errors
/// Kafka does not answer, or `each` fails.
pub fn list(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    from: impl Fn(i32) -> Option<i64>,
    mut each: impl FnMut(Entry<'_>) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let mut ends = topic::ends(consumer, topic)?;
    let mut assignment = TopicPartitionList::new();
    for (partition, low, high) in &mut ends {
        let first = from(*partition).unwrap_or(*low).max(*low);
        *low = first;
        if first < *high {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(first))?;
        }
    }
    ends.retain(|(_, next, end)| next < end);
    consumer
        .assign(&assignment)
        .context("read the dead-letter topic")?;
    let mut heard = Instant::now();
    while !ends.is_empty() {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let (partition, offset) = (message.partition(), message.offset());
                let end = ends
                    .iter()
                    .find(|(known, ..)| *known == partition)
                    .map_or(0, |(_, _, end)| *end);
                if offset < end && !each(Entry { message })? {
                    break;
                }
                if offset + 1 >= end {
                    ends.retain(|(known, ..)| *known != partition);
                }
            }
            Some(Err(error)) if heard.elapsed() > PATIENCE => {
                return Err(error).context("read the dead-letter topic");
            }
            Some(Err(_)) => {}
            None if heard.elapsed() > PATIENCE => bail!(
                "read the dead-letter topic: nothing came for {} s",
                PATIENCE.as_secs()
            ),
            None => {}
        }
    }
    consumer.unassign().context("leave the dead-letter topic")
}
