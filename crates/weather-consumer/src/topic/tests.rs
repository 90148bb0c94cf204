use std::time::{Duration, Instant};

use common::{kafka::KafkaArgs, vitals::Vitals};
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::*;
use crate::metrics::METRICS;

pub(crate) const SOON: Duration = Duration::from_secs(30);

type Cluster = MockCluster<'static, DefaultProducerContext>;

pub(crate) fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("readings", 2, 1).unwrap();
    cluster
}

pub(crate) fn client(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    config
}

/// How far the group has committed, both partitions together.
pub(crate) fn committed(cluster: &Cluster) -> i64 {
    let asking: BaseConsumer = client(cluster).set("group.id", "group").create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range("readings", 0, 1);
    let committed = asking.committed_offsets(list, SOON).unwrap();
    let offsets = committed.elements().into_iter().map(|it| it.offset());
    offsets
        .map(|offset| offset.to_raw().unwrap_or(0).max(0))
        .sum()
}

pub(crate) fn join(cluster: &Cluster) -> Topic {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        kafka: KafkaArgs,
    }
    let line = [
        "x",
        "--kafka-bootstrap-servers",
        &cluster.bootstrap_servers(),
    ];
    let kafka = <Line as clap::Parser>::parse_from(line).kafka;
    let membership = Membership {
        group: "group".to_owned(),
        instance: None,
        session_timeout: Duration::from_secs(10),
    };
    Topic::join(&kafka, "readings", &membership, Vitals::new(METRICS)).unwrap()
}

/// Joined, and with the first change of the assignment not answered yet.
fn joined(cluster: &Cluster) -> (Topic, Change) {
    let topic = join(cluster);
    let started = Instant::now();
    loop {
        topic.poll(Duration::from_millis(50)).unwrap();
        if let Some(change) = topic.changes().pop() {
            return (topic, change);
        }
        assert!(started.elapsed() < SOON, "nothing was assigned");
    }
}

#[tokio::test]
async fn a_topic_with_an_unanswered_change_is_left_at_once() {
    let cluster = cluster();
    let (topic, change) = joined(&cluster);
    assert!(matches!(change, Change::Assign(_)));
    let (left, leaving) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(topic);
        left.send(()).unwrap();
    });
    assert!(leaving.recv_timeout(SOON).is_ok(), "it waits for ever");
}

#[tokio::test]
async fn a_commit_that_the_broker_refuses_is_told_as_refused() {
    let cluster = cluster();
    let (topic, change) = joined(&cluster);
    let Change::Assign(list) = change else {
        panic!("{change:?}")
    };
    topic.assign(&list).unwrap();
    let claim = Claim {
        partition: 1,
        number: 1,
    };
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[refusal]);
    let commit = || {
        topic.commit(vec![(claim, 7)]);
        assert!(topic.is_committing());
        let outcome = topic.outcome(SOON).unwrap().unwrap();
        assert!(!topic.is_committing());
        assert_eq!(outcome.offsets, [(claim, 7)]);
        outcome.result
    };
    let code = commit().unwrap_err().rdkafka_error_code();
    assert_eq!(code, Some(RDKafkaErrorCode::RebalanceInProgress));
    assert!(commit().is_ok());
}

/// Counts the calls for a token, and has none.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicUsize);

impl rdkafka::ClientContext for Counting {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(
        &self,
        _config: Option<&str>,
    ) -> Result<rdkafka::client::OAuthToken, Box<dyn std::error::Error>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Err("none".into())
    }
}

impl ConsumerContext for Counting {}

#[test]
fn a_client_that_only_asks_is_given_its_token() {
    for group in [None, Some("group")] {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", "127.0.0.1:9")
            .set("security.protocol", "sasl_plaintext")
            .set("sasl.mechanism", "OAUTHBEARER");
        if let Some(group) = group {
            config.set("group.id", group);
        }
        let consumer: BaseConsumer<Counting> =
            config.create_with_context(Counting::default()).unwrap();
        let asked = || {
            consumer
                .context()
                .0
                .load(std::sync::atomic::Ordering::SeqCst)
        };
        // Asking alone does not do it.
        assert!(
            consumer
                .fetch_metadata(None, Duration::from_millis(500))
                .is_err()
        );
        assert_eq!(asked(), 0);
        serve_token(&consumer);
        assert_eq!(asked(), 1);
    }
}
