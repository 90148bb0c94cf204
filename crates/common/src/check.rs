//! `check`: whether what a task needs is there and lets it in, within ten seconds and changing nothing.

use std::time::Duration;

use anyhow::{anyhow, bail};
use serde::Serialize;
use serde_json::{Map, json};
use tokio::time::Instant;

use crate::{
    storage::{LandingUrl, Storage},
    task::{Closing, Refused, is_refused, print},
};

/// All answers together may take so long.
const LIMIT: Duration = Duration::from_secs(8);

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub what: String,
    /// How it is, or what is wrong and what to do.
    pub says: String,
    pub is_good: bool,
    /// Trying again does not help.
    #[serde(skip)]
    is_refused: bool,
}

/// A check that has begun: whatever does not answer before its end counts as not good.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    until: Instant,
}

impl Check {
    /// Begins now. What does not depend on one another is to be looked at at once (`tokio::join!`).
    pub fn begin() -> Self {
        Self {
            until: Instant::now() + LIMIT,
        }
    }

    /// Looks at one thing; `looked` gives how it is.
    pub fn look(
        self,
        what: impl Into<String>,
        looked: impl Future<Output = anyhow::Result<String>>,
    ) -> impl Future<Output = Finding> {
        // Clients make futures of many kilobytes, and several of them wait side by side.
        let (what, looked) = (what.into(), Box::pin(looked));
        async move {
            let answer = tokio::time::timeout_at(self.until, looked).await;
            let seconds = LIMIT.as_secs();
            match answer.unwrap_or_else(|_| Err(anyhow!("no answer within {seconds} s"))) {
                Ok(says) => Finding {
                    what,
                    says,
                    is_good: true,
                    is_refused: false,
                },
                Err(error) => Finding {
                    what,
                    says: format!("{error:#}"),
                    is_good: false,
                    is_refused: is_refused(&error),
                },
            }
        }
    }

    /// Looks whether the landing place can be listed.
    pub fn look_at_landing(self, url: &LandingUrl) -> impl Future<Output = Finding> {
        self.look("landing", async move {
            Storage::open(url).await?.check().await?;
            Ok(format!("{url} can be listed"))
        })
    }
}

/// Prints them, a line each or all as one line of JSON; the end of every `check` command.
///
/// # Errors
/// Where something is not good, all of that: [`Refused`] where trying again does not help.
pub fn conclude(findings: &[Finding], as_json: bool) -> anyhow::Result<Closing> {
    if as_json {
        print(json!(findings));
    } else {
        for finding in findings {
            let mark = if finding.is_good { "ok" } else { "not ok" };
            print(format!("{mark}: {}: {}", finding.what, finding.says));
        }
    }
    let bad = findings.iter().filter(|finding| !finding.is_good);
    let bad: Vec<_> = bad
        .map(|finding| format!("{}: {}", finding.what, finding.says))
        .collect();
    if bad.is_empty() {
        return Ok(Closing::done(Map::new()));
    }
    if findings.iter().any(|finding| finding.is_refused) {
        bail!(Refused::new(bad.join("; ")));
    }
    bail!(bad.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_is_not_good_and_the_whole_ends_in_time() {
        let (check, started) = (Check::begin(), Instant::now());
        let slow = check.look("slow", std::future::pending()).await;
        let late = check.look("late", std::future::pending()).await;
        assert!(started.elapsed() <= Duration::from_secs(10));
        let error = conclude(&[slow, late], false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "slow: no answer within 8 s; late: no answer within 8 s"
        );
        assert!(!is_refused(&error));
    }

    #[tokio::test]
    async fn one_refusal_among_failures_makes_trying_again_pointless() {
        let check = Check::begin();
        let findings = [
            check
                .look("good", async { Ok("is there".to_owned()) })
                .await,
            check.look("away", async { bail!("no route") }).await,
            check
                .look("key", async { bail!(Refused::new("correct it")) })
                .await,
        ];
        let error = conclude(&findings, true).unwrap_err();
        assert_eq!(error.to_string(), "away: no route; key: correct it");
        assert!(is_refused(&error));
        assert!(conclude(&findings[..1], false).unwrap().complete);
    }
}
