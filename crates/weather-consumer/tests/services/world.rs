//! What each test has of the outside world: a topic, a database and a landing of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{
    storage::{LandingUrl, Storage},
    weather::{self, Decimal, Message, Source},
};
use jiff::{SignedDuration, Timestamp};
use mongodb::bson::{Document, doc};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::reader::ChunkReader};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use weather_consumer::landing::{Footer, footer};

/// Long enough for two cores that do everything at once.
pub(crate) const SOON: Duration = Duration::from_secs(180);

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

/// A row of a landed file, as far as tests look at it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Landed {
    pub(crate) event_id: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) fetched_at: i64,
    pub(crate) temperature: Option<f64>,
}

/// What counts of a document: milliseconds of its `fetched_at`, and its temperature.
type Stored = (i64, Option<f64>);

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

    /// The collection by event id: when it was fetched, and its temperature.
    pub(crate) fn documents(&self) -> BTreeMap<String, (i64, Option<f64>)> {
        let collection = self.collection();
        self.runtime.block_on(async {
            let mut cursor = collection.find(doc! {}).await.unwrap();
            let mut documents = BTreeMap::new();
            while cursor.advance().await.unwrap() {
                let document: Document = cursor.deserialize_current().unwrap();
                let fetched = document
                    .get_datetime("fetched_at")
                    .unwrap()
                    .timestamp_millis();
                let temperature = document.get_f64("temperature_celsius").ok();
                documents.insert(
                    document.get_str("_id").unwrap().to_owned(),
                    (fetched, temperature),
                );
            }
            documents
        })
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

    /// Every landed file with its footer.
    pub(crate) fn files(&self) -> Vec<(String, Footer, Bytes)> {
        let url: LandingUrl = self.landing.parse().unwrap();
        self.runtime.block_on(async {
            let storage = Storage::open(&url).await.unwrap();
            let mut files = Vec::new();
            for object in storage.list("source=kafka/type=weather/").await.unwrap() {
                let (body, _) = storage.get(&object.key).await.unwrap().unwrap();
                files.push((object.key, footer(&body).unwrap(), body));
            }
            files
        })
    }

    /// Every landed row, by partition and offset.
    pub(crate) fn rows(&self) -> Vec<Landed> {
        let mut rows: Vec<Landed> = self
            .files()
            .into_iter()
            .flat_map(|(_, _, body)| rows_of(body))
            .collect();
        rows.sort_by_key(|row| (row.partition, row.offset));
        rows
    }

    /// The good records of the topic, as both sinks should have them.
    pub(crate) fn expected(&self) -> (BTreeMap<String, Stored>, Vec<Landed>) {
        let (mut documents, mut rows) = (BTreeMap::new(), Vec::new());
        for record in self.records(&self.topic) {
            let Ok(reading) = weather::decode(record.key(), record.payload()) else {
                continue;
            };
            let temperature = reading.values[0].as_ref().map(Decimal::as_f64);
            let fetched_at = reading.fetched_at.as_millisecond();
            let newest = documents
                .entry(reading.event_id.to_string())
                .or_insert((fetched_at, temperature));
            if newest.0 < fetched_at {
                *newest = (fetched_at, temperature);
            }
            rows.push(Landed {
                event_id: reading.event_id.to_string(),
                partition: record.partition(),
                offset: record.offset(),
                fetched_at,
                temperature,
            });
        }
        rows.sort_by_key(|row| (row.partition, row.offset));
        (documents, rows)
    }

    /// Both sinks hold every good record exactly once.
    pub(crate) fn assert_whole(&self) {
        let (documents, rows) = self.expected();
        assert!(
            self.documents() == documents,
            "MongoDB differs from the topic"
        );
        self.assert_landed(&rows);
    }

    pub(crate) fn assert_landed(&self, expected: &[Landed]) {
        let landed = self.rows();
        let places: BTreeSet<_> = landed
            .iter()
            .map(|row| (row.partition, row.offset))
            .collect();
        assert_eq!(places.len(), landed.len(), "a record is in two files");
        assert_eq!(
            landed.len(),
            expected.len(),
            "the landing has another number of rows than the topic"
        );
        assert!(landed == expected, "the landing differs from the topic");
    }

    /// How far the group has committed, all partitions together.
    pub(crate) fn committed(&self, group: &str) -> i64 {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(&self.topic), SOON).unwrap();
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            list.add_partition(&self.topic, partition.id());
        }
        let committed = consumer.committed_offsets(list, SOON).unwrap();
        committed
            .elements()
            .iter()
            .filter_map(|element| element.offset().to_raw())
            .map(|offset| offset.max(0))
            .sum()
    }
}

fn rows_of(body: Bytes) -> Vec<Landed> {
    use arrow_array::{
        Array as _, Float64Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray,
    };
    assert!(body.len() > 8 && ChunkReader::get_bytes(&body, 0, 4).unwrap() == "PAR1");
    let reader = ParquetRecordBatchReaderBuilder::try_new(body)
        .unwrap()
        .build()
        .unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().as_any();
        let texts = column("event_id").downcast_ref::<StringArray>().unwrap();
        let partitions = column("_partition").downcast_ref::<Int32Array>().unwrap();
        let offsets = column("_offset").downcast_ref::<Int64Array>().unwrap();
        let fetched = column("fetched_at")
            .downcast_ref::<TimestampMillisecondArray>()
            .unwrap();
        let temperatures = column("temperature_celsius")
            .downcast_ref::<Float64Array>()
            .unwrap();
        rows.extend((0..batch.num_rows()).map(|row| Landed {
            event_id: texts.value(row).to_owned(),
            partition: partitions.value(row),
            offset: offsets.value(row),
            fetched_at: fetched.value(row),
            temperature: temperatures.is_valid(row).then(|| temperatures.value(row)),
        }));
    }
    rows
}

/// The reading with this number, in one of its revisions: fifty places, one slot after the other.
pub(crate) fn reading(number: u64, revision: i64) -> Message<'static> {
    let location_id = format!("place-{}", number % 50);
    let start: Timestamp = "2026-10-03T12:30:00Z".parse().unwrap();
    let slot = start + SignedDuration::from_secs(i64::try_from(number / 50).unwrap() * 900);
    let decimal = |text: String| Decimal::parse(text).unwrap();
    let mut values = [const { None }; weather::VALUES.len()];
    values[0] = Some(decimal(format!("{}.{}", number % 40, revision)));
    values[1] = Some(decimal("66".to_owned()));
    values[5] = Some(decimal("2".to_owned()));
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
        fetched_at: slot + SignedDuration::from_millis(4120 + revision),
        values,
        extra: weather::Extra::default(),
    }
}

pub(crate) fn record(reading: &Message<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    (
        Some(reading.location_id.as_bytes().to_vec()),
        Some(reading.encode()),
    )
}
