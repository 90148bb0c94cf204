//! Whether everything is there that the other commands need, in ten seconds and changing nothing.

use std::time::Duration;

use anyhow::{anyhow, bail};
use common::storage::{LandingUrl, Storage};
use common::task::{Refused, is_refused};
use common::weather::Decimal;
use secrecy::SecretString;
use serde::Serialize;

use crate::backfill;
use crate::locations::{self, Location};
use crate::open_meteo::{OpenMeteo, Patience, Spot};
use crate::topic::Topic;

const PATIENCE: Duration = Duration::from_secs(8);

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub what: &'static str,
    pub is_good: bool,
    pub says: String,
    /// A retry does not help.
    #[serde(skip)]
    is_refused: bool,
}

/// What to look at; the optional ones are named as not asked for.
pub struct Needs<'a> {
    pub open_meteo: &'a mut OpenMeteo,
    pub topic: &'a Topic,
    pub locations: Option<&'a str>,
    pub landing: Option<&'a LandingUrl>,
    pub database: Option<&'a SecretString>,
}

/// Looks at everything, one after the other: at the cost of one of Open-Meteo's calls.
pub async fn run(needs: Needs<'_>) -> Vec<Finding> {
    let Needs {
        open_meteo,
        topic,
        locations,
        landing,
        database,
    } = needs;
    let mut findings = vec![
        Box::pin(finding("locations", locations_of(locations))).await,
        finding("open-meteo", weather(open_meteo)).await,
        finding("topic", partitions(topic)).await,
    ];
    if let Some(url) = landing {
        findings.push(Box::pin(finding("landing", storage(url))).await);
    }
    if let Some(url) = database {
        findings.push(finding("database", activities(url)).await);
    }
    findings
}

/// # Errors
/// When something is not good: [`Refused`] where a retry does not help.
pub fn verdict(findings: &[Finding]) -> anyhow::Result<()> {
    let bad: Vec<_> = findings.iter().filter(|finding| !finding.is_good).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let text = bad
        .iter()
        .map(|finding| format!("{}: {}", finding.what, finding.says))
        .collect::<Vec<_>>()
        .join("; ");
    if bad.iter().any(|finding| finding.is_refused) {
        bail!(Refused::new(text));
    }
    bail!(text)
}

async fn finding(
    what: &'static str,
    looked: impl Future<Output = anyhow::Result<String>>,
) -> Finding {
    let looked = tokio::time::timeout(PATIENCE, looked).await;
    let looked =
        looked.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", PATIENCE.as_secs())));
    match looked {
        Ok(says) => Finding {
            what,
            is_good: true,
            says,
            is_refused: false,
        },
        Err(error) => Finding {
            what,
            is_good: false,
            says: format!("{error:#}"),
            is_refused: is_refused(&error),
        },
    }
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

async fn storage(url: &LandingUrl) -> anyhow::Result<String> {
    Storage::open(url).await?.check().await?;
    Ok(format!("{url} can be listed"))
}

async fn activities(url: &SecretString) -> anyhow::Result<String> {
    let activities = backfill::from_database(url).await?;
    Ok(format!(
        "{} activities have a start point",
        activities.len()
    ))
}
