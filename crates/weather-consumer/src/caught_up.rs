//! Whether a group has stored all that a topic held when it was asked: what `--until-caught-up` waits for.

use std::time::Duration;

use anyhow::Context as _;
use common::kafka::KafkaArgs;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::topic::{ANSWER_LIMIT, Quiet, client_config, ends, refused, serve_token};

/// The group is asked this often how far it is.
const EVERY: Duration = Duration::from_millis(500);

/// A client beside the group's members, which asks how far they are.
pub struct Goal {
    consumer: BaseConsumer<Quiet>,
    topic: String,
    /// Partition, and the offset that is to be committed.
    ends: Option<Vec<(i32, i64)>>,
}

impl Goal {
    /// To be called on the runtime, as [`Quiet`] is.
    ///
    /// # Errors
    /// Settings that librdkafka does not take.
    pub fn new(kafka: &KafkaArgs, topic: &str, group: &str) -> anyhow::Result<Self> {
        let consumer = client_config(kafka)?
            .set("group.id", group)
            .create_with_context(Quiet::on_this_runtime())
            .map_err(refused)?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
            ends: None,
        })
    }

    /// Cancels `stop` once all that is in the topic now is stored and committed. Kafka may be away.
    pub async fn reach(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let asked = tokio::task::spawn_blocking(move || {
                let reached = self.is_reached();
                (self, reached)
            });
            let Ok((goal, reached)) = asked.await else {
                return; // a panic, and it is told
            };
            self = goal;
            match reached {
                Ok(true) => {
                    info!("caught up with what the topic held");
                    stop.cancel();
                }
                Ok(false) => {}
                Err(error) => warn!(
                    error = format!("{error:#}"),
                    "could not ask how far the group is"
                ),
            }
            tokio::select! {
                () = sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn is_reached(&mut self) -> anyhow::Result<bool> {
        let ends = match &self.ends {
            Some(ends) => ends,
            None => {
                let ends = ends(&self.consumer, &self.topic)?;
                let held = ends.into_iter().filter(|(_, first, end)| first < end);
                self.ends
                    .insert(held.map(|(number, _, end)| (number, end)).collect())
            }
        };
        let mut wanted = TopicPartitionList::with_capacity(ends.len());
        for (number, _) in ends {
            wanted.add_partition(&self.topic, *number);
        }
        serve_token(&self.consumer);
        let committed = self
            .consumer
            .committed_offsets(wanted, ANSWER_LIMIT)
            .context("ask for the group's offsets")?;
        Ok(ends.iter().all(|(number, end)| {
            let committed = committed.find_partition(&self.topic, *number);
            committed.is_some_and(|it| matches!(it.offset(), Offset::Offset(at) if at >= *end))
        }))
    }
}

impl std::fmt::Debug for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Goal")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
