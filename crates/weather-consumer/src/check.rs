//! `check`: whether everything that `run` needs is there and lets us in, without changing any of it.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use common::{
    kafka::KafkaArgs,
    storage::{LandingUrl, Storage},
    task,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::{
    collection::{Address, Attempted as _, Collection},
    dead_letters,
    topic::{self, Quiet},
};

/// One far side may take so long to answer.
const LIMIT: Duration = Duration::from_secs(8);

/// Asks all of them at once, prints what each answered, and fails with the first that failed.
pub async fn check(
    kafka: &KafkaArgs,
    topic: &str,
    dead_letters: &str,
    mongodb: Option<Address>,
    landing: Option<&LandingUrl>,
) -> anyhow::Result<()> {
    let (topics, collection, storage) = tokio::join!(
        limited(topics(kafka, topic, dead_letters)),
        limited(collection(mongodb)),
        limited(storage(landing)),
    );
    let mut failure = None;
    for (what, outcome) in [
        ("kafka", topics),
        ("mongodb", collection),
        ("landing", storage),
    ] {
        match outcome {
            Ok(text) => task::print(format!("{what}: {text}")),
            Err(error) => {
                task::print(format!("{what}: FAILED: {error:#}"));
                failure.get_or_insert(error.context(format!("check {what}")));
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

async fn limited(asked: impl Future<Output = anyhow::Result<String>>) -> anyhow::Result<String> {
    tokio::time::timeout(LIMIT, asked)
        .await
        .unwrap_or_else(|_| Err(anyhow!("no answer within {} s", LIMIT.as_secs())))
}

async fn topics(kafka: &KafkaArgs, topic: &str, dead_letters: &str) -> anyhow::Result<String> {
    let consumer: BaseConsumer<Quiet> = topic::client_config(kafka)?
        .create_with_context(Quiet::on_this_runtime())
        .map_err(topic::refused)?;
    let (topic, dead_letters) = (topic.to_owned(), dead_letters.to_owned());
    let creates = !kafka.signs_with_iam();
    tokio::task::spawn_blocking(move || {
        topic::serve_token(&consumer);
        let partitions = topic::partitions(consumer.client(), &topic)?
            .with_context(|| format!("topic {topic} does not exist"))?;
        let aside = match topic::partitions(consumer.client(), &dead_letters)? {
            Some(_) => "is there",
            None if creates => "will be created",
            None => return Err(dead_letters::missing(&dead_letters)),
        };
        Ok(format!(
            "topic {topic} has {partitions} partitions, {dead_letters} {aside}"
        ))
    })
    .await?
}

async fn collection(address: Option<Address>) -> anyhow::Result<String> {
    let Some(address) = address else {
        return Ok("is no sink".to_owned());
    };
    Collection::open(&address)
        .await?
        .check()
        .await
        .attempted("ask MongoDB")?;
    Ok(format!(
        "collection {}.{} can be read",
        address.database, address.collection
    ))
}

async fn storage(url: Option<&LandingUrl>) -> anyhow::Result<String> {
    let Some(url) = url else {
        return Ok("is no sink".to_owned());
    };
    Storage::open(url).await?.check().await?;
    Ok(format!("{url} can be listed"))
}
