//! What the programs are measured on: topics of readings in the broker, collections in MongoDB.

use std::time::{Duration, Instant};

use common::weather::{self, Decimal, Message, Source};
use jiff::{SignedDuration, Timestamp};
use mongodb::{
    Client,
    bson::{Document, doc},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use tokio::runtime::Runtime;

pub(crate) const PARTITIONS: u64 = 12;
/// A multiple of the partitions, so that each location has one.
const LOCATIONS: u64 = 96;
pub(crate) const COLLECTION: &str = "readings";
/// Far longer than anything here takes; whoever needs it has failed.
const LIMIT: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_micros(200);

pub(crate) struct World {
    pub(crate) brokers: String,
    pub(crate) mongodb: String,
    client: Client,
    runtime: Runtime,
}

impl World {
    pub(crate) fn open() -> Self {
        let mongodb =
            setting("MONGODB_URI").expect("MONGODB_URI is not set: run `make bench-weather`");
        let runtime = Runtime::new().unwrap();
        Self {
            brokers: setting("KAFKA_BOOTSTRAP_SERVERS").unwrap(),
            client: runtime.block_on(Client::with_uri_str(&mongodb)).unwrap(),
            mongodb,
            runtime,
        }
    }

    fn wait_for<T>(&self, future: impl IntoFuture<Output = mongodb::error::Result<T>>) -> T {
        self.runtime.block_on(future.into_future()).unwrap()
    }

    pub(crate) fn create_topic(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.kafka().create().unwrap();
        let new = NewTopic::new(topic, PARTITIONS as i32, TopicReplication::Fixed(1));
        let made = self
            .runtime
            .block_on(admin.create_topics([&new], &AdminOptions::new()))
            .unwrap();
        made.into_iter().for_each(|made| drop(made.unwrap()));
    }

    fn kafka(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// A topic with so many readings, lz4 as `weather-producer` sends them.
    pub(crate) fn fill(&self, topic: &str, readings: u64) {
        self.create_topic(topic);
        let sender = self.sender(topic, "5");
        (0..readings).for_each(|number| sender.send(number));
        sender.flush();
    }

    pub(crate) fn sender(&self, topic: &str, linger_milliseconds: &str) -> Sender {
        let producer = self
            .kafka()
            .set("compression.type", "lz4")
            .set("linger.ms", linger_milliseconds)
            .create()
            .unwrap();
        Sender {
            producer,
            topic: topic.to_owned(),
        }
    }

    /// An empty database with the index that ours makes: whoever writes there has the same to do.
    pub(crate) fn create_database(&self, database: &str) {
        let index = doc! { "key": { "location_id": 1, "slot": -1 }, "name": "location_id_slot" };
        let command = doc! { "createIndexes": COLLECTION, "indexes": [index] };
        let database = self.client.database(database);
        self.wait_for(database.run_command(command));
    }

    pub(crate) fn drop_database(&self, database: &str) {
        self.wait_for(self.client.database(database).drop());
    }

    fn collection(&self, database: &str) -> mongodb::Collection<Document> {
        self.client.database(database).collection(COLLECTION)
    }

    pub(crate) fn count(&self, database: &str) -> u64 {
        self.wait_for(self.collection(database).count_documents(doc! {}))
    }

    /// How many of these are there.
    pub(crate) fn count_of(&self, database: &str, event_ids: &[String]) -> usize {
        let filter = doc! { "_id": { "$in": event_ids } };
        self.wait_for(self.collection(database).count_documents(filter)) as usize
    }

    /// Returns at the moment at which the document is there.
    pub(crate) fn until_stored(&self, database: &str, filter: &Document, alive: &mut impl FnMut()) {
        let (collection, started) = (self.collection(database), Instant::now());
        while self.wait_for(collection.find_one(filter.clone())).is_none() {
            alive();
            assert!(
                started.elapsed() < LIMIT,
                "{filter} is not in {database} after {LIMIT:?}"
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Sends readings to one topic.
pub(crate) struct Sender {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Sender {
    /// The reading with this number, on the partition that its location always has.
    pub(crate) fn send(&self, number: u64) {
        let reading = reading(number);
        let value = reading.encode();
        loop {
            let record = BaseRecord::to(&self.topic)
                .partition((number % PARTITIONS) as i32)
                .key(reading.location_id.as_ref())
                .payload(&value);
            if self.producer.send(record).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1)); // its queue is full
        }
    }

    pub(crate) fn flush(&self) {
        self.producer.flush(LIMIT).unwrap();
    }
}

pub(crate) fn event_id(number: u64) -> String {
    reading(number).event_id.into_owned()
}

fn reading(number: u64) -> Message<'static> {
    let location_id = format!("place-{}", number % LOCATIONS);
    let first: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let slot = first + SignedDuration::from_secs((number / LOCATIONS * 900) as i64);
    let decimal = |text: String| Decimal::parse(text).unwrap();
    let value = |place: usize| {
        Some(decimal(format!(
            "{}.{}",
            (number + place as u64) % 40,
            place
        )))
    };
    let mut values = std::array::from_fn(value);
    values[5] = Some(decimal((number % 4).to_string())); // the weather code, a whole number
    Message {
        event_id: weather::event_id(&location_id, slot, 900, Source::Forecast).into(),
        location_id: location_id.into(),
        latitude: decimal("52.520".to_owned()),
        longitude: decimal("13.419998".to_owned()),
        elevation_metres: Some(decimal("38.0".to_owned())),
        slot,
        slot_seconds: 900,
        source: Source::Forecast,
        model: "best_match".into(),
        fetched_at: slot + SignedDuration::from_secs(4),
        values,
        extra: weather::Extra::default(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no Config")]
pub(crate) fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
