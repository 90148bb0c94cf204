//! What librdkafka tells while it is polled: assignments, errors, statistics, commits that failed.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use common::{kafka::Signer, task::Refused, vitals::Vitals};
use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::runtime::Handle;
use tracing::{debug, info, warn};

use super::quiet::oauth_token;
use crate::metrics::READY_KAFKA;

/// A change of the assignment that the polling thread must answer.
#[derive(Clone, Debug)]
pub enum Change {
    Assign(TopicPartitionList),
    Revoke {
        partitions: TopicPartitionList,
        /// They are somebody else's already: nothing of them may be committed.
        lost: bool,
    },
}

/// The context of the consumer.
pub struct Events {
    topic: String,
    signer: Signer,
    vitals: Vitals,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Not taken note of yet.
    changes: Vec<Change>,
    /// librdkafka waits for the answer, and changes nothing else before it has it.
    unanswered: Option<Change>,
    /// What no waiting changes.
    failure: Option<anyhow::Error>,
    partitions: HashMap<i32, Offsets>,
    /// Errors that stand, each told once.
    told: BTreeMap<String, u64>,
    closing: bool,
}

/// What librdkafka knows of a partition; negative where it does not know.
struct Offsets {
    first: i64,
    committed: i64,
    end: i64,
}

impl Events {
    pub(super) fn new(topic: &str, vitals: Vitals) -> Self {
        Self {
            topic: topic.to_owned(),
            signer: Signer::new(Handle::current()),
            vitals,
            state: Mutex::default(),
        }
    }

    pub(super) fn take_changes(&self) -> Vec<Change> {
        mem::take(&mut self.state().changes)
    }

    pub(super) fn answered(&self) {
        self.state().unanswered = None;
    }

    pub(super) fn failure(&self) -> Option<anyhow::Error> {
        self.state().failure.take()
    }

    pub(super) fn end(&self, partition: i32) -> Option<i64> {
        let end = self.state().partitions.get(&partition)?.end;
        (end >= 0).then_some(end)
    }

    pub(super) fn start(&self, partition: i32) -> Option<i64> {
        let state = self.state();
        let Offsets {
            committed, first, ..
        } = state.partitions.get(&partition)?;
        [*committed, *first].into_iter().find(|offset| *offset >= 0)
    }

    /// From now on changes are answered at once; gives the one that still waits.
    pub(super) fn close(&self) -> Option<Change> {
        let mut state = self.state();
        state.closing = true;
        state.unanswered.take()
    }

    /// Ends the program for what waiting does not change; the rest is told and tried again.
    pub(super) fn judge(&self, error: &KafkaError) -> anyhow::Result<()> {
        if let KafkaError::MessageConsumptionFatal(code) = error {
            return Err(anyhow::Error::new(error.clone())
                .context(format!("consume {}: {code:?} is fatal", self.topic)));
        }
        let Some(code) = error.rdkafka_error_code() else {
            warn!(error = error.to_string(), "Kafka told of an error");
            return Ok(());
        };
        if is_refusal(code) {
            let refusal = Refused::new(format!(
                "consume {}: Kafka refused: {code:?}; check the KAFKA_* settings and the topic's and group's access",
                self.topic
            ));
            return Err(anyhow::Error::new(refusal));
        }
        match code {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                self.vitals.not_ready(
                    READY_KAFKA,
                    format!("topic {} does not exist yet", self.topic),
                );
            }
            RDKafkaErrorCode::AllBrokersDown => {
                self.vitals.not_ready(READY_KAFKA, "no broker answers");
            }
            _ => {}
        }
        let text = error.to_string();
        let mut state = self.state();
        let times = state.told.entry(text.clone()).or_default();
        *times += 1;
        if *times == 1 {
            warn!(error = text, "waiting for Kafka");
        } else {
            debug!(error = text, "still waiting for Kafka");
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Credentials or rights that somebody must change first.
fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::InvalidGroupId
            | RDKafkaErrorCode::InvalidSessionTimeout
    )
}

impl ClientContext for Events {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth_token(&self.signer)
    }

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, text: &str) {
        debug!(target: "librdkafka", facility, "{text}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(error = error.to_string(), reason, "Kafka told of an error");
        if let Err(failure) = self.judge(&error) {
            self.state().failure = Some(failure);
        }
    }

    fn stats(&self, statistics: Statistics) {
        let joined = statistics
            .cgrp
            .is_some_and(|group| group.join_state == "steady");
        let connected = statistics
            .brokers
            .values()
            .any(|broker| broker.nodeid >= 0 && broker.state == "UP");
        let mut state = self.state();
        if joined && connected {
            self.vitals.ready(READY_KAFKA);
            state.told.clear();
        } else if !connected {
            self.vitals.not_ready(READY_KAFKA, "no broker answers");
        }
        if let Some(topic) = statistics.topics.get(&self.topic) {
            let known = topic.partitions.values().map(|partition| {
                let offsets = Offsets {
                    first: partition.lo_offset,
                    committed: partition.committed_offset,
                    end: partition.hi_offset,
                };
                (partition.partition, offsets)
            });
            state.partitions = known.collect();
        }
    }
}

impl ConsumerContext for Events {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let change = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                Change::Assign(partitions.clone())
            }
            _ => Change::Revoke {
                partitions: partitions.clone(),
                lost: consumer.assignment_lost(),
            },
        };
        if self.state().closing {
            // Everything was drained and committed before; librdkafka only wants it given up.
            if let Err(error) = change.give_in(consumer) {
                debug!(
                    error = error.to_string(),
                    "gave the assignment up while leaving"
                );
            }
            return;
        }
        info!(
            partitions.count = partitions.count(),
            change = change.name(),
            "the group changed our assignment"
        );
        let mut state = self.state();
        state.unanswered = Some(change.clone());
        state.changes.push(change);
    }
}

impl Change {
    fn name(&self) -> &'static str {
        match self {
            Self::Assign(_) => "assigned",
            Self::Revoke { lost: false, .. } => "revoked",
            Self::Revoke { lost: true, .. } => "lost",
        }
    }

    /// Lets librdkafka have its way.
    pub(super) fn give_in(&self, consumer: &BaseConsumer<Events>) -> KafkaResult<()> {
        match self {
            Self::Assign(partitions) => consumer.incremental_assign(partitions),
            Self::Revoke { partitions, .. } => consumer.incremental_unassign(partitions),
        }
    }
}
