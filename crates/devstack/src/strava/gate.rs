//! What every request passes before it is answered: the log, the faults, the token, the quota.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, OriginalUri, State};
use axum::http::header::{AUTHORIZATION, DATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;

use super::answer;
use super::connection::Connection;
use super::control::Request;
use super::faults::{self, Kind};
use super::oauth::Grant;
use super::quota::{Headers, Verdict, Window};
use super::simulator::Shared;

/// The read pair of headers is missing on every so many answers, as it is on some of Strava's.
const READ_PAIR_MISSING_EVERY: u64 = 5;

/// Notes the request and its status, and lets a planned fault take the answer's place.
pub(crate) async fn log_and_strike(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    OriginalUri(uri): OriginalUri,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let path = uri
        .path()
        .strip_prefix("/api/v3")
        .unwrap_or(uri.path())
        .to_owned();
    let now = shared.clock.now();
    let (index, fault) = {
        let mut account = shared.lock();
        account.requests.push(Request {
            at: now,
            method: request.method().to_string(),
            path: without_secrets(&path, &uri),
            status: None,
        });
        (account.requests.len() - 1, account.faults.strike(&path))
    };

    let mut response = match fault {
        None => next.run(request).await,
        Some(Kind::Limit { window }) => {
            shared.lock().quota.exhaust(window, &shared.limits, now);
            next.run(request).await
        }
        Some(Kind::InternalError) => answer::internal_error(),
        Some(Kind::BadGateway) => answer::bad_gateway(),
        Some(Kind::Reset) => {
            connection.reset();
            answer::bad_gateway()
        }
        Some(Kind::Slow { milliseconds }) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            next.run(request).await
        }
        Some(Kind::Truncated) => faults::truncate(next.run(request).await).await,
    };
    set(response.headers_mut(), DATE.as_str(), &http_date(now));
    // A log that was cleared meanwhile has no such entry any more.
    if let Some(entry) = shared.lock().requests.get_mut(index) {
        entry.status = Some(response.status().as_u16());
    }
    response
}

/// Lets a request with a good token and quota left through, and tells the usage with the answer.
pub(crate) async fn authorise_and_count(
    State(shared): State<Arc<Shared>>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let now = shared.clock.now();
    let admission = admit(&shared, request.headers(), now);
    let (headers, with_read_pair) = match admission {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal,
    };
    let mut response = next.run(request).await;
    // As recorded: a 404 tells nothing of the usage, a 429 the overall pair only.
    if response.status() != StatusCode::NOT_FOUND {
        tell(&mut response, &headers, with_read_pair);
    }
    response
}

#[expect(
    clippy::result_large_err,
    reason = "the refusal is the answer itself, built once"
)]
fn admit(
    shared: &Shared,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(Headers, bool), Response> {
    let mut account = shared.lock();
    let granted = bearer(headers).map(|token| account.tokens.check(token, now));
    if granted != Some(Grant::Valid) {
        let (status, message) = (StatusCode::UNAUTHORIZED, "Authorization Error");
        return Err(answer::fault(
            status,
            message,
            "Athlete",
            "access_token",
            "invalid",
        ));
    }
    if account.inactive {
        let (status, message) = (StatusCode::FORBIDDEN, "Forbidden");
        return Err(answer::fault(
            status,
            message,
            "Application",
            "Status",
            "Inactive",
        ));
    }
    let verdict = account.quota.charge(&shared.limits, now);
    let headers = account.quota.headers(&shared.limits);
    if verdict == Verdict::Refused {
        let mut refusal = answer::too_many_requests();
        tell(&mut refusal, &headers, false);
        return Err(refusal);
    }
    account.answered += 1;
    Ok((
        headers,
        !account.answered.is_multiple_of(READ_PAIR_MISSING_EVERY),
    ))
}

/// Only the header counts: tokens in the query or in a form are no longer taken.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

fn tell(response: &mut Response, usage: &Headers, with_read_pair: bool) {
    let headers = response.headers_mut();
    set(headers, "x-ratelimit-limit", &usage.overall_limit);
    set(headers, "x-ratelimit-usage", &usage.overall_usage);
    if with_read_pair {
        set(headers, "x-readratelimit-limit", &usage.read_limit);
        set(headers, "x-readratelimit-usage", &usage.read_usage);
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn http_date(now: Timestamp) -> String {
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn without_secrets(path: &str, uri: &Uri) -> String {
    let query: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains("token") && !pair.contains("secret"))
        .collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

/// Makes the simulator refuse until the window ends.
pub(crate) fn exhaust(shared: &Shared, window: Window) {
    let now = shared.clock.now();
    shared.lock().quota.exhaust(window, &shared.limits, now);
}
