//! Strava's API: a token in the header only, bounded retries, and errors by what to do about them.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use common::task::Stopped;
use jiff::Timestamp;
use reqwest::{Client, Response, StatusCode, redirect};
use secrecy::ExposeSecret as _;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use url::Url;

use crate::{
    fault::Fault,
    quota::{Quota, UsedUp},
    token::Tokens,
};

/// The most that Strava gives at once.
pub const PER_PAGE: u32 = 200;

/// No answer of Strava is that long; what is longer is no answer of Strava.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// How often the list and the athlete are asked for, without which there is nothing to do.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How to ask.
#[derive(Debug, Clone)]
pub struct Manners {
    /// How often one activity is asked for before it is set aside.
    pub attempts: u32,
    /// How many requests this run may send.
    pub max_requests: Option<u64>,
}

/// A client for one athlete.
pub struct StravaApi {
    http: Client,
    base: Url,
    tokens: Tokens,
    manners: Manners,
    quota: Mutex<Quota>,
    requests: AtomicU64,
    stop: CancellationToken,
}

/// An answer as received.
#[derive(Debug)]
pub struct Answer {
    pub body: Box<RawValue>,
    pub fetched_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing that a retry helps against: credentials, scope, subscription. Says what to do.
    #[error("{0}")]
    Refused(String),
    #[error("the quota of this {} is used up", match .0 { UsedUp::Quarter(_) => "quarter of an hour", UsedUp::Day(_) => "day" })]
    UsedUp(UsedUp),
    /// `--max-requests` is reached.
    #[error("the run has sent all the requests that it may send")]
    RequestsSpent,
    /// There is no such thing, or not for this athlete.
    #[error("{0}: Strava has no such thing (404)")]
    NotFound(String),
    /// Strava answered wrongly every time that it was asked, or there is no point in asking again.
    #[error("{what}: {reason} (tried {attempts} times)")]
    Failed {
        what: String,
        reason: String,
        attempts: u32,
    },
    /// Strava did not answer at all, which is about no one thing that was asked for.
    #[error("{what}: {reason} (tried {attempts} times)")]
    Unreachable {
        what: String,
        reason: String,
        attempts: u32,
    },
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error(transparent)]
    Token(anyhow::Error),
}

/// What became of one try.
enum Try {
    Answer(Answer),
    /// A refused access token: worth one refresh.
    Unauthorized(Fault),
    /// Worth another try.
    Failed(String),
    Unreachable(String),
}

impl StravaApi {
    /// `base` is an address without a trailing slash. Nothing is sent yet.
    pub fn new(
        base: Url,
        tokens: Tokens,
        manners: Manners,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let http = http_client()?;
        let quota = Mutex::default();
        Ok(Self {
            http,
            base,
            tokens,
            manners,
            quota,
            requests: AtomicU64::new(0),
            stop,
        })
    }

    /// The athlete whom the token belongs to.
    pub async fn athlete(&self) -> Result<Answer, Error> {
        self.get("fetch the athlete", "/athlete", &[], ATTEMPTS)
            .await
    }

    /// A page of the list of all activities, newest first, counted from 1; with `before`, of those
    /// that started before that second. Any page may be short; only an empty one is the end.
    pub async fn activities(&self, page: u32, before: Option<i64>) -> Result<Answer, Error> {
        let mut query = vec![
            ("per_page", PER_PAGE.to_string()),
            ("page", page.to_string()),
        ];
        query.extend(before.map(|second| ("before", second.to_string())));
        self.get(
            &format!("fetch page {page} of the activities"),
            "/athlete/activities",
            &query,
            ATTEMPTS,
        )
        .await
    }

    /// One activity.
    pub async fn activity(&self, id: u64) -> Result<Answer, Error> {
        self.get(
            &format!("fetch activity {id}"),
            &format!("/activities/{id}"),
            &[],
            self.manners.attempts,
        )
        .await
    }

    /// Says whose token it is, once that is known.
    pub fn belongs_to(&self, athlete_id: &str) {
        self.tokens.belong_to(athlete_id);
    }

    /// How many requests were sent, tries again included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What is known of the quota.
    pub fn quota(&self) -> Quota {
        self.quota
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn get(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, String)],
        attempts: u32,
    ) -> Result<Answer, Error> {
        let mut refreshed = false;
        let mut attempt = 0;
        let mut token = self.tokens.access().await?;
        loop {
            attempt += 1;
            let sent = self.send(what, path, query, &token);
            let outcome = tokio::select! {
                outcome = sent => outcome?,
                () = self.stop.cancelled() => return Err(Stopped.into()),
            };
            let (reason, is_answer) = match outcome {
                Try::Answer(answer) => return Ok(answer),
                Try::Unauthorized(_) if !refreshed => {
                    refreshed = true;
                    attempt -= 1;
                    token = self.tokens.access_after_refusal_of(&token).await?;
                    continue;
                }
                Try::Unauthorized(fault) => return Err(Error::Refused(fault.unauthorized())),
                Try::Failed(reason) => (reason, true),
                Try::Unreachable(reason) => (reason, false),
            };
            if attempt >= attempts {
                let (what, attempts) = (what.to_owned(), attempt);
                return Err(if is_answer {
                    Error::Failed {
                        what,
                        reason,
                        attempts,
                    }
                } else {
                    Error::Unreachable {
                        what,
                        reason,
                        attempts,
                    }
                });
            }
            debug!(http.attempt = attempt, "{what}: {reason}; trying again");
            pause(attempt, &self.stop).await?;
        }
    }

    async fn send(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, String)],
        token: &secrecy::SecretString,
    ) -> Result<Try, Error> {
        if let Some(used_up) = self.quota().used_up(Timestamp::now()) {
            return Err(Error::UsedUp(used_up));
        }
        if self
            .manners
            .max_requests
            .is_some_and(|most| self.requests() >= most)
        {
            return Err(Error::RequestsSpent);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let request = self
            .http
            .get(url)
            .query(query)
            .bearer_auth(token.expose_secret());
        let response = match request.send().await {
            Ok(response) => response,
            // A query has no place in a log.
            Err(error) => return Ok(Try::Unreachable(self.transport_failure(error))),
        };
        let (status, now) = (response.status(), Timestamp::now());
        self.quota
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .learn(response.headers(), now);
        let body = match read(response).await {
            Ok(body) => body,
            Err(reason) => return Ok(Try::Unreachable(reason)),
        };
        if status.is_success() {
            return Ok(match serde_json::from_slice::<Box<RawValue>>(&body) {
                Ok(body) => Try::Answer(Answer {
                    body,
                    fetched_at: now,
                }),
                Err(_) => Try::Failed("the answer is no JSON".to_owned()),
            });
        }
        self.refusal(what, status, &body, now)
    }

    /// What an answer that is no success means, by status and body.
    fn refusal(
        &self,
        what: &str,
        status: StatusCode,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Try, Error> {
        let fault = Fault::read(body);
        match status {
            StatusCode::UNAUTHORIZED => match fault.missing_scope() {
                Some(text) => Err(Error::Refused(text)),
                None => Ok(Try::Unauthorized(fault)),
            },
            StatusCode::NOT_FOUND => Err(Error::NotFound(what.to_owned())),
            StatusCode::TOO_MANY_REQUESTS => Err(Error::UsedUp(self.quota().refused(now))),
            StatusCode::FORBIDDEN if fault.is_rate_limit() => {
                Err(Error::UsedUp(self.quota().refused(now)))
            }
            StatusCode::FORBIDDEN if fault.is_about_application() => {
                Err(Error::Refused(fault.forbidden(status)))
            }
            _ if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                Ok(Try::Failed(format!("Strava answered {status}")))
            }
            _ => Err(Error::Failed {
                what: what.to_owned(),
                reason: format!(
                    "{} answered {status}{}",
                    self.base_for_people(),
                    fault.in_brackets()
                ),
                attempts: 1,
            }),
        }
    }

    fn transport_failure(&self, error: reqwest::Error) -> String {
        format!(
            "{}: {}",
            self.base_for_people(),
            chain(&error.without_url())
        )
    }

    fn base_for_people(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}

/// A client that neither follows redirects with a token in hand nor waits for ever.
pub(crate) fn http_client() -> anyhow::Result<Client> {
    Ok(Client::builder()
        .user_agent(concat!("data-voyager/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(30))
        .build()?)
}

/// The body, up to the most that is sensible.
pub(crate) async fn read(mut response: Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body.freeze()),
            Err(error) => {
                return Err(format!(
                    "the answer broke off: {}",
                    chain(&error.without_url())
                ));
            }
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(format!("the answer is longer than {MAX_BODY_BYTES} bytes"));
        }
    }
}

/// Waits longer each time, by a random share, so that many who failed together do not return together.
pub(crate) async fn pause(attempt: u32, stop: &CancellationToken) -> Result<(), Stopped> {
    let longest = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(attempt - 1))
        .min(LONGEST_PAUSE);
    let pause = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
    tokio::select! {
        () = tokio::time::sleep(pause) => Ok(()),
        () = stop.cancelled() => Err(Stopped),
    }
}

/// An error with its causes: reqwest's own text stops at the outermost.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
