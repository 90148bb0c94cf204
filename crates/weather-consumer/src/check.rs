//! Whether everything that `run` needs is there and lets us in.

use anyhow::Context as _;
use common::{
    check::{Check, Finding},
    kafka::KafkaArgs,
    storage::LandingUrl,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::{
    collection::{Address, Attempted as _, Collection},
    dead_letters,
    topic::{self, Quiet},
};

/// Asks all of them at once; a sink that is not asked for is left out.
pub async fn run(
    kafka: &KafkaArgs,
    topic: &str,
    dead_letters: &str,
    mongodb: Option<Address>,
    landing: Option<&LandingUrl>,
) -> Vec<Finding> {
    let check = Check::begin();
    let mongodb = async { Some(check.look("mongodb", collection(mongodb?)).await) };
    let landing = async { Some(check.look_at_landing(landing?).await) };
    let (topics, mongodb, landing) = tokio::join!(
        check.look("kafka", topics(kafka, topic, dead_letters)),
        mongodb,
        landing,
    );
    [Some(topics), mongodb, landing]
        .into_iter()
        .flatten()
        .collect()
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

async fn collection(address: Address) -> anyhow::Result<String> {
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
