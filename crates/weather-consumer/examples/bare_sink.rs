//! The least that takes readings from Kafka to MongoDB, for the benchmark: reads, parses, upserts in
//! batches by two writers. It sets nothing aside, survives no outage, and commits by the clock.

use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use mongodb::{
    Client,
    bson::{Bson, Document, doc},
};
use rdkafka::{
    ClientConfig, Message as _,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::sync::mpsc;

const BATCH: usize = 500;
const WRITERS: usize = 2;
const POLL: Duration = Duration::from_millis(100);

#[derive(Parser)]
struct Config {
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS")]
    brokers: String,
    #[arg(long, env = "KAFKA_GROUP_ID")]
    group: String,
    #[arg(long, env = "WEATHER_TOPIC")]
    topic: String,
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    uri: String,
    #[arg(long, env = "MONGODB_DATABASE")]
    database: String,
    #[arg(long, env = "MONGODB_COLLECTION")]
    collection: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", &config.group)
        .set("auto.offset.reset", "earliest")
        .create()
        .context("make a consumer")?;
    consumer
        .subscribe(&[&config.topic])
        .context("subscribe to the topic")?;
    let client = Client::with_uri_str(&config.uri)
        .await
        .context("open MongoDB")?;
    let (batches, batch) = mpsc::channel::<Vec<Document>>(WRITERS);
    let batch = tokio::sync::Mutex::new(batch);
    let write = async || -> anyhow::Result<()> {
        loop {
            let Some(updates) = batch.lock().await.recv().await else {
                return Ok(());
            };
            let command =
                doc! { "update": &config.collection, "updates": updates, "ordered": false };
            let database = client.database(&config.database);
            database
                .run_command(command)
                .await
                .context("store a batch")?;
        }
    };
    let read = tokio::task::spawn_blocking(move || read(&consumer, &batches));
    tokio::select! {
        ended = read => ended.context("read the topic")?,
        ended = async { tokio::try_join!(write(), write()) } => ended.map(drop),
    }
}

/// Hands on what there is, as soon as a writer is free.
fn read(consumer: &BaseConsumer, batches: &mpsc::Sender<Vec<Document>>) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    loop {
        let wait = if batch.is_empty() {
            POLL
        } else {
            Duration::ZERO
        };
        let message = consumer.poll(wait).transpose().context("read the topic")?;
        let ended = message.is_none();
        if let Some(message) = message {
            let value = message.payload().unwrap_or_default();
            let mut document: Document = serde_json::from_slice(value).context("parse a record")?;
            let id = document.remove("event_id").unwrap_or(Bson::Null);
            document.insert("_id", id.clone());
            batch.push(doc! { "q": { "_id": id }, "u": document, "upsert": true });
        }
        if !batch.is_empty() && (ended || batch.len() == BATCH) {
            batches.blocking_send(std::mem::take(&mut batch))?;
        }
    }
}
