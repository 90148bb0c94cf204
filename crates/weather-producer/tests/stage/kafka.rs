//! Troubles of Kafka: nothing is lost, and nothing is given up early.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::kafka::KafkaArgs;
use common::vitals::Vitals;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio_util::sync::CancellationToken;
use weather_producer::metrics;
use weather_producer::produce;
use weather_producer::topic::{Record, Topic};

use super::world::{World, count, places, readings};

const MAX_WAIT: Duration = Duration::from_secs(900);
const IN_TIME: Duration = Duration::from_secs(20);
/// The producer loses count with the broker, which librdkafka cannot repair.
const LOST_COUNT: [RDKafkaRespErr; 2] =
    [RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 2];

fn record() -> Record {
    Record {
        key: "place-0".into(),
        value: b"{}".to_vec(),
        content_hash: "x".into(),
    }
}

#[tokio::test]
async fn a_fatal_error_of_the_producer_is_survived() {
    let world = World::start().await;
    let mut stage = world.stage();
    let places = places(60);
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &LOST_COUNT);
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
async fn a_fatal_error_between_two_records_is_survived() {
    let world = World::start().await;
    let mut stage = world.stage();
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &LOST_COUNT);
    let deadline = Instant::now() + IN_TIME;
    let mut sent = 0;
    while stage.vitals.total(&metrics::RECREATED) < 1.0 {
        assert!(Instant::now() < deadline, "the error was not fatal");
        let sending = stage.topic.send(record(), &stage.stop);
        let done = tokio::time::timeout(IN_TIME, sending).await;
        done.expect("a record is handed over within its time")
            .unwrap();
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(stage.topic.settle(IN_TIME).await.unwrap());
    assert_eq!(stage.topic.acknowledged(), sent);
}

#[tokio::test]
async fn a_wait_that_is_dropped_while_the_producer_is_replaced_loses_nothing() {
    let world = World::start().await;
    let mut stage = world.stage();
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &LOST_COUNT);
    for _ in 0..100 {
        stage.topic.send(record(), &stage.stop).await.unwrap();
    }
    let deadline = Instant::now() + IN_TIME;
    loop {
        assert!(
            Instant::now() < deadline,
            "{} still wait",
            stage.topic.waiting()
        );
        // Shorter than the shortest pause before the next producer.
        let cut = Duration::from_millis(20);
        if let Ok(settled) = tokio::time::timeout(cut, stage.topic.settle(IN_TIME)).await {
            assert!(settled.unwrap());
            break;
        }
    }
    assert!(stage.vitals.total(&metrics::RECREATED) >= 1.0);
    assert_eq!(stage.topic.acknowledged(), 100);
}

#[tokio::test]
async fn a_producer_that_may_not_have_an_id_is_a_configuration_that_no_retry_helps() {
    let world = World::start().await;
    let denied = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED; 8];
    world
        .cluster
        .request_errors(RDKafkaApiKey::InitProducerId, &denied);
    let mut stage = world.stage();
    let places = places(3);
    let running = produce::once(&mut stage, &places, MAX_WAIT);
    let ended = tokio::time::timeout(IN_TIME, running).await;
    let failed = ended.expect("an end within its time").unwrap_err();
    assert!(common::task::is_refused(&failed), "{failed:#}");
}

#[tokio::test]
async fn refused_credentials_are_a_configuration_that_no_retry_helps() {
    let world = World::start().await;
    let kafka = KafkaArgs {
        bootstrap_servers: refuses_everybody().to_string(),
        security_protocol: Some("sasl_plaintext".to_owned()),
        sasl_mechanism: Some("PLAIN".to_owned()),
        username: Some("somebody".to_owned()),
        password: Some("wrong".into()),
        ssl_ca_location: None,
    };
    let open = || Topic::open(&kafka, super::world::TOPIC, Vitals::new(metrics::METRICS)).unwrap();
    let mut stage = world.stage();
    stage.delivery_timeout = Duration::from_secs(120);
    stage.topic = open();
    let started = Instant::now();
    let failed = produce::once(&mut stage, &places(1), MAX_WAIT)
        .await
        .unwrap_err();
    assert!(common::task::is_refused(&failed), "{failed:#}");
    assert!(started.elapsed() < IN_TIME);
    assert!(world.control().requests().is_empty());

    let mut topic = open();
    topic
        .send(record(), &CancellationToken::new())
        .await
        .unwrap();
    let failed = topic.settle(IN_TIME).await.unwrap_err();
    assert!(common::task::is_refused(&failed), "{failed:#}");
}

/// A broker that knows nobody. The mock cluster lets everybody in.
fn refuses_everybody() -> SocketAddr {
    const API_VERSIONS: i16 = 18;
    const SASL_HANDSHAKE: i16 = 17;
    const SASL_AUTHENTICATE: i16 = 36;
    fn serve(mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request)?;
            let key = i16::from_be_bytes([request[0], request[1]]);
            // The correlation id, and no error.
            let mut answer = request[4..8].to_vec();
            match key {
                API_VERSIONS => {
                    let known = [API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE];
                    answer.extend([0, 0, known.len() as u8 + 1]);
                    for key in known {
                        answer.extend(key.to_be_bytes());
                        // From version 0 to 3, 1 and 0.
                        let newest = match key {
                            API_VERSIONS => 3,
                            SASL_HANDSHAKE => 1,
                            _ => 0,
                        };
                        answer.extend([0, 0, 0, newest, 0]);
                    }
                    answer.extend([0; 5]);
                }
                SASL_HANDSHAKE => answer.extend(b"\0\0\0\0\0\x01\0\x05PLAIN"),
                SASL_AUTHENTICATE => {
                    answer.extend(b"\0\x3a\0\x15Authentication failed\0\0\0\0");
                }
                _ => return Ok(()),
            }
            stream.write_all(&(answer.len() as u32).to_be_bytes())?;
            stream.write_all(&answer)?;
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever was refused goes away.
            std::thread::spawn(|| drop(serve(stream)));
        }
    });
    address
}

#[tokio::test]
async fn a_broker_that_is_away_for_a_while_is_waited_for() {
    let world = World::start().await;
    let mut stage = world.stage();
    produce::once(&mut stage, &places(5), MAX_WAIT)
        .await
        .unwrap();
    world.cluster.broker_down(1).unwrap();
    stage.topic.send(record(), &stage.stop).await.unwrap();
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
