//! The athlete's token: refreshed once for all who need it, and stored before it is used.

use std::{sync::OnceLock, time::Instant};

use anyhow::Context as _;
use common::{
    credentials::{Token, TokenStore, TokenVersion},
    landing::keys,
    task::{Refused, Stopped},
};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::info;
use url::Url;

use crate::{
    fault::{AUTHORISE_AGAIN, Fault},
    strava_api::{Error, chain, http_client, pause, read},
    turn::{Queue, Turn},
};

/// A token with less time left is refreshed before it is used.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
const ATTEMPTS: u32 = 5;
/// Either of these lets the list of activities be read; only the second one shows all of them.
const SCOPES: [&str; 2] = ["activity:read", "activity:read_all"];

/// The application as Strava knows it.
pub struct Application {
    pub client_id: String,
    pub client_secret: SecretString,
}

/// The tokens of one athlete.
pub struct Tokens {
    http: Client,
    address: String,
    application: Application,
    /// Used only where the store is empty: the store wins.
    seed: Option<SecretString>,
    store: TokenStore,
    athlete_id: OnceLock<String>,
    queue: Queue,
    current: Mutex<Option<Current>>,
    stop: CancellationToken,
}

struct Current {
    access: SecretString,
    good_until: Instant,
}

/// Strava's answer to a refresh. It names neither the athlete nor, mostly, the scope.
#[derive(Deserialize)]
struct Granted {
    #[serde(deserialize_with = "secret")]
    access_token: SecretString,
    #[serde(deserialize_with = "secret")]
    refresh_token: SecretString,
    expires_at: i64,
    expires_in: Option<i64>,
    scope: Option<String>,
}

impl Tokens {
    /// `oauth` is the address above `/token`, without a trailing slash. Nothing is read or sent yet.
    pub fn new(
        oauth: &Url,
        application: Application,
        seed: Option<SecretString>,
        store: TokenStore,
        athlete_id: Option<String>,
        queue: Queue,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let known = OnceLock::new();
        if let Some(id) = athlete_id {
            known.get_or_init(|| id);
        }
        Ok(Self {
            http: http_client()?,
            address: format!("{}/token", oauth.as_str().trim_end_matches('/')),
            application,
            seed,
            store,
            athlete_id: known,
            queue,
            current: Mutex::default(),
            stop,
        })
    }

    /// A token that works now, as far as anybody can tell.
    pub async fn access(&self) -> Result<SecretString, Error> {
        let mut current = self.current.lock().await;
        if let Some(held) = current
            .as_ref()
            .filter(|held| Instant::now() < held.good_until)
        {
            return Ok(held.access.clone());
        }
        self.renew(&mut current, None).await
    }

    /// Another token than the one that Strava has just refused.
    pub async fn access_after_refusal_of(
        &self,
        refused: &SecretString,
    ) -> Result<SecretString, Error> {
        let mut current = self.current.lock().await;
        let is_another = |held: &&Current| held.access.expose_secret() != refused.expose_secret();
        if let Some(held) = current.as_ref().filter(is_another) {
            return Ok(held.access.clone());
        }
        self.renew(&mut current, Some(refused)).await
    }

    /// Remembers whose token it is, for the next time that it is stored.
    pub fn belong_to(&self, athlete_id: &str) {
        self.athlete_id.get_or_init(|| athlete_id.to_owned());
    }

    async fn renew(
        &self,
        current: &mut Option<Current>,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, Error> {
        let held = match self.usable(refused).await.map_err(into_error)? {
            Some(held) => held,
            None => self.refresh(refused).await.map_err(into_error)?,
        };
        let access = held.access.clone();
        *current = Some(held);
        Ok(access)
    }

    /// The stored token, where it is neither over nor refused.
    async fn usable(&self, refused: Option<&SecretString>) -> anyhow::Result<Option<Current>> {
        let Some((token, _)) = self.stored().await? else {
            return Ok(None);
        };
        let left = token.expires_at.duration_since(Timestamp::now()) - MARGIN;
        let is_refused =
            refused.is_some_and(|it| it.expose_secret() == token.access_token.expose_secret());
        if is_refused || left <= SignedDuration::ZERO {
            return Ok(None);
        }
        Ok(Some(Current {
            access: token.access_token,
            good_until: Instant::now() + left.unsigned_abs(),
        }))
    }

    async fn stored(&self) -> anyhow::Result<Option<(Token, TokenVersion)>> {
        let stored = self.store.read().await?;
        if let Some((token, _)) = &stored {
            check_scope(&token.scope)?;
            let expected = self.athlete_id.get().map_or("", String::as_str);
            if !token.athlete_id.is_empty() && !expected.is_empty() && token.athlete_id != expected
            {
                anyhow::bail!(Refused::new(format!(
                    "{} holds the token of athlete {} and not of {expected}: put {{athlete_id}} into \
                     STRAVA_TOKEN_STORE to keep one for each",
                    self.store, token.athlete_id
                )));
            }
        }
        Ok(stored)
    }

    /// Waits for its turn, looks whether another has refreshed meanwhile, and refreshes otherwise.
    async fn refresh(&self, refused: Option<&SecretString>) -> anyhow::Result<Current> {
        let athlete_id = self.athlete_id.get().map_or("any", String::as_str);
        let lease = keys::token_lease(&self.application.client_id, athlete_id);
        let turn = self
            .queue
            .turn(&self.store, &lease, &self.stop)
            .await
            .context("wait to refresh the token")?;
        let held = match self.usable(refused).await? {
            Some(held) => held,
            None => self.exchange(&turn).await?,
        };
        turn.end().await?;
        Ok(held)
    }

    async fn exchange(&self, turn: &Turn) -> anyhow::Result<Current> {
        let stored = self.stored().await?;
        let refresh_token = match (&stored, &self.seed) {
            (Some((token, _)), _) => &token.refresh_token,
            (None, Some(seed)) => seed,
            (None, None) => anyhow::bail!(Refused::new(format!(
                "there is no token: {} is empty and STRAVA_REFRESH_TOKEN is not set; {AUTHORISE_AGAIN}",
                self.store
            ))),
        };
        let granted = self.ask(refresh_token).await?;
        let now = Timestamp::now();
        let (kept_scope, kept_athlete) = stored.as_ref().map_or(("", ""), |(token, _)| {
            (token.scope.as_str(), token.athlete_id.as_str())
        });
        let token = Token {
            access_token: granted.access_token,
            refresh_token: granted.refresh_token,
            expires_at: Timestamp::from_second(granted.expires_at)
                .context("read when the token expires")?,
            scope: granted.scope.unwrap_or_else(|| kept_scope.to_owned()),
            athlete_id: self
                .athlete_id
                .get()
                .map_or(kept_athlete, String::as_str)
                .to_owned(),
        };
        turn.check()?;
        // Stored before it is used: the old one may have stopped working the moment this was made.
        self.store
            .write(&token, stored.as_ref().map(|(_, version)| version))
            .await?;
        check_scope(&token.scope)?;
        info!(token.expires_at = %token.expires_at, "refreshed the access token");
        // Counted from now by our clock, whatever the far side's says.
        let lasts = granted.expires_in.map_or_else(
            || token.expires_at.duration_since(now),
            SignedDuration::from_secs,
        );
        let lasts = (lasts - MARGIN).max(SignedDuration::ZERO).unsigned_abs();
        Ok(Current {
            access: token.access_token,
            good_until: Instant::now() + lasts,
        })
    }

    async fn ask(&self, refresh_token: &SecretString) -> anyhow::Result<Granted> {
        let form = [
            ("client_id", self.application.client_id.as_str()),
            (
                "client_secret",
                self.application.client_secret.expose_secret(),
            ),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose_secret()),
        ];
        let mut attempt = 0;
        loop {
            attempt += 1;
            let sent = async {
                let response = self.http.post(&self.address).form(&form).send().await;
                let response = response.map_err(|error| chain(&error.without_url()))?;
                let status = response.status();
                Ok((status, read(response).await?))
            };
            let answer = tokio::select! {
                answer = sent => answer,
                () = self.stop.cancelled() => anyhow::bail!(Stopped),
            };
            let reason = match answer {
                Ok((StatusCode::OK, body)) => match serde_json::from_slice(&body) {
                    Ok(granted) => return Ok(granted),
                    // serde quotes what it does not understand, which may be a token.
                    Err(_) => "the answer is no token".to_owned(),
                },
                Ok((status, _))
                    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS =>
                {
                    format!("Strava answered {status}")
                }
                Ok((_, body)) => anyhow::bail!(Refused::new(Fault::read(&body).refused_refresh())),
                Err(reason) => reason,
            };
            if attempt >= ATTEMPTS {
                anyhow::bail!(
                    "refresh the token at {}: {reason} (tried {attempt} times)",
                    self.address
                );
            }
            pause(attempt, &self.stop).await?;
        }
    }
}

/// A scope that is known must do. A seed's is not: the answers to come will tell.
pub fn check_scope(scope: &str) -> anyhow::Result<()> {
    let mut granted = scope
        .split([',', ' '])
        .filter(|name| !name.is_empty())
        .peekable();
    if granted.peek().is_none() || granted.any(|name| SCOPES.contains(&name)) {
        return Ok(());
    }
    anyhow::bail!(Refused::new(format!(
        "the token's scope is {scope}, which shows no activity; {AUTHORISE_AGAIN}"
    )))
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

fn into_error(error: anyhow::Error) -> Error {
    if error.root_cause().is::<Stopped>() {
        Error::Stopped(Stopped)
    } else {
        Error::Token(error)
    }
}

#[cfg(test)]
mod tests {
    use super::check_scope;

    #[test]
    fn a_known_scope_must_show_activities() {
        for scope in [
            "",
            "read,activity:read",
            "activity:read_all profile:read_all",
        ] {
            check_scope(scope).unwrap();
        }
        let error = check_scope("read,profile:read_all").unwrap_err();
        assert!(common::task::is_refused(&error));
        assert!(
            error
                .to_string()
                .contains("authorise the application again"),
            "{error}"
        );
    }
}
