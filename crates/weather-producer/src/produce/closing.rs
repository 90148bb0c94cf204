//! How a run ends: its counts, and what the closing line says of it.

use anyhow::anyhow;
use common::task::{Closing, Refused, Stopped};
use common::vitals::Vitals;
use jiff::Timestamp;
use serde_json::{Map, json};
use tracing::warn;

use super::Stage;
use crate::metrics;
use crate::open_meteo::Error;

/// So many ids the closing line names; the log has all.
const MOST_NAMED: usize = 20;

/// What a run counts besides what Open-Meteo and Kafka count for it.
#[derive(Debug, Default)]
pub struct Tally {
    pub locations: usize,
    pub unchanged: u64,
    pub missed: u64,
    /// Ids of the locations that the service refused.
    pub refused: Vec<String>,
    /// Counts of one command alone.
    pub more: Map<String, serde_json::Value>,
}

/// Why a run ended.
#[derive(Debug)]
pub enum End {
    Done,
    /// As a stream ends: whatever the service refused it will be asked for again.
    Stopped,
    /// A limit that is used up for longer than anybody waits.
    Spent {
        resume_at: Timestamp,
    },
    Failed(anyhow::Error),
}

impl End {
    pub fn of(error: Option<Error>) -> Self {
        match error {
            None => Self::Done,
            Some(Error::Spent { resume_at, .. }) => Self::Spent { resume_at },
            Some(Error::Stopped) => Self::Failed(anyhow!(Stopped).context("ask Open-Meteo")),
            Some(error @ Error::Misconfigured(_)) => {
                Self::Failed(anyhow!(Refused::new(error.to_string())))
            }
            Some(error) => Self::Failed(anyhow!(error)),
        }
    }
}

impl Tally {
    pub fn new(locations: usize) -> Self {
        Self {
            locations,
            ..Self::default()
        }
    }

    /// The service has nothing for a location. It is named once, by its id and never by its place.
    pub fn refuse(&mut self, vitals: &Vitals, id: &str, reason: &str) {
        vitals.add(&metrics::FAILED, &[], 1.0);
        if !self.refused.iter().any(|known| known == id) {
            warn!(
                location.id = id,
                reason, "Open-Meteo refused the location {id}"
            );
            self.refused.push(id.to_owned());
        }
    }

    pub fn skip(&mut self, vitals: &Vitals) {
        vitals.add(&metrics::UNCHANGED, &[], 1.0);
        self.unchanged += 1;
    }

    /// The closing line.
    ///
    /// # Errors
    /// Where the run failed and nothing of it is usable.
    pub fn close(self, stage: &Stage, end: End) -> anyhow::Result<Closing> {
        let (spent, sent) = (stage.open_meteo.spent(), stage.topic.acknowledged());
        let mut counts = Map::new();
        counts.insert("locations".to_owned(), json!(self.locations));
        counts.insert("requests".to_owned(), json!(spent.requests));
        counts.insert("weight".to_owned(), json!(spent.weight));
        counts.insert("sent".to_owned(), json!(sent));
        counts.insert("unchanged".to_owned(), json!(self.unchanged));
        counts.insert("failed".to_owned(), json!(self.refused.len()));
        if self.missed > 0 {
            counts.insert("missed".to_owned(), json!(self.missed));
        }
        counts.extend(self.more);
        let mut closing = Closing::done(counts);
        let names_refused = !matches!(end, End::Stopped);
        match end {
            End::Done | End::Stopped => {}
            End::Spent { resume_at } => {
                closing.complete = false;
                closing.resume_at = Some(resume_at);
            }
            End::Failed(error) => {
                closing.complete = false;
                closing.failure = Some(error);
            }
        }
        if names_refused && !self.refused.is_empty() && closing.failure.is_none() {
            let named = self
                .refused
                .iter()
                .take(MOST_NAMED)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            closing.failure = Some(anyhow!(
                "Open-Meteo refused {} locations: {named}",
                self.refused.len()
            ));
        }
        match closing.failure {
            Some(error) if sent == 0 && self.unchanged == 0 => Err(error),
            failure => Ok(Closing { failure, ..closing }),
        }
    }
}
