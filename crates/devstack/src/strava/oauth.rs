//! Strava's token endpoint: refresh with rotation, and its refusals.

use std::collections::{BTreeMap, BTreeSet};

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer;
use super::simulator::Shared;

/// The application that the simulator knows. The values are planted: they stand out, so that
/// a test can look for them in logs.
pub const CLIENT_ID: &str = "90210";
pub const CLIENT_SECRET: &str = "planted-client-secret-0f3eb115bd7d2ef9";

/// Every access and refresh token begins like this.
pub const TOKEN_PREFIX: &str = "planted-";

/// An access token lives six hours; asked again with more than one left, it is given again.
const LIFETIME_SECONDS: i64 = 6 * 60 * 60;
const RENEWED_BELOW_SECONDS: i64 = 60 * 60;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    generation: u32,
    refresh_token: String,
    access_token: Option<String>,
    /// Access tokens that were given out, with the second they expire at.
    expires_at: BTreeMap<String, i64>,
    pub(crate) scope: BTreeSet<String>,
}

/// What a bearer token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    Valid,
    Invalid,
}

#[derive(Debug, Serialize)]
struct Granted<'a> {
    token_type: &'static str,
    access_token: &'a str,
    expires_at: i64,
    expires_in: i64,
    refresh_token: &'a str,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TokenRequest {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    client_secret: String,
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    refresh_token: String,
}

impl Tokens {
    pub(crate) fn new(scope: &[&str]) -> Self {
        Self {
            generation: 0,
            refresh_token: token("refresh", 0),
            access_token: None,
            expires_at: BTreeMap::new(),
            scope: scope.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    pub(crate) fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    pub(crate) fn check(&self, access_token: &str, now: Timestamp) -> Grant {
        match self.expires_at.get(access_token) {
            Some(&expires_at) if expires_at > now.as_second() => Grant::Valid,
            _ => Grant::Invalid,
        }
    }

    pub(crate) fn has_scope(&self, any_of: &[&str]) -> bool {
        any_of.iter().any(|&name| self.scope.contains(name))
    }

    /// Makes the refresh token worthless, as when the athlete leaves the application.
    pub(crate) fn invalidate_refresh_token(&mut self) {
        self.generation += 1;
        self.refresh_token = token("refresh", self.generation);
    }

    /// Makes every access token worthless, long before its time.
    pub(crate) fn expire_access_tokens(&mut self) {
        self.expires_at.clear();
        self.access_token = None;
    }

    fn refresh(&mut self, now: Timestamp) -> Granted<'_> {
        let now = now.as_second();
        let left = self
            .access_token
            .as_ref()
            .and_then(|token| self.expires_at.get(token))
            .map_or(0, |expires_at| expires_at - now);
        if left <= RENEWED_BELOW_SECONDS {
            self.generation += 1;
            self.refresh_token = token("refresh", self.generation);
            let access_token = token("access", self.generation);
            self.expires_at
                .retain(|_, &mut expires_at| expires_at > now);
            self.expires_at
                .insert(access_token.clone(), now + LIFETIME_SECONDS);
            self.access_token = Some(access_token);
        }
        let access_token = self.access_token.as_deref().unwrap_or_default();
        let expires_at = self.expires_at.get(access_token).copied().unwrap_or(now);
        Granted {
            token_type: "Bearer",
            access_token,
            expires_at,
            expires_in: expires_at - now,
            refresh_token: &self.refresh_token,
        }
    }
}

/// Unguessable in look, and the same in every run: tests compare logs with them.
fn token(kind: &str, generation: u32) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(format!("{kind}-{generation}"));
    let mut text = format!("{TOKEN_PREFIX}{kind}-token-{generation:04}-");
    for byte in digest.iter().take(8) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// `POST /oauth/token`
pub(crate) async fn exchange(
    State(shared): State<std::sync::Arc<Shared>>,
    form: Result<Form<TokenRequest>, axum::extract::rejection::FormRejection>,
) -> Response {
    let Ok(Form(request)) = form else {
        return answer::fault(
            StatusCode::BAD_REQUEST,
            "Bad Request",
            "Application",
            "client_id",
            "invalid",
        );
    };
    if request.client_id != CLIENT_ID || request.client_secret != CLIENT_SECRET {
        return answer::fault(
            StatusCode::BAD_REQUEST,
            "Bad Request",
            "Application",
            "client_id",
            "invalid",
        );
    }
    if request.grant_type != "refresh_token" {
        return answer::fault(
            StatusCode::BAD_REQUEST,
            "Bad Request",
            "RequestToken",
            "code",
            "invalid",
        );
    }
    let now = shared.clock.now();
    let body = {
        let mut account = shared.lock();
        if request.refresh_token != account.tokens.refresh_token() {
            return answer::fault(
                StatusCode::BAD_REQUEST,
                "Bad Request",
                "RefreshToken",
                "refresh_token",
                "invalid",
            );
        }
        serde_json::to_string(&account.tokens.refresh(now))
    };
    // A token that was given out must be known after a restart too.
    match body
        .map_err(anyhow::Error::from)
        .and_then(|body| shared.save().map(|()| body))
    {
        Ok(body) => answer::json(StatusCode::OK, body),
        Err(error) => answer::broken(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_refresh_rotates_only_when_the_access_token_is_nearly_over() {
        let mut tokens = Tokens::new(&["read"]);
        let seed = tokens.refresh_token().to_owned();
        let first = tokens.refresh(at(0)).access_token.to_owned();
        let rotated = tokens.refresh_token().to_owned();
        assert_ne!(seed, rotated);

        let again = tokens.refresh(at(7_318));
        assert_eq!(
            (again.access_token, again.expires_in),
            (first.as_str(), 14_282)
        );
        assert_eq!(again.refresh_token, rotated);

        let later = tokens.refresh(at(18_000)).access_token.to_owned();
        assert_ne!(later, first);
        assert_ne!(tokens.refresh_token(), rotated);
        assert_eq!(tokens.check(&first, at(18_001)), Grant::Valid);
        assert_eq!(tokens.check(&first, at(21_600)), Grant::Invalid);
    }
}
