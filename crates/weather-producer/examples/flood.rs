//! How fast readings reach Kafka: `flood ours|bare COUNT`, for the benchmark; prints messages a second.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;
use common::kafka::KafkaArgs;
use common::vitals::Vitals;
use common::weather::CONTENT_HASH_HEADER;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio_util::sync::CancellationToken;
use weather_producer::metrics;
use weather_producer::topic::{NewTopic, Record, Topic};

const PATIENCE: Duration = Duration::from_secs(120);
/// As many bytes as a reading has.
const BYTES: usize = 600;
const LOCATIONS: usize = 104;

#[derive(Parser)]
struct Config {
    /// `ours`, or `bare`: an idempotent producer and nothing else.
    who: String,
    count: usize,
    #[command(flatten)]
    kafka: KafkaArgs,
    #[arg(long, default_value = "flood")]
    topic: String,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figure is what it is for")]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let mut topic = Topic::open(&config.kafka, &config.topic, Vitals::new(metrics::METRICS))?;
    let new = NewTopic {
        partitions: 12,
        replication_factor: -1,
        retention: None,
    };
    topic.create_if_missing(&new, PATIENCE).await?;
    let records: Vec<_> = (0..LOCATIONS)
        .map(|location| Record {
            key: format!("place-{location}"),
            value: vec![b'x'; BYTES],
            content_hash: "0123456789abcdef0123456789abcdef".to_owned(),
        })
        .collect();
    let started = Instant::now();
    match config.who.as_str() {
        "ours" => ours(&mut topic, &records, config.count).await?,
        "bare" => bare(&config, &records)?,
        who => bail!("{who} is neither ours nor bare"),
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{:.0}", config.count as f64 / seconds);
    Ok(())
}

async fn ours(topic: &mut Topic, records: &[Record], count: usize) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    for record in records.iter().cycle().take(count) {
        topic.send(record.clone(), &stop).await?;
    }
    anyhow::ensure!(
        topic.settle(PATIENCE).await?,
        "Kafka did not take everything"
    );
    Ok(())
}

fn bare(config: &Config, records: &[Record]) -> anyhow::Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", &config.kafka.bootstrap_servers)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .create()
        .context("set up a bare producer")?;
    for record in records.iter().cycle().take(config.count) {
        loop {
            let headers = OwnedHeaders::new().insert(Header {
                key: CONTENT_HASH_HEADER,
                value: Some(record.content_hash.as_str()),
            });
            let message = BaseRecord::to(&config.topic)
                .key(&record.key)
                .payload(&record.value)
                .headers(headers);
            match producer.send(message) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error).context("send"),
            }
        }
    }
    producer.flush(PATIENCE).context("flush")
}
