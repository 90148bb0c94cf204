//! Whether everything is there that the other commands need, at the cost of one of Open-Meteo's calls.

use std::time::Duration;

use anyhow::bail;
use common::check::{Check, Finding};
use common::storage::LandingUrl;
use common::task::Refused;
use common::weather::Decimal;
use secrecy::SecretString;

use crate::backfill;
use crate::locations::{self, Location};
use crate::open_meteo::{OpenMeteo, Patience, Spot};
use crate::topic::Topic;

/// Of Kafka's client, which does not end with the one who asked.
const PATIENCE: Duration = Duration::from_secs(8);

/// What to look at; the optional ones are named as not asked for.
pub struct Needs<'a> {
    pub open_meteo: &'a mut OpenMeteo,
    pub topic: &'a Topic,
    pub locations: Option<&'a str>,
    pub landing: Option<&'a LandingUrl>,
    pub database: Option<&'a SecretString>,
}

/// Looks at everything at once.
pub async fn run(needs: Needs<'_>) -> Vec<Finding> {
    let Needs {
        open_meteo,
        topic,
        locations,
        landing,
        database,
    } = needs;
    let check = Check::begin();
    let landing = async { Some(check.look_at_landing(landing?).await) };
    let database = async { Some(check.look("database", activities(database?)).await) };
    let (locations, open_meteo, topic, landing, database) = tokio::join!(
        check.look("locations", locations_of(locations)),
        check.look("open-meteo", weather(open_meteo)),
        check.look("topic", partitions(topic)),
        landing,
        database,
    );
    let asked_for = [landing, database].into_iter().flatten();
    [locations, open_meteo, topic]
        .into_iter()
        .chain(asked_for)
        .collect()
}

async fn locations_of(address: Option<&str>) -> anyhow::Result<String> {
    let Some(address) = address else {
        return Ok("WEATHER_LOCATIONS is not set: backfill needs none".to_owned());
    };
    let locations = locations::read(address).await?;
    Ok(format!(
        "{} locations, {} calls a day at 15 minutes",
        locations.len(),
        locations.len() * 96
    ))
}

async fn weather(open_meteo: &mut OpenMeteo) -> anyhow::Result<String> {
    let zero = || Decimal::parse("0.0").expect("0.0 is one of JSON's numbers");
    let nowhere = Location {
        id: String::new(),
        latitude: zero(),
        longitude: zero(),
    };
    let patience = Patience {
        attempts: 1,
        broken_attempts: 1,
        max_wait: Duration::ZERO,
        until: None,
    };
    match open_meteo.current(&[Spot::of(&nowhere)], patience).await {
        Ok(_) => Ok("it answers".to_owned()),
        Err(error @ crate::open_meteo::Error::Misconfigured(_)) => {
            bail!(Refused::new(error.to_string()))
        }
        Err(error) => bail!(error),
    }
}

async fn partitions(topic: &Topic) -> anyhow::Result<String> {
    Ok(match topic.partitions(PATIENCE).await? {
        Some(count) => format!("{} has {count} partitions", topic.name()),
        None => format!("{} is missing, the next run makes it", topic.name()),
    })
}

async fn activities(url: &SecretString) -> anyhow::Result<String> {
    let activities = backfill::from_database(url).await?;
    Ok(format!(
        "{} activities have a start point",
        activities.len()
    ))
}
