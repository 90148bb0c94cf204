//! What `api` needs, looked at without changing anything; and what is stored of a token.

use common::{
    check::{Check, Finding},
    credentials::TokenStore,
    storage::LandingUrl,
    task::Refused,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{extract::failure, strava_api::StravaApi, token::check_scope};

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
    landing: &LandingUrl,
    store: &TokenStore,
    has_seed: bool,
    strava: &StravaApi,
) -> Vec<Finding> {
    let check = Check::begin();
    let (landing, mut strava) = tokio::join!(
        check.look_at_landing(landing),
        Box::pin(look_at_strava(check, store, has_seed, strava)),
    );
    strava.insert(0, landing);
    strava
}

async fn look_at_strava(
    check: Check,
    store: &TokenStore,
    has_seed: bool,
    strava: &StravaApi,
) -> Vec<Finding> {
    let mut is_usable = false;
    let look = async {
        let status = token_status(store, has_seed).await?;
        is_usable = status.is_stored && !status.is_expired;
        status.verdict()
    };
    let mut findings = vec![check.look("token", look).await];
    if is_usable {
        let athlete = check.look("athlete", async {
            strava.athlete().await.map_err(failure)?;
            Ok("is answered by Strava".to_owned())
        });
        findings.push(athlete.await);
        let activities = check.look("activities", async {
            strava.activities(1, None).await.map_err(failure)?;
            Ok("can be listed".to_owned())
        });
        findings.push(activities.await);
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
