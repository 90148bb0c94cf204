//! What tests and people ask of the stand-in itself: faults, and the calls that were made.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::Value;

use super::World;
use super::faults::Fault;

/// Older calls are forgotten.
const REMEMBERED: usize = 10_000;

/// One call of a client: enough to ask whether its role may make it.
#[derive(Debug, Clone, Serialize)]
struct Call {
    service: String,
    operation: String,
    /// The access key, by which tests tell roles apart.
    caller: Option<String>,
    request: Value,
}

#[derive(Default)]
pub(super) struct Calls(Mutex<VecDeque<Call>>);

impl Calls {
    pub(super) fn record(&self, service: &str, operation: &str, headers: &HeaderMap, body: &[u8]) {
        let authorization = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let caller =
            authorization.and_then(|value| value.split_once("Credential=")?.1.split('/').next());
        let call = Call {
            service: service.to_owned(),
            operation: operation.to_owned(),
            caller: caller.map(str::to_owned),
            request: serde_json::from_slice(body).unwrap_or(Value::Null),
        };
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() == REMEMBERED {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    fn all(&self) -> Vec<Call> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/control/faults", post(add_fault).delete(clear_faults))
        .route("/control/calls", get(calls))
}

async fn add_fault(State(world): State<Arc<World>>, Json(fault): Json<Fault>) -> StatusCode {
    world.faults.add(fault);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(world): State<Arc<World>>) -> StatusCode {
    world.faults.clear();
    StatusCode::NO_CONTENT
}

async fn calls(State(world): State<Arc<World>>) -> Json<Vec<Call>> {
    Json(world.calls.all())
}
