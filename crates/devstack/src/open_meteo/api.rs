//! Answers one request: faults first, then crowd, key and windows, then what was asked for.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query as Address, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::answer::Sky;
use super::control::Request;
use super::faults::Kind;
use super::query::{Parameters, Query};
use super::simulator::{Host, Shared};

/// Of one address, the running one included; the next one is turned away.
const MAX_AT_ONCE: usize = 5;
/// What an error costs.
const ERROR_WEIGHT: f64 = 1.0;

/// What a request comes to before it is written to the log.
struct Outcome {
    response: Response,
    locations: usize,
    weight: f64,
}

/// One of those who ask at once, until it has its answer or has gone away.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    /// None where the crowd is as large as it may be.
    fn take(at_once: &'a AtomicUsize) -> Option<Self> {
        let crowd = at_once.fetch_add(1, Ordering::SeqCst);
        let place = Self(at_once);
        (crowd < MAX_AT_ONCE).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `GET` and `POST` of a host's only path.
pub(super) async fn weather(
    State((shared, host)): State<(Arc<Shared>, Host)>,
    Address(parameters): Address<Parameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let outcome = if let Some(_place) = Place::take(&shared.at_once) {
        // One runs, the others queue.
        let _turn = shared.turn.lock().await;
        answer(&shared, host, parameters, &headers, &body).await
    } else {
        refused(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many concurrent requests",
            0.0,
        )
    };
    let mut world = shared.lock();
    let at = shared.clock.now();
    world.limiter.count(at, outcome.weight);
    world.requests.push(Request {
        at,
        host,
        status: outcome.response.status().as_u16(),
        locations: outcome.locations,
        weight: outcome.weight,
    });
    outcome.response
}

async fn answer(
    shared: &Shared,
    host: Host,
    mut parameters: Parameters,
    headers: &HeaderMap,
    body: &[u8],
) -> Outcome {
    let (fault, revision, lacking) = {
        let mut world = shared.lock();
        let latitudes = parameters.get("latitude").map_or("", String::as_str);
        (
            world.faults.strike(host, latitudes),
            world.revision,
            world.lacking.clone(),
        )
    };
    let mut now = shared.clock.now();
    match fault {
        Some(Kind::Limit { window }) => shared.lock().limiter.exhaust(now, &shared.limits, window),
        Some(Kind::TooManyConcurrent) => {
            return refused(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many concurrent requests",
                0.0,
            );
        }
        Some(Kind::Overloaded) => {
            return refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "The service is overloaded",
                0.0,
            );
        }
        Some(Kind::InternalError) => {
            return refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal Server Error",
                ERROR_WEIGHT,
            );
        }
        Some(Kind::BadGateway) => {
            let page = "<html><head><title>502 Bad Gateway</title></head><body></body></html>";
            let response = with_type(StatusCode::BAD_GATEWAY, "text/html", page);
            return Outcome {
                response,
                locations: 0,
                weight: 0.0,
            };
        }
        Some(Kind::BadRequest { ref reason }) => {
            return refused(StatusCode::BAD_REQUEST, reason, ERROR_WEIGHT);
        }
        Some(Kind::Slow { milliseconds }) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        Some(Kind::Stale) => now -= SignedDuration::from_mins(15),
        Some(Kind::Broken | Kind::Truncated) | None => {}
    }

    if let Some(wanted) = &shared.api_key {
        let in_header = headers.get("x-api-key").and_then(|key| key.to_str().ok());
        match in_header.or(parameters.get("apikey").map(String::as_str)) {
            None => return refused(StatusCode::UNAUTHORIZED, "API key required", 0.0),
            Some(key) if key != wanted => {
                return refused(
                    StatusCode::BAD_REQUEST,
                    "The supplied API key is invalid",
                    ERROR_WEIGHT,
                );
            }
            Some(_) => {}
        }
    } else if let Some(window) = shared.lock().limiter.spent(now, &shared.limits) {
        return refused(StatusCode::TOO_MANY_REQUESTS, window.reason(), 0.0);
    }

    parameters.extend(in_body(headers, body));
    let query = match Query::read(&parameters, host, now) {
        Ok(query) => query,
        Err(reason) => return refused(StatusCode::BAD_REQUEST, &reason, ERROR_WEIGHT),
    };
    if Sky::is_beyond_the_grid(&query) {
        return refused(
            StatusCode::BAD_REQUEST,
            "No data is available for this location",
            ERROR_WEIGHT,
        );
    }
    let json = Sky {
        now,
        host,
        revision,
        lacking: &lacking,
    }
    .json(&query);
    let response = match fault {
        Some(Kind::Broken) => {
            let half = &json[..json.len() / 2];
            as_json(
                StatusCode::OK,
                format!("{half}Unexpected error while streaming data: timeoutReached"),
            )
        }
        Some(Kind::Truncated) => {
            let half = Bytes::copy_from_slice(&json.as_bytes()[..json.len() / 2]);
            let broken: Result<Bytes, std::io::Error> =
                Err(std::io::ErrorKind::ConnectionReset.into());
            as_json(
                StatusCode::OK,
                Body::from_stream(stream::iter([Ok(half), broken])),
            )
        }
        _ => as_json(StatusCode::OK, json),
    };
    Outcome {
        response,
        locations: query.places.len(),
        weight: query.weight,
    }
}

/// A body's parameters, as a form or as JSON with lists.
fn in_body(headers: &HeaderMap, body: &[u8]) -> Parameters {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    if kind.starts_with("application/json") {
        let fields: serde_json::Map<String, Value> =
            serde_json::from_slice(body).unwrap_or_default();
        let text = |value: Value| match value {
            Value::String(text) => text,
            Value::Array(items) => {
                let texts = items.iter().map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                });
                texts.collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        return fields
            .into_iter()
            .map(|(name, value)| (name, text(value)))
            .collect();
    }
    url::form_urlencoded::parse(body).into_owned().collect()
}

fn refused(status: StatusCode, reason: &str, weight: f64) -> Outcome {
    let body = json!({ "error": true, "reason": reason }).to_string();
    Outcome {
        response: as_json(status, body),
        locations: 0,
        weight,
    }
}

fn as_json(status: StatusCode, body: impl Into<Body>) -> Response {
    with_type(status, "application/json; charset=utf-8", body)
}

fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What the real one answers on a host's other paths.
pub(super) async fn unknown() -> Result<Response, Infallible> {
    Ok(refused(StatusCode::NOT_FOUND, "Not Found", 0.0).response)
}
