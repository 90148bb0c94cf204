//! One simulator, one broker, one clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use common::kafka::KafkaArgs;
use common::task::Closing;
use common::vitals::Vitals;
use common::weather::{CONTENT_HASH_HEADER, decode};
use devstack::open_meteo::{self, Control, Simulator};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;
use weather_producer::budget::Limits;
use weather_producer::clock::Clock;
use weather_producer::locations::{self, Location};
use weather_producer::metrics;
use weather_producer::open_meteo::{OpenMeteo, Settings};
use weather_producer::produce::Stage;
use weather_producer::topic::{NewTopic, Topic};

pub(crate) const TOPIC: &str = "weather";
pub(crate) const PARTITIONS: i32 = 4;
pub(crate) const START: &str = "2026-10-03T00:00:05Z";

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    /// Milliseconds since 1970, for simulator and producer.
    pub(crate) time: Arc<AtomicI64>,
}

/// A message as a consumer sees it, checked by the reader's own code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) event_id: String,
    pub(crate) location_id: String,
    pub(crate) slot: String,
    pub(crate) fetched_at: jiff::Timestamp,
    pub(crate) content_hash: String,
    pub(crate) value: serde_json::Value,
    /// The same, digit for digit.
    pub(crate) text: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_at(START).await
    }

    pub(crate) async fn start_at(start: &str) -> Self {
        let start: jiff::Timestamp = start.parse().unwrap();
        let time = Arc::new(AtomicI64::new(start.as_millisecond()));
        let clock = open_meteo::Clock::shared(Arc::clone(&time));
        let options = open_meteo::Options {
            clock,
            ..open_meteo::Options::default()
        };
        let simulator = Simulator::start(options).await.unwrap();
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
        Self {
            simulator,
            cluster,
            time,
        }
    }

    /// On the system's clock, for the program itself.
    pub(crate) async fn start_real() -> Self {
        let simulator = Simulator::start(open_meteo::Options::default())
            .await
            .unwrap();
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, PARTITIONS, 1).unwrap();
        Self {
            simulator,
            cluster,
            time: Arc::default(),
        }
    }

    pub(crate) fn control(&self) -> &Control {
        self.simulator.control()
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.time.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage_with(CancellationToken::new(), |_| {})
    }

    pub(crate) fn stage_with(
        &self,
        stop: CancellationToken,
        change: impl FnOnce(&mut Settings),
    ) -> Stage {
        let vitals = Vitals::new(metrics::METRICS);
        let clock = Clock::Jumping(Arc::clone(&self.time));
        let mut settings = Settings {
            forecast_url: self.simulator.forecast_url().parse().unwrap(),
            archive_url: self.simulator.archive_url().parse().unwrap(),
            historical_forecast_url: self.simulator.historical_forecast_url().parse().unwrap(),
            api_key: None,
            limits: Limits::FREE,
        };
        change(&mut settings);
        let kafka = KafkaArgs {
            bootstrap_servers: self.cluster.bootstrap_servers(),
            security_protocol: None,
            sasl_mechanism: None,
            username: None,
            password: None,
            ssl_ca_location: None,
        };
        Stage {
            open_meteo: OpenMeteo::new(settings, clock.clone(), vitals.clone(), stop.clone())
                .unwrap(),
            topic: Topic::open(&kafka, TOPIC, vitals.clone()).unwrap(),
            new_topic: NewTopic {
                partitions: PARTITIONS,
                replication_factor: 1,
                retention: None,
            },
            clock,
            vitals,
            stop,
            batch: 52,
            attempts: 4,
            delivery_timeout: Duration::from_secs(20),
        }
    }

    /// Everything in the topic, in the order of partition and offset.
    pub(crate) fn topic(&self) -> Vec<Seen> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "test")
            .set("enable.auto.commit", "false")
            .set("check.crcs", "true")
            .create()
            .unwrap();
        let timeout = Duration::from_secs(10);
        let mut assignment = TopicPartitionList::new();
        let mut left = 0;
        for partition in 0..PARTITIONS {
            let (low, high) = consumer
                .fetch_watermarks(TOPIC, partition, timeout)
                .unwrap();
            left += high - low;
            assignment
                .add_partition_offset(TOPIC, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut seen = Vec::new();
        while left > 0 {
            let message = consumer
                .poll(timeout)
                .expect("a message within its time")
                .unwrap();
            let decoded =
                decode(message.key(), message.payload()).expect("a message as its reader wants it");
            let headers = message.headers().expect("a header");
            let header = headers
                .iter()
                .find(|header| header.key == CONTENT_HASH_HEADER)
                .expect("a content hash");
            let content_hash = String::from_utf8(header.value.unwrap().to_vec()).unwrap();
            assert_eq!(content_hash, decoded.content_hash());
            seen.push(Seen {
                event_id: decoded.event_id.to_string(),
                location_id: decoded.location_id.to_string(),
                slot: decoded.slot.to_string(),
                fetched_at: decoded.fetched_at,
                content_hash,
                value: serde_json::from_slice(message.payload().unwrap()).unwrap(),
                text: String::from_utf8(message.payload().unwrap().to_vec()).unwrap(),
            });
            left -= 1;
        }
        seen
    }
}

/// What MongoDB would hold: one document for each event, the newest.
pub(crate) fn documents(seen: &[Seen]) -> BTreeMap<&str, &Seen> {
    let mut documents: BTreeMap<&str, &Seen> = BTreeMap::new();
    for message in seen {
        let held = documents
            .entry(message.event_id.as_str())
            .or_insert(message);
        if message.fetched_at > held.fetched_at {
            *held = message;
        }
    }
    documents
}

/// Location and slot of every document; each pair once, whatever its event id.
pub(crate) fn readings(seen: &[Seen]) -> BTreeSet<(&str, &str)> {
    let documents = documents(seen);
    let pairs: BTreeSet<_> = documents
        .values()
        .map(|seen| (seen.location_id.as_str(), seen.slot.as_str()))
        .collect();
    assert_eq!(
        pairs.len(),
        documents.len(),
        "one reading under two event ids"
    );
    pairs
}

pub(crate) fn places(count: usize) -> Vec<Location> {
    locations::parse(csv(count).as_bytes()).unwrap()
}

pub(crate) fn csv(count: usize) -> String {
    let row = |index: usize| {
        let (latitude, longitude) = (
            -40.0 + (index % 400) as f64 * 0.27,
            -10.0 + index as f64 * 0.11,
        );
        format!("place-{index},Place {index},{latitude:.3},{longitude:.4},Europe/Berlin\n")
    };
    "location_id,name,latitude,longitude,timezone\n".to_owned()
        + &(0..count).map(row).collect::<String>()
}

pub(crate) fn count(closing: &Closing, name: &str) -> u64 {
    closing.counts[name]
        .as_f64()
        .unwrap_or_else(|| panic!("no count {name}")) as u64
}
