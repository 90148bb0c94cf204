//! Open-Meteo: asks one call at a time within the budget, and tells apart what may be tried again.

mod answer;
mod batch;
mod error;

use std::time::Duration;

use anyhow::Context as _;
use common::vitals::Vitals;
use common::weather::Source;
use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use url::Url;

use crate::budget::{Budget, ERROR_WEIGHT, Limits, Window};
use crate::clock::Clock;
use crate::locations::Location;
use crate::metrics;

pub use answer::{Element, Reading};
pub use batch::{Answers, Call, ask_all};
pub use error::Error;

/// The ten variables, in the order of [`common::weather::VALUES`]: more would weigh more.
pub const VARIABLES: [&str; 10] = [
    "temperature_2m",
    "relative_humidity_2m",
    "dew_point_2m",
    "apparent_temperature",
    "precipitation",
    "weather_code",
    "cloud_cover",
    "wind_speed_10m",
    "wind_direction_10m",
    "wind_gusts_10m",
];

/// Whatever mix of models the service finds best for a place.
const BEST_MATCH: &str = "best_match";
/// One reanalysis for all years, so that values never change their model between them.
const ERA5: &str = "era5_seamless";

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Past the end of a window, as the service's clock and ours are not the same.
const WINDOW_MARGIN: SignedDuration = SignedDuration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// 1,000 places with four weeks of hours are about 60 MB; a call here has at most a tenth of that.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Where the service is, and what it allows.
#[derive(Debug, Clone)]
pub struct Settings {
    pub forecast_url: Url,
    pub archive_url: Url,
    pub historical_forecast_url: Url,
    pub api_key: Option<SecretString>,
    pub limits: Limits,
}

/// How long to insist.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Tries of one call that fail for reasons that pass.
    pub attempts: u32,
    /// Of these, how many may end with an answer that is broken.
    pub broken_attempts: u32,
    /// The longest that one call waits for a window.
    pub max_wait: Duration,
    /// After this nobody wants the answer any more.
    pub until: Option<Timestamp>,
}

/// A place in a call.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    pub latitude: &'a str,
    pub longitude: &'a str,
}

impl<'a> Spot<'a> {
    pub fn of(location: &'a Location) -> Self {
        Self {
            latitude: location.latitude.as_str(),
            longitude: location.longitude.as_str(),
        }
    }
}

/// A place and its hours, first and last included.
#[derive(Debug, Clone, Copy)]
pub struct Hours<'a> {
    pub spot: Spot<'a>,
    pub from: Timestamp,
    pub to: Timestamp,
}

/// What was asked for so far.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Spent {
    pub requests: u64,
    pub weight: f64,
}

pub struct OpenMeteo {
    http: reqwest::Client,
    settings: Settings,
    budget: Budget,
    clock: Clock,
    vitals: Vitals,
    stop: CancellationToken,
    spent: Spent,
    has_answered: bool,
}

impl OpenMeteo {
    pub fn new(
        settings: Settings,
        clock: Clock,
        vitals: Vitals,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("data-voyager/", env!("CARGO_PKG_NAME")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            // A redirect would lead to the customer host with the key in the address.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("make an HTTP client")?;
        let budget = Budget::new(settings.limits);
        Ok(Self {
            http,
            settings,
            budget,
            clock,
            vitals,
            stop,
            spent: Spent::default(),
            has_answered: false,
        })
    }

    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Whether any call was answered well.
    pub fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Whether the running day (UTC) still holds that weight besides another that is wanted later.
    pub fn can_spare(&mut self, weight: f64, wanted_later: f64) -> bool {
        let used = self.budget.used(self.clock.now(), Window::Day);
        used + weight + wanted_later <= self.settings.limits.day
    }

    /// It answers, whatever it had for one place alone.
    fn is_well(&self) {
        self.vitals.ready(metrics::READY_OPEN_METEO);
    }

    /// The running slot at every spot, one element each, in their order.
    pub async fn current(
        &mut self,
        spots: &[Spot<'_>],
        patience: Patience,
    ) -> Result<Vec<Element>, Error> {
        let mut query = coordinates(&spots.iter().copied());
        query.push(("current", VARIABLES.join(",")));
        let weight = spots.len() as f64;
        self.call(Source::Forecast, &query, spots.len(), weight, patience)
            .await
    }

    /// The hours asked for, one element for each of `windows`, in their order.
    pub async fn hourly(
        &mut self,
        source: Source,
        windows: &[Hours<'_>],
        patience: Patience,
    ) -> Result<Vec<Element>, Error> {
        let list = |time: fn(&Hours<'_>) -> Timestamp| {
            let hours = windows
                .iter()
                .map(|window| time(window).strftime("%Y-%m-%dT%H:%M").to_string());
            hours.collect::<Vec<_>>().join(",")
        };
        let mut query = coordinates(&windows.iter().map(|window| window.spot));
        query.push(("hourly", VARIABLES.join(",")));
        query.push(("start_hour", list(|window| window.from)));
        query.push(("end_hour", list(|window| window.to)));
        let weight = windows
            .iter()
            .map(|window| crate::budget::weight(window.to.duration_since(window.from)))
            .sum();
        self.call(source, &query, windows.len(), weight, patience)
            .await
    }

    /// Tries until there is an answer, or none is to be had within the caller's patience.
    async fn call(
        &mut self,
        source: Source,
        query: &[(&str, String)],
        count: usize,
        weight: f64,
        patience: Patience,
    ) -> Result<Vec<Element>, Error> {
        let limit = SignedDuration::try_from(patience.max_wait).unwrap_or(SignedDuration::MAX);
        let give_up_at = self
            .clock
            .now()
            .saturating_add(limit)
            .unwrap_or(Timestamp::MAX);
        let mut backoff = FIRST_BACKOFF;
        let (mut failures, mut broken) = (0, 0);
        loop {
            let now = self.clock.now();
            if let Some((window, end)) = self.budget.wait(now, weight) {
                self.pause(window, end, give_up_at, patience).await?;
                continue;
            }
            let error = match self.ask(source, query, count, weight).await {
                Ok(elements) => return Ok(elements),
                Err(error) => error,
            };
            self.vitals
                .add(&metrics::REQUEST_FAILURES, &[("kind", error.kind())], 1.0);
            match error {
                Error::Spent { window, .. } => {
                    let now = self.clock.now();
                    self.budget.exhaust(now, window);
                    self.pause(window, window.end(now), give_up_at, patience)
                        .await?;
                }
                Error::Unavailable(_) | Error::Broken(_) | Error::Crowded => {
                    failures += 1;
                    broken += u32::from(matches!(error, Error::Broken(_)));
                    let wait = backoff.mul_f64(0.5 + fastrand::f64());
                    backoff = (backoff * 2).min(LONGEST_BACKOFF);
                    let at = self.clock.now() + wait;
                    if failures >= patience.attempts
                        || broken >= patience.broken_attempts
                        || patience.until.is_some_and(|until| at > until)
                    {
                        return Err(error);
                    }
                    debug!(
                        error = error.to_string(),
                        wait.seconds = wait.as_secs_f64(),
                        "Open-Meteo failed, trying again"
                    );
                    self.wait_until(at).await?;
                }
                Error::Rejected(_) | Error::Misconfigured(_) | Error::Stopped => return Err(error),
            }
        }
    }

    /// Waits for a window's end, unless that is later than anybody wants to wait.
    async fn pause(
        &mut self,
        window: Window,
        end: Timestamp,
        give_up_at: Timestamp,
        patience: Patience,
    ) -> Result<(), Error> {
        let resume_at = end + WINDOW_MARGIN;
        if resume_at > give_up_at || patience.until.is_some_and(|until| resume_at > until) {
            return Err(Error::Spent { window, resume_at });
        }
        warn!(window = window.as_str(), %resume_at, "paused, as Open-Meteo's limit is used up");
        self.wait_until(resume_at).await
    }

    async fn wait_until(&self, at: Timestamp) -> Result<(), Error> {
        let waited = self.clock.wait_until(at, &self.stop).await;
        waited.then_some(()).ok_or(Error::Stopped)
    }

    /// One request.
    async fn ask(
        &mut self,
        source: Source,
        query: &[(&str, String)],
        count: usize,
        weight: f64,
    ) -> Result<Vec<Element>, Error> {
        let (host, path) = match source {
            Source::Forecast => (&self.settings.forecast_url, "v1/forecast"),
            Source::HistoricalForecast => (&self.settings.historical_forecast_url, "v1/forecast"),
            Source::Archive => (&self.settings.archive_url, "v1/archive"),
        };
        let mut url = host.clone();
        url.path_segments_mut()
            .map_err(|()| Error::Misconfigured("Open-Meteo's address is none of http".to_owned()))?
            .pop_if_empty()
            .extend(path.split('/'));
        let mut request = self.http.get(url).query(query).query(&[
            ("timezone", "GMT"),
            ("timeformat", "unixtime"),
            ("wind_speed_unit", "ms"),
        ]);
        if source == Source::Archive {
            request = request.query(&[("models", ERA5)]);
        }
        if let Some(key) = &self.settings.api_key {
            request = request.header("X-Api-Key", key.expose_secret());
        }

        self.spent.requests += 1;
        let fetch = async {
            let response = request.send().await?;
            let status = response.status();
            Ok((status, response.bytes().await?))
        };
        let fetched: Result<_, reqwest::Error> = tokio::select! {
            fetched = fetch => fetched,
            () = self.stop.cancelled() => return Err(Error::Stopped),
        };
        // Sent, and nobody knows how far the service came with it.
        let is_cut_off = fetched.as_ref().is_err_and(|error| !error.is_connect());
        // The address has the coordinates in it.
        let outcome = fetched.map_err(|error| Error::Unavailable(describe(&error.without_url())));
        let outcome = outcome.and_then(|(status, body)| match status {
            StatusCode::OK if body.len() <= MAX_BODY_BYTES => {
                answer::read(&body, count, source_model(source), self.clock.now())
            }
            StatusCode::OK => Err(Error::Broken("the answer is beyond all measure".to_owned())),
            status => Err(error::of(status, &body, self.clock.now())),
        });
        // Whether a broken or missing answer was counted nobody knows: better to think that it was.
        let cost = match &outcome {
            Ok(_) | Err(Error::Broken(_)) => weight,
            Err(_) if is_cut_off => weight,
            Err(Error::Spent { .. } | Error::Crowded) => 0.0,
            Err(_) => ERROR_WEIGHT,
        };
        let now = self.clock.now();
        self.budget.count(now, cost);
        self.spent.weight += cost;
        self.vitals
            .add(&metrics::REQUESTS, &[("source", source.as_str())], 1.0);
        self.vitals.add(&metrics::WEIGHT, &[], cost);
        for window in Window::ALL {
            let used = self.budget.used(now, window);
            self.vitals
                .set(&metrics::BUDGET_USED, &[("window", window.as_str())], used);
        }
        match &outcome {
            Ok(_) => {
                self.has_answered = true;
                self.vitals.ready(metrics::READY_OPEN_METEO);
            }
            Err(Error::Rejected(_)) => {}
            Err(error) => self
                .vitals
                .not_ready(metrics::READY_OPEN_METEO, error.to_string()),
        }
        outcome
    }
}

/// Which model a message names.
pub fn source_model(source: Source) -> &'static str {
    match source {
        Source::Forecast | Source::HistoricalForecast => BEST_MATCH,
        Source::Archive => ERA5,
    }
}

/// Own ids from 1, as the service does not print 0.
fn coordinates<'a>(
    spots: &(impl Iterator<Item = Spot<'a>> + Clone),
) -> Vec<(&'static str, String)> {
    let join =
        |text: fn(Spot<'a>) -> &'a str| spots.clone().map(text).collect::<Vec<_>>().join(",");
    let ids: Vec<_> = (1..=spots.clone().count())
        .map(|id| id.to_string())
        .collect();
    vec![
        ("latitude", join(|spot| spot.latitude)),
        ("longitude", join(|spot| spot.longitude)),
        ("location_id", ids.join(",")),
    ]
}

/// An error with its causes in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
