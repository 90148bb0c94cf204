//! Whether everything is there that the other commands need, at the cost of three of Open-Meteo's calls at most.

use std::time::Duration;

use anyhow::{Context as _, bail};
use common::check::{Check, Finding};
use common::storage::LandingUrl;
use common::task::Refused;
use common::weather::{Decimal, Source};
use secrecy::SecretString;

use crate::backfill;
use crate::locations::{self, Location};
use crate::open_meteo::{Element, Error, Hours, OpenMeteo, Patience, Spot};
use crate::topic::Topic;

/// Of Kafka's client, which does not end with the one who asked.
const PATIENCE: Duration = Duration::from_secs(8);
/// Hours of which the hosts of the past have always had the weather.
const LONG_AGO: &str = "2024-01-01T00:00:00Z";
const LONGER_AGO: &str = "2015-01-01T00:00:00Z";

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
    let is_for_backfill = landing.is_some() || database.is_some();
    let landing = async { Some(check.look_at_landing(landing?).await) };
    let database = async { Some(check.look("database", activities(database?)).await) };
    let (locations, open_meteo, topic, landing, database) = tokio::join!(
        check.look("locations", locations_of(locations)),
        check.look("open-meteo", weather(open_meteo, is_for_backfill)),
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

/// Asks the host of forecasts, and the two of the past where a backfill is set up.
async fn weather(open_meteo: &mut OpenMeteo, is_for_backfill: bool) -> anyhow::Result<String> {
    let zero = || Decimal::parse("0.0").expect("0.0 is one of JSON's numbers");
    let nowhere = Location {
        id: String::new(),
        latitude: zero(),
        longitude: zero(),
    };
    let spot = Spot::of(&nowhere);
    let patience = Patience {
        attempts: 1,
        broken_attempts: 1,
        max_wait: Duration::ZERO,
        until: None,
    };
    answer(open_meteo.current(&[spot], patience).await)?;
    if !is_for_backfill {
        return Ok("it answers".to_owned());
    }
    for (source, hour) in [
        (Source::HistoricalForecast, LONG_AGO),
        (Source::Archive, LONGER_AGO),
    ] {
        let hour = hour.parse().expect("a constant of this file is a time");
        let window = Hours {
            spot,
            from: hour,
            to: hour,
        };
        answer(open_meteo.hourly(source, &[window], patience).await)
            .with_context(|| format!("ask the host of the source {source}"))?;
    }
    Ok("its three hosts answer".to_owned())
}

fn answer(asked: Result<Vec<Element>, Error>) -> anyhow::Result<()> {
    match asked {
        Ok(_) => Ok(()),
        Err(error @ Error::Misconfigured(_)) => bail!(Refused::new(error.to_string())),
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
