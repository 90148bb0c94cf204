//! The topic as a broker makes it.

use std::time::Duration;

use common::kafka::KafkaArgs;
use common::vitals::Vitals;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tokio_util::sync::CancellationToken;
use weather_producer::metrics;
use weather_producer::topic::{NewTopic, Record, Topic};

use super::variable;

const PATIENCE: Duration = Duration::from_secs(20);

fn kafka() -> KafkaArgs {
    KafkaArgs {
        bootstrap_servers: variable("KAFKA_BOOTSTRAP_SERVERS"),
        security_protocol: None,
        sasl_mechanism: None,
        username: None,
        password: None,
        ssl_ca_location: None,
    }
}

fn open(name: &str) -> Topic {
    Topic::open(&kafka(), name, Vitals::new(metrics::METRICS)).unwrap()
}

fn name() -> String {
    format!("producer-{:016x}", fastrand::u64(..))
}

fn new_topic(partitions: i32) -> NewTopic {
    NewTopic {
        partitions,
        replication_factor: -1,
        retention: None,
    }
}

async fn retention(topic: &str) -> String {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", variable("KAFKA_BOOTSTRAP_SERVERS"))
        .create()
        .unwrap();
    let wanted = [&ResourceSpecifier::Topic(topic)];
    let described = admin.describe_configs(wanted, &AdminOptions::new()).await;
    let described = described.unwrap().remove(0).unwrap();
    described
        .get("retention.ms")
        .unwrap()
        .value
        .clone()
        .unwrap()
}

#[tokio::test]
async fn a_missing_topic_is_made_with_its_partitions_and_keeps_readings_for_ever() {
    let (name, new) = (name(), new_topic(5));
    let topic = open(&name);
    assert_eq!(topic.partitions(PATIENCE).await.unwrap(), None);
    topic.create_if_missing(&new, PATIENCE).await.unwrap();
    assert_eq!(topic.partitions(PATIENCE).await.unwrap(), Some(5));
    assert_eq!(retention(&name).await, "-1");
}

#[tokio::test]
async fn a_topic_that_is_there_stays_as_it_is() {
    let name = name();
    open(&name)
        .create_if_missing(&new_topic(3), PATIENCE)
        .await
        .unwrap();
    open(&name)
        .create_if_missing(&new_topic(9), PATIENCE)
        .await
        .unwrap();
    assert_eq!(open(&name).partitions(PATIENCE).await.unwrap(), Some(3));
}

#[tokio::test]
async fn readings_are_acknowledged_and_a_reading_beyond_the_limit_is_named() {
    let name = name();
    let mut topic = open(&name);
    topic
        .create_if_missing(&new_topic(1), PATIENCE)
        .await
        .unwrap();
    let record = |bytes: usize| Record {
        key: "place".to_owned(),
        value: vec![b'x'; bytes],
        content_hash: "hash".to_owned(),
    };
    let stop = CancellationToken::new();
    for _ in 0..1_000 {
        topic.send(record(500), &stop).await.unwrap();
    }
    assert!(topic.settle(PATIENCE).await.unwrap());
    assert_eq!(topic.acknowledged(), 1_000);
    let error = topic.send(record(2_000_000), &stop).await.unwrap_err();
    assert!(format!("{error:#}").contains(&name), "{error:#}");
}
