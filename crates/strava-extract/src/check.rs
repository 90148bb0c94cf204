//! What `api` needs, looked at without changing anything; and what is stored of a token.

use std::time::Duration;

use common::{
    credentials::TokenStore,
    storage::Storage,
    task::{Refused, is_refused},
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{extract::failure, strava_api::StravaApi, token::check_scope};

/// All of it takes no longer.
const WITHIN: Duration = Duration::from_secs(10);

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub what: &'static str,
    /// How it is, or what is wrong and what to do.
    pub says: String,
    pub is_good: bool,
    #[serde(skip)]
    is_refused: bool,
}

/// A stored token, without the token.
#[derive(Debug, Serialize)]
pub struct TokenStatus {
    pub store: String,
    pub athlete_id: Option<String>,
    /// Empty where the token came of a seed: Strava does not tell.
    pub scope: Option<String>,
    pub expires_at: Option<Timestamp>,
    pub is_stored: bool,
    pub is_expired: bool,
    pub has_seed: bool,
}

/// Looks at the landing place, the token and, as long as the stored token is good, at Strava.
pub async fn run(
    storage: &Storage,
    store: &TokenStore,
    has_seed: bool,
    strava: &StravaApi,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let landing = within(Box::pin(storage.check()))
        .await
        .map(|()| "can be listed".to_owned());
    findings.push(Finding::of("landing", landing));
    let token = within(Box::pin(token_status(store, has_seed))).await;
    let is_usable = token
        .as_ref()
        .is_ok_and(|status| status.is_stored && !status.is_expired);
    findings.push(Finding::of(
        "token",
        token.and_then(|status| status.verdict()),
    ));
    if is_usable {
        let athlete = within(Box::pin(async { strava.athlete().await.map_err(failure) })).await;
        findings.push(Finding::of(
            "athlete",
            athlete.map(|_| "is answered by Strava".to_owned()),
        ));
        let list = within(Box::pin(async {
            strava.activities(1, None).await.map_err(failure)
        }))
        .await;
        findings.push(Finding::of(
            "activities",
            list.map(|_| "can be listed".to_owned()),
        ));
    }
    findings
}

/// What is stored of the token.
pub async fn token_status(store: &TokenStore, has_seed: bool) -> anyhow::Result<TokenStatus> {
    let stored = store.read().await?.map(|(token, _)| token);
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(TokenStatus {
        store: store.to_string(),
        athlete_id: stored.as_ref().and_then(|token| known(&token.athlete_id)),
        scope: stored.as_ref().and_then(|token| known(&token.scope)),
        expires_at: stored.as_ref().map(|token| token.expires_at),
        is_stored: stored.is_some(),
        is_expired: stored.is_some_and(|token| token.expires_at <= Timestamp::now()),
        has_seed,
    })
}

impl TokenStatus {
    /// For a person; an error where no run could work with it.
    pub fn verdict(&self) -> anyhow::Result<String> {
        let store = &self.store;
        if !self.is_stored {
            if self.has_seed {
                return Ok(format!(
                    "{store} is empty; the next run begins with STRAVA_REFRESH_TOKEN"
                ));
            }
            anyhow::bail!(Refused::new(format!(
                "{store} is empty and STRAVA_REFRESH_TOKEN is not set"
            )));
        }
        check_scope(self.scope.as_deref().unwrap_or_default())?;
        let athlete = self.athlete_id.as_deref().unwrap_or("unknown");
        let scope = self.scope.as_deref().unwrap_or("not told by Strava");
        let until = self.expires_at.map(|at| at.to_string()).unwrap_or_default();
        let until = if self.is_expired {
            format!("the access token expired at {until} and the next run refreshes it")
        } else {
            format!("the access token is good until {until}")
        };
        Ok(format!(
            "{store}: athlete {athlete}, scope {scope}; {until}"
        ))
    }
}

impl Finding {
    fn of(what: &'static str, outcome: anyhow::Result<String>) -> Self {
        match outcome {
            Ok(says) => Self {
                what,
                says,
                is_good: true,
                is_refused: false,
            },
            Err(error) => Self {
                what,
                says: format!("{error:#}"),
                is_good: false,
                is_refused: is_refused(&error),
            },
        }
    }
}

/// An error where something is not as it must be; exit 2 where trying again does not help.
pub fn verdict(findings: &[Finding]) -> anyhow::Result<()> {
    let bad: Vec<&Finding> = findings.iter().filter(|finding| !finding.is_good).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let text = bad
        .iter()
        .map(|finding| format!("{}: {}", finding.what, finding.says))
        .collect::<Vec<_>>()
        .join("; ");
    if bad.iter().any(|finding| finding.is_refused) {
        anyhow::bail!(Refused::new(text));
    }
    anyhow::bail!(text)
}

async fn within<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    match tokio::time::timeout(WITHIN, work).await {
        Ok(outcome) => outcome,
        Err(_) => anyhow::bail!("no answer within {} seconds", WITHIN.as_secs()),
    }
}
