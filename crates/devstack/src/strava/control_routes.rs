//! The routes of the control address, each a call of [`Control`].

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, patch, post, put};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer;
use super::control::Control;
use super::payload::Payload;
use super::quota::Window;
use super::simulator::Shared;

type Shares = State<Arc<Shared>>;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/state",
            get(async |State(shared): Shares| ok(&Control::new(shared).state())),
        )
        .route("/requests", get(list_requests).delete(forget_requests))
        .route("/activities", post(add).delete(delete_share))
        .route("/activities/{id}", patch(edit).delete(delete_one))
        .route("/hidden", put(hide))
        .route("/faults", post(plan_fault).delete(clear_faults))
        .route("/quota", post(exhaust))
        .route("/clock", post(advance_clock))
        .route("/scope", put(set_scope))
        .route("/application", put(set_application))
        .route("/tokens/refresh", delete(invalidate_refresh_token))
        .route("/tokens/access", delete(expire_access_tokens))
}

async fn list_requests(State(shared): Shares) -> Response {
    ok(&json!(Control::new(shared).requests()))
}

async fn forget_requests(State(shared): Shares) -> Response {
    Control::new(shared).forget_requests();
    ok(&json!({}))
}

async fn add(State(shared): Shares, body: String) -> Response {
    let fields = if body.trim().is_empty() {
        Ok(Payload::default())
    } else {
        body.parse()
    };
    let added = fields
        .map_err(Into::into)
        .and_then(|fields| Control::new(shared).add(fields));
    done(added.map(|id| json!({ "id": id })))
}

async fn edit(State(shared): Shares, Path(id): Path<i64>, body: String) -> Response {
    let fields = body.parse::<Payload>().map_err(Into::into);
    found(
        fields.and_then(|fields| Control::new(shared).edit(id, fields)),
        id,
    )
}

async fn delete_one(State(shared): Shares, Path(id): Path<i64>) -> Response {
    found(Control::new(shared).delete(id), id)
}

#[derive(Deserialize)]
struct Share {
    percent: u32,
}

async fn delete_share(State(shared): Shares, Query(share): Query<Share>) -> Response {
    done(
        Control::new(shared)
            .delete_share(share.percent)
            .map(|ids| json!({ "ids": ids })),
    )
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<i64>,
}

async fn hide(State(shared): Shares, body: String) -> Response {
    done(
        read::<Ids>(&body)
            .and_then(|list| Control::new(shared).hide(list.ids))
            .map(|()| json!({})),
    )
}

async fn plan_fault(State(shared): Shares, body: String) -> Response {
    done(
        read(&body)
            .map(|fault| Control::new(shared).plan_fault(fault))
            .map(|()| json!({})),
    )
}

async fn clear_faults(State(shared): Shares) -> Response {
    Control::new(shared).clear_faults();
    ok(&json!({}))
}

#[derive(Deserialize)]
struct UsedUp {
    window: Window,
}

async fn exhaust(State(shared): Shares, body: String) -> Response {
    let window = read::<UsedUp>(&body).map(|used_up| used_up.window);
    done(
        window
            .map(|window| Control::new(shared).exhaust(window))
            .map(|()| json!({})),
    )
}

#[derive(Deserialize)]
struct Advance {
    advance_seconds: i64,
}

async fn advance_clock(State(shared): Shares, body: String) -> Response {
    let control = Control::new(shared);
    let moved = read::<Advance>(&body)
        .and_then(|by| control.advance_clock(SignedDuration::from_secs(by.advance_seconds)));
    done(moved.map(|()| json!({ "now": control.now() })))
}

#[derive(Deserialize)]
struct Scope {
    scope: Vec<String>,
}

async fn set_scope(State(shared): Shares, body: String) -> Response {
    let set = read::<Scope>(&body).and_then(|wanted| Control::new(shared).set_scope(wanted.scope));
    done(set.map(|()| json!({})))
}

#[derive(Deserialize)]
struct Application {
    inactive: bool,
}

async fn set_application(State(shared): Shares, body: String) -> Response {
    let set = read::<Application>(&body)
        .and_then(|wanted| Control::new(shared).set_inactive(wanted.inactive));
    done(set.map(|()| json!({})))
}

async fn invalidate_refresh_token(State(shared): Shares) -> Response {
    done(
        Control::new(shared)
            .invalidate_refresh_token()
            .map(|()| json!({})),
    )
}

async fn expire_access_tokens(State(shared): Shares) -> Response {
    done(
        Control::new(shared)
            .expire_access_tokens()
            .map(|()| json!({})),
    )
}

fn read<T: DeserializeOwned>(body: &str) -> anyhow::Result<T> {
    serde_json::from_str(body).context("read the control request")
}

fn ok(body: &Value) -> Response {
    answer::json(StatusCode::OK, body.to_string())
}

fn done(outcome: anyhow::Result<Value>) -> Response {
    match outcome {
        Ok(body) => ok(&body),
        Err(error) => {
            let body = json!({ "error": format!("{error:#}") });
            answer::json(StatusCode::BAD_REQUEST, body.to_string())
        }
    }
}

fn found(outcome: anyhow::Result<bool>, id: i64) -> Response {
    match outcome {
        Ok(false) => answer::json(
            StatusCode::NOT_FOUND,
            json!({ "error": format!("no activity {id}") }).to_string(),
        ),
        outcome => done(outcome.map(|_| json!({ "id": id }))),
    }
}
