//! The simulator's control address: what changes on the service's side, told by a person or a test.
//!
//! All routes are below `DEVSTACK_OPEN_METEO_CONTROL`; bodies and answers are JSON. [`Control`] does the same in
//! process.
//!
//! | route | does |
//! | --- | --- |
//! | `GET /state` | `{"now","usage","revision","lacking","faults"}` |
//! | `GET /requests` | the log: `[{"at","host","status","locations","weight"}]`, without coordinates |
//! | `DELETE /requests` | empties the log |
//! | `POST /faults` | plans a [`Fault`] |
//! | `DELETE /faults` | forgets the planned ones |
//! | `POST /quota` | `{"window":"minute"\|"hour"\|"day"}`: somebody else uses the window up |
//! | `POST /clock` | `{"advance_seconds":N}`: moves the clock |
//! | `POST /revision` | the model runs anew: every value changes a little |
//! | `PUT /lacking` | `{"variables":["wind_gusts_10m"]}`: null and unit `undefined` from now on |

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::faults::Fault;
use super::limits::{Usage, Window};
use super::simulator::{Host, Shared};

/// One line of the request log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub at: Timestamp,
    pub host: Host,
    pub status: u16,
    /// Elements of the answer.
    pub locations: usize,
    /// What it cost, in calls.
    pub weight: f64,
}

/// A running simulator's other side.
#[derive(Debug, Clone)]
pub struct Control(Arc<Shared>);

impl Control {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Every request since the start or the last [`Control::forget_requests`].
    pub fn requests(&self) -> Vec<Request> {
        self.0.lock().requests.clone()
    }

    pub fn forget_requests(&self) {
        self.0.lock().requests.clear();
    }

    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub fn advance_clock(&self, seconds: i64) {
        self.0.clock.advance(seconds.saturating_mul(1_000));
    }

    pub fn usage(&self) -> Usage {
        let now = self.now();
        self.0.lock().limiter.usage(now)
    }

    pub fn plan_fault(&self, fault: Fault) {
        self.0.lock().faults.plan(fault);
    }

    pub fn clear_faults(&self) {
        self.0.lock().faults.clear();
    }

    /// Uses a window up, as another program at the same address would.
    pub fn exhaust(&self, window: Window) {
        let now = self.now();
        self.0.lock().limiter.exhaust(now, &self.0.limits, window);
    }

    /// The model runs anew: the same slot is served with other values.
    pub fn revise(&self) {
        self.0.lock().revision += 1;
    }

    /// From now on these variables are null, in the unit `undefined`.
    pub fn set_lacking<S: Into<String>>(&self, variables: impl IntoIterator<Item = S>) {
        self.0.lock().lacking = variables.into_iter().map(Into::into).collect();
    }

    fn state(&self) -> Value {
        let usage = self.usage();
        let world = self.0.lock();
        json!({
            "now": self.0.clock.now(),
            "usage": usage,
            "revision": world.revision,
            "lacking": world.lacking,
            "faults": world.faults.planned(),
        })
    }
}

type Shares = State<Arc<Shared>>;
type Answer = Result<Json<Value>, (StatusCode, Json<Value>)>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/state",
            get(async |State(shared): Shares| Json(Control(shared).state())),
        )
        .route("/requests", get(list_requests).delete(forget_requests))
        .route("/faults", post(plan_fault).delete(clear_faults))
        .route("/quota", post(exhaust))
        .route("/clock", post(advance_clock))
        .route("/revision", post(revise))
        .route("/lacking", put(set_lacking))
}

async fn list_requests(State(shared): Shares) -> Json<Value> {
    Json(json!(Control(shared).requests()))
}

async fn forget_requests(State(shared): Shares) -> Json<Value> {
    Control(shared).forget_requests();
    Json(json!({}))
}

async fn plan_fault(State(shared): Shares, body: String) -> Answer {
    Control(shared).plan_fault(read(&body)?);
    Ok(Json(json!({})))
}

async fn clear_faults(State(shared): Shares) -> Json<Value> {
    Control(shared).clear_faults();
    Json(json!({}))
}

#[derive(Deserialize)]
struct UsedUp {
    window: Window,
}

async fn exhaust(State(shared): Shares, body: String) -> Answer {
    Control(shared).exhaust(read::<UsedUp>(&body)?.window);
    Ok(Json(json!({})))
}

#[derive(Deserialize)]
struct Advance {
    advance_seconds: i64,
}

async fn advance_clock(State(shared): Shares, body: String) -> Answer {
    let control = Control(shared);
    control.advance_clock(read::<Advance>(&body)?.advance_seconds);
    Ok(Json(json!({ "now": control.now() })))
}

async fn revise(State(shared): Shares) -> Json<Value> {
    Control(shared).revise();
    Json(json!({}))
}

#[derive(Deserialize)]
struct Lacking {
    variables: Vec<String>,
}

async fn set_lacking(State(shared): Shares, body: String) -> Answer {
    Control(shared).set_lacking(read::<Lacking>(&body)?.variables);
    Ok(Json(json!({})))
}

fn read<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, (StatusCode, Json<Value>)> {
    serde_json::from_str(body)
        .context("read the control request")
        .map_err(|error| {
            (
                StatusCode::BAD_REQUEST,
                Json(json!({ "error": format!("{error:#}") })),
            )
        })
}
