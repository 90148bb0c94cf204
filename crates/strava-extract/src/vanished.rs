//! Activities that are no longer in the list: buried once Strava confirms it, and never too many at once.

use std::{collections::HashSet, fmt, str::FromStr};

use anyhow::anyhow;
use common::landing::{Envelope, Origin, Stream};
use jiff::{SignedDuration, Timestamp};
use tracing::{info, warn};

use crate::{
    extract::{Ended, Extract},
    landing_run::Change,
    ledger::Quarantined,
    strava_api::Error,
};

/// That few may vanish at once whatever their share.
const NEVER_TOO_MANY: usize = 5;
/// What is in quarantine is tried again after this long.
const QUARANTINE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// `--max-vanished`: how many activities may vanish between two runs, or which share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VanishLimit {
    Count(usize),
    Percent(f64),
}

impl VanishLimit {
    fn is_passed_by(self, vanished: usize, of: usize) -> bool {
        match self {
            Self::Count(most) => vanished > most,
            Self::Percent(most) => {
                vanished > NEVER_TOO_MANY && vanished as f64 * 100.0 > most * of as f64
            }
        }
    }
}

impl FromStr for VanishLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is neither a number of activities nor a share such as 10%");
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent = percent
                    .trim()
                    .parse()
                    .ok()
                    .filter(|percent| (0.0..=100.0).contains(percent));
                percent.map(Self::Percent).ok_or_else(wrong)
            }
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for VanishLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(most) => write!(f, "{most}"),
            Self::Percent(most) => write!(f, "{most}%"),
        }
    }
}

impl Extract<'_> {
    /// Makes a tombstone of each activity that a whole walk has not met and that Strava does not
    /// have any more. Only what the API has listed before can vanish: an export holds more than
    /// every token may see.
    pub(crate) async fn bury_vanished(&mut self, met: &HashSet<u64>) -> Result<(), Ended> {
        // What this walk has landed is in the ledger only once its part is stored.
        let living: Vec<u64> = self.landing.ledger.living().map(|(id, _)| id).collect();
        let vanished: Vec<u64> = living
            .iter()
            .copied()
            .filter(|id| !met.contains(id))
            .collect();
        if self
            .plan
            .max_vanished
            .is_passed_by(vanished.len(), living.len())
        {
            self.report.usable = true;
            return Err(anyhow!(
                "{} of {} activities are no longer in the list, more than --max-vanished {}: none was buried, all \
                 else was landed. A token with a narrower scope or a fault of Strava looks like that; if they were \
                 really deleted, run it again with --max-vanished {}",
                vanished.len(),
                living.len(),
                self.plan.max_vanished,
                vanished.len()
            )
            .into());
        }
        for id in vanished {
            self.bury(id).await?;
        }
        Ok(())
    }

    async fn bury(&mut self, id: u64) -> Result<(), Ended> {
        let (stream, origin, what) = (Stream::Activities, Origin::Api, id.to_string());
        if !self.plan.retry_quarantined
            && let Some(quarantined) = self.landing.ledger.quarantined(stream, origin, &what)
            && Timestamp::now().duration_since(quarantined.since) < QUARANTINE
        {
            self.report.of(stream).quarantined += 1;
            return Ok(());
        }
        let answer = self
            .ask_for(async |strava| strava.activity(id).await)
            .await?;
        match answer {
            Err(Error::NotFound(_)) => {
                let now = Timestamp::now();
                let athlete_id = self.landing.ledger.athlete_id.clone();
                let tombstone = Envelope::tombstone(stream, what.as_str(), athlete_id, now, origin);
                self.report.of(stream).deleted += 1;
                self.landing.ledger.take_back(stream, origin, &what);
                self.push(&tombstone, None, Change::Deleted { id, at: now })
                    .await?;
                info!(activity.id = id, "buried an activity that was deleted");
            }
            // It is there, but not in the list: the list has moved while it was walked, or Strava
            // leaves it out. Its summary is what it was.
            Ok(_) => {
                self.landing.ledger.take_back(stream, origin, &what);
                self.report.of(stream).unchanged += 1;
            }
            Err(Error::Failed {
                reason, attempts, ..
            }) => {
                warn!(
                    activity.id = id,
                    "set activity {id} aside, which cannot be asked for: {reason}"
                );
                self.report.of(stream).quarantined += 1;
                let since = Timestamp::now();
                self.landing.ledger.set_aside(Quarantined {
                    stream,
                    origin,
                    what,
                    reason,
                    attempts,
                    since,
                });
            }
            Err(error) => return Err(Ended::Failed(crate::extract::failure(error))),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::VanishLimit;

    #[test]
    fn a_share_counts_only_above_five() {
        let limit = VanishLimit::Percent(10.0);
        assert!(!limit.is_passed_by(5, 5));
        assert!(!limit.is_passed_by(100, 1000));
        assert!(limit.is_passed_by(101, 1000));
        assert!(limit.is_passed_by(6, 20));
        assert!(VanishLimit::Count(3).is_passed_by(4, 1000));
        assert!(!VanishLimit::Percent(100.0).is_passed_by(20, 20));
    }

    #[test]
    fn a_limit_reads_as_it_is_written() {
        for text in ["10%", "0", "250", "2.5%"] {
            assert_eq!(text.parse::<VanishLimit>().unwrap().to_string(), text);
        }
        for text in ["", "%", "-1", "101%", "many"] {
            assert!(text.parse::<VanishLimit>().is_err(), "{text}");
        }
    }
}
