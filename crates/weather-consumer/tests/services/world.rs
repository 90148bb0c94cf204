//! What each test has of the outside world: a topic, a database and a landing of its own.

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use mongodb::bson::{Document, doc};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

use crate::reading::{reading, record};

/// Long enough for two cores that do everything at once.
pub(crate) const SOON: Duration = Duration::from_secs(90);

#[expect(clippy::disallowed_methods, reason = "tests have no Config")]
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test-rust`"))
}

#[expect(clippy::disallowed_methods, reason = "tests have no Config")]
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Waits until `look` finds it.
pub(crate) fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) struct World {
    pub(crate) topic: String,
    pub(crate) brokers: String,
    pub(crate) mongodb: String,
    pub(crate) landing: String,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl World {
    /// A world with a fresh topic of so many partitions, and a directory as landing.
    pub(crate) fn new(name: &str, partitions: i32) -> Self {
        Self::at(name, partitions, &variable("KAFKA_BOOTSTRAP_SERVERS"), &[])
    }

    pub(crate) fn at(
        name: &str,
        partitions: i32,
        brokers: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let topic = format!("{name}-{:08x}", fastrand::u32(..));
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .create()
            .unwrap();
        let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let new = settings
            .iter()
            .fold(new, |new, (key, value)| new.set(key, value));
        let made = runtime
            .block_on(admin.create_topics([&new], &AdminOptions::new()))
            .unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
        Self {
            topic,
            brokers: brokers.to_owned(),
            mongodb: variable("MONGODB_URI"),
            landing: format!("file://{}", folder.path().display()),
            runtime,
            _folder: folder,
        }
    }

    pub(crate) fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The same with a prefix of the bucket as landing.
    pub(crate) fn in_bucket(mut self) -> Self {
        self.landing = format!("s3://{}/{}", variable("DEVSTACK_BUCKET"), self.topic);
        self
    }

    pub(crate) fn dead_letters(&self) -> String {
        format!("{}.dead-letters", self.topic)
    }

    /// Sends records as they are.
    pub(crate) fn send(
        &self,
        records: impl IntoIterator<Item = (Option<Vec<u8>>, Option<Vec<u8>>)>,
    ) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("message.max.bytes", "30000000")
            .create()
            .unwrap();
        for (key, value) in records {
            loop {
                let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic);
                record.key = key.as_deref();
                record.payload = value.as_deref();
                if producer.send(record).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        producer.flush(SOON).unwrap();
        assert_eq!(producer.in_flight_count(), 0);
    }

    pub(crate) fn send_readings(&self, numbers: impl IntoIterator<Item = u64>) {
        self.send(
            numbers
                .into_iter()
                .map(|number| record(&reading(number, 0))),
        );
    }

    /// Every record of a topic, from its start to its present end.
    pub(crate) fn records(&self, topic: &str) -> Vec<rdkafka::message::OwnedMessage> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "reader-of-the-tests")
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), SOON).unwrap();
        let mut list = TopicPartitionList::new();
        let mut left = 0;
        for partition in metadata.topics()[0].partitions() {
            let (low, high) = consumer
                .fetch_watermarks(topic, partition.id(), SOON)
                .unwrap();
            left += high - low;
            list.add_partition_offset(topic, partition.id(), Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut records = Vec::new();
        let started = Instant::now();
        while (records.len() as i64) < left {
            assert!(started.elapsed() < SOON, "read {topic} from its start");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => records.push(message.detach()),
                Some(Err(error)) => panic!("read {topic}: {error}"),
                None => {}
            }
        }
        records
    }

    pub(crate) fn collection(&self) -> mongodb::Collection<Document> {
        let client = self
            .runtime
            .block_on(mongodb::Client::with_uri_str(variable("MONGODB_URI")))
            .unwrap();
        client.database(&self.database()).collection("readings")
    }

    pub(crate) fn database(&self) -> String {
        self.topic.replace('.', "_")
    }

    pub(crate) fn count(&self) -> u64 {
        self.runtime
            .block_on(self.collection().count_documents(doc! {}).into_future())
            .unwrap()
    }

    pub(crate) fn command(&self, command: Document) -> Document {
        let database = self.collection();
        self.runtime
            .block_on(
                database
                    .client()
                    .database(&self.database())
                    .run_command(command)
                    .into_future(),
            )
            .unwrap()
    }

    /// The group of this world's consumers: where two tests share one, each rebalances the other.
    pub(crate) fn group(&self) -> &str {
        &self.topic
    }

    /// How far the group has committed, all partitions together.
    pub(crate) fn committed(&self) -> i64 {
        self.committed_by(self.group())
    }

    pub(crate) fn committed_by(&self, group: &str) -> i64 {
        self.positions(&self.member(group)).values().sum()
    }

    /// Waits until the group has committed so much.
    pub(crate) fn until_committed(&self, count: i64) {
        self.until_committed_by(self.group(), count);
    }

    pub(crate) fn until_committed_by(&self, group: &str, count: i64) {
        let (asking, started) = (self.member(group), Instant::now());
        loop {
            let positions = self.positions(&asking);
            if positions.values().sum::<i64>() == count {
                return;
            }
            assert!(
                started.elapsed() < SOON,
                "{group} has not committed {count} within {SOON:?}: {positions:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A client that may ask about the group; it joins nothing.
    pub(crate) fn member(&self, group: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("group.id", group).create().unwrap()
    }

    /// The offset that the group has committed, by partition.
    fn positions(&self, asking: &BaseConsumer) -> BTreeMap<i32, i64> {
        let metadata = asking.fetch_metadata(Some(&self.topic), SOON).unwrap();
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            list.add_partition(&self.topic, partition.id());
        }
        // A group's first question may come before a fresh broker knows who coordinates it.
        let committed = eventually("the group's offsets are told", SOON, || {
            asking.committed_offsets(list.clone(), SOON).ok()
        });
        let position = |offset: Offset| offset.to_raw().unwrap_or(0).max(0);
        let elements = committed.elements();
        elements
            .iter()
            .map(|element| (element.partition(), position(element.offset())))
            .collect()
    }
}
