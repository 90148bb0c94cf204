//! The bodies that Strava answers with: JSON, its faults, an empty 404, a proxy's HTML.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    with_type(status, "application/json; charset=utf-8", body)
}

/// The usual form of a refusal: a message and one entry in `errors`.
pub(crate) fn fault(
    status: StatusCode,
    message: &str,
    resource: &str,
    field: &str,
    code: &str,
) -> Response {
    let errors = json!([{ "resource": resource, "field": field, "code": code }]);
    json(
        status,
        json!({ "message": message, "errors": errors }).to_string(),
    )
}

/// Missing, deleted or somebody else's: no body at all.
pub(crate) fn not_found() -> Response {
    json(StatusCode::NOT_FOUND, Body::empty())
}

/// As recorded: `errors` is a string here, and there is no `Retry-After`.
pub(crate) fn too_many_requests() -> Response {
    let body = r#"{"errors":"Rate Limit Exceeded","status":429,"message":"Too Many Requests"}"#;
    json(StatusCode::TOO_MANY_REQUESTS, body)
}

pub(crate) fn internal_error() -> Response {
    json(StatusCode::INTERNAL_SERVER_ERROR, r#"{"message":"error"}"#)
}

/// What stands before Strava answers in HTML when Strava itself does not.
pub(crate) fn bad_gateway() -> Response {
    let body = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
                <center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
    with_type(StatusCode::BAD_GATEWAY, "text/html", body)
}

/// The simulator itself failed; never one of Strava's own answers.
pub(crate) fn broken(error: &anyhow::Error) -> Response {
    tracing::error!(error = format!("{error:#}"), "the Strava simulator failed");
    (StatusCode::NOT_IMPLEMENTED, format!("{error:#}\n")).into_response()
}

fn with_type(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
