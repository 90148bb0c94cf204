//! A Strava API on loopback: started in process by tests, and by devstack for everybody else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::activities::Activities;
use super::clock::Clock;
use super::connection::{Connection, Listener};
use super::control::{Control, Request};
use super::faults::Faults;
use super::generate::Generated;
use super::oauth::{self, Tokens};
use super::quota::{Limits, Quota};
use super::saved::Saved;
use super::{api, control_routes, gate};

/// Whose activities are served.
#[derive(Debug, Clone)]
pub enum Athlete {
    /// Summaries in a file, one JSON object a line, served with exactly their text.
    Recorded(PathBuf),
    /// A made-up athlete.
    Generated(Generated),
}

/// How a simulator starts; the default is a generated athlete and Strava's own limits.
#[derive(Debug, Clone)]
pub struct Options {
    pub athlete: Athlete,
    pub quota: Limits,
    /// Places in the list that are taken when paging and left out of the page, so that pages in
    /// mid-list are short. `None`: a few, as many as cost no page more at 200 a page.
    pub filtered: Option<usize>,
    /// The clock stands still here until it is moved. `None`: it follows the system's.
    pub clock: Option<Timestamp>,
    /// What the athlete granted.
    pub scope: Vec<String>,
    /// File that keeps edits, tokens and usage from one run to the next.
    pub state: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            athlete: Athlete::Generated(Generated::default()),
            quota: Limits::default(),
            filtered: None,
            clock: None,
            scope: ["read", "activity:read_all", "profile:read_all"]
                .map(str::to_owned)
                .into(),
            state: None,
        }
    }
}

/// A running simulator; it stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    control: Control,
    _stop: DropGuard,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) filtered: Option<usize>,
    pub(crate) athlete_id: i64,
    state: Option<PathBuf>,
    first_day: Option<jiff::civil::Date>,
    account: Mutex<Account>,
}

/// What requests change.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) activities: Activities,
    pub(crate) tokens: Tokens,
    pub(crate) quota: Quota,
    pub(crate) faults: Faults,
    pub(crate) inactive: bool,
    pub(crate) requests: Vec<Request>,
    pub(crate) answered: u64,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what must survive a restart, where a file was given for it.
    pub(crate) fn save(&self) -> anyhow::Result<()> {
        let Some(path) = &self.state else {
            return Ok(());
        };
        Saved::of(&self.lock(), self.clock.moved_by(), self.first_day).write(path)
    }
}

impl Simulator {
    /// Binds a free port on loopback and answers until dropped.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::open(options).context("prepare the Strava simulator")?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("bind the Strava simulator")?;
        let address = listener.local_addr().context("bind the Strava simulator")?;

        let stop = CancellationToken::new();
        let service = routes(&shared).into_make_service_with_connect_info::<Connection>();
        let server = axum::serve(Listener(listener), service)
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(server.into_future());
        let control = Control::new(Arc::clone(&shared));
        Ok(Self {
            address,
            shared,
            control,
            _stop: stop.drop_guard(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `STRAVA_API_URL`.
    pub fn api_url(&self) -> String {
        format!("http://{}/api/v3", self.address)
    }

    /// For `STRAVA_OAUTH_URL`.
    pub fn oauth_url(&self) -> String {
        format!("http://{}/oauth", self.address)
    }

    /// For `DEVSTACK_STRAVA_CONTROL`; the routes are in [`control`](super::control).
    pub fn control_url(&self) -> String {
        format!("http://{}/control", self.address)
    }

    pub fn client_id(&self) -> &'static str {
        oauth::CLIENT_ID
    }

    pub fn client_secret(&self) -> &'static str {
        oauth::CLIENT_SECRET
    }

    /// The refresh token that works now; a refresh may replace it.
    pub fn refresh_token(&self) -> String {
        self.shared.lock().tokens.refresh_token().to_owned()
    }

    pub fn athlete_id(&self) -> i64 {
        self.shared.athlete_id
    }

    /// Stops, and tells where its state could not be kept.
    pub fn stop(self) -> anyhow::Result<()> {
        self.shared.save()
    }

    /// Everything that the control address can do, in process.
    pub fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Usage is kept here only: a file written for every request would be the slowest part.
        if let Err(error) = self.shared.save() {
            tracing::error!(
                error = format!("{error:#}"),
                "the Strava simulator's state was not kept"
            );
        }
    }
}

impl Shared {
    fn open(options: Options) -> anyhow::Result<Self> {
        let scope: Vec<&str> = options.scope.iter().map(String::as_str).collect();
        let saved = options
            .state
            .as_deref()
            .map(Saved::read)
            .transpose()?
            .flatten();
        let clock = Clock::new(options.clock);
        if let Some(saved) = &saved {
            clock.advance(saved.clock_moved_by());
        }

        let mut first_day = None;
        let mut activities = match options.athlete {
            Athlete::Recorded(path) => Activities::recorded(&path)?,
            Athlete::Generated(mut generated) => {
                // The past of an athlete whose state is kept does not change from day to day.
                let kept = saved.as_ref().and_then(|saved| saved.first_day);
                generated.first_day = generated.first_day.or(kept);
                let life = generated.plan(clock.now());
                first_day = Some(life.first_day());
                Activities::from_texts(life.summaries())?
            }
        };
        let athlete_id = activities
            .oldest_first()
            .next()
            .context("the athlete has no activity")?
            .facts
            .athlete
            .id;

        let mut tokens = Tokens::new(&scope);
        let mut quota = Quota::default();
        let mut inactive = false;
        if let Some(saved) = saved {
            activities.apply(saved.edits)?;
            activities.hidden = saved.hidden;
            (tokens, quota, inactive) = (saved.tokens, saved.quota, saved.inactive);
        }
        let account = Account {
            activities,
            tokens,
            quota,
            faults: Faults::default(),
            inactive,
            requests: Vec::new(),
            answered: 0,
        };
        Ok(Self {
            clock,
            limits: options.quota,
            filtered: options.filtered,
            athlete_id,
            state: options.state,
            first_day,
            account: Mutex::new(account),
        })
    }
}

fn routes(shared: &Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/athlete", get(api::athlete))
        .route("/athlete/zones", get(api::athlete_zones))
        .route("/athlete/activities", get(api::activities))
        .route("/athletes/{id}/stats", get(api::athlete_stats))
        .route("/activities/{id}", get(api::activity))
        .route("/gear/{id}", get(api::gear))
        .fallback(api::unknown)
        .layer(from_fn_with_state(
            Arc::clone(shared),
            gate::authorise_and_count,
        ))
        .layer(from_fn_with_state(Arc::clone(shared), gate::log_and_strike));
    let oauth = Router::new()
        .route("/token", post(oauth::exchange))
        .layer(from_fn_with_state(Arc::clone(shared), gate::log_and_strike));
    Router::new()
        .nest("/api/v3", api)
        .nest("/oauth", oauth)
        .nest("/control", control_routes::routes())
        .with_state(Arc::clone(shared))
}
