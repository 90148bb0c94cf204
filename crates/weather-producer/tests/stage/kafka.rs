//! Troubles of Kafka: nothing is lost, and nothing is given up early.

use std::time::Duration;

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use weather_producer::metrics;
use weather_producer::produce;
use weather_producer::topic::Record;

use super::world::{World, count, places, readings};

const MAX_WAIT: Duration = Duration::from_secs(900);

#[tokio::test]
async fn a_fatal_error_of_the_producer_is_survived() {
    let world = World::start().await;
    let mut stage = world.stage();
    let places = places(60);
    // The producer loses count with the broker, which librdkafka cannot repair.
    let lost_count = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 2];
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &lost_count);
    let closing = produce::once(&mut stage, &places, MAX_WAIT).await.unwrap();
    assert!(closing.failure.is_none(), "{:?}", closing.failure);
    assert_eq!(count(&closing, "sent"), 60);
    assert!(
        stage.vitals.total(&metrics::RECREATED) >= 1.0,
        "the error was not fatal"
    );
    assert_eq!(readings(&world.topic()).len(), 60);
}

#[tokio::test]
async fn a_broker_that_is_away_for_a_while_is_waited_for() {
    let world = World::start().await;
    let mut stage = world.stage();
    produce::once(&mut stage, &places(5), MAX_WAIT)
        .await
        .unwrap();
    world.cluster.broker_down(1).unwrap();
    let record = Record {
        key: "place-0".into(),
        value: b"{}".to_vec(),
        content_hash: "x".into(),
    };
    stage.topic.send(record, &stage.stop).await.unwrap();
    assert!(!stage.topic.settle(Duration::from_secs(2)).await.unwrap());
    assert_eq!(stage.topic.waiting(), 1);
    world.cluster.broker_up(1).unwrap();
    assert!(stage.topic.settle(Duration::from_secs(20)).await.unwrap());
    assert_eq!(stage.topic.acknowledged(), 6);
}

#[tokio::test]
async fn a_topic_that_may_not_be_written_is_a_configuration_that_no_retry_helps() {
    let world = World::start().await;
    let denied = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 4];
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &denied);
    let failed = produce::once(&mut world.stage(), &places(1), MAX_WAIT)
        .await
        .unwrap_err();
    assert!(common::task::is_refused(&failed), "{failed:#}");
}

#[tokio::test]
async fn a_broker_that_stays_away_fails_the_run_in_its_time_and_says_so() {
    let world = World::start().await;
    let mut stage = world.stage();
    stage.delivery_timeout = Duration::from_secs(2);
    world.cluster.broker_down(1).unwrap();
    let failed = produce::once(&mut stage, &places(1), MAX_WAIT)
        .await
        .unwrap_err();
    assert!(
        format!("{failed:#}").contains("no broker answered"),
        "{failed:#}"
    );
    assert!(
        world.control().requests().is_empty(),
        "no call is spent while nobody takes its answer"
    );
}
