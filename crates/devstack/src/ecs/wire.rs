//! AWS's JSON 1.1 protocol: the operation in a header, times as seconds, errors by `__type`.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// An error as AWS answers it; clients act on `code`.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            message: message.into(),
        }
    }

    pub(super) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            ..Self::new(code, message)
        }
    }

    pub(super) fn server(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..Self::new(code, message)
        }
    }

    /// The most frequent one: a field's value is wrong.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// ECS's code for what does not exist or cannot be.
    pub(super) fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"__type": self.code, "message": self.message});
        (
            self.status,
            [(header::CONTENT_TYPE, CONTENT_TYPE)],
            body.to_string(),
        )
            .into_response()
    }
}

/// What every operation ends with.
pub(super) type Answer = Result<Value, Refusal>;

pub(super) fn respond(answer: Answer) -> Response {
    let mut response = match answer {
        Ok(body) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    if let Ok(id) = HeaderValue::from_str(&uuid()) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

/// The operation that `X-Amz-Target` names: service and operation.
pub(super) fn target(headers: &HeaderMap) -> Option<(&str, &str)> {
    headers.get("x-amz-target")?.to_str().ok()?.split_once('.')
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new("SerializationException", error.to_string()))
}

/// A time as AWS writes it here: seconds with milliseconds.
pub(super) fn seconds(at: Timestamp) -> Value {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this millennium fit a double"
    )]
    let seconds = at.as_millisecond() as f64 / 1000.0;
    json!(seconds)
}

pub(super) fn uuid() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// A task's or an attachment's id: 32 hex.
pub(super) fn hex_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// One page of `all`: what follows `token`, at most `limit`, and the token of the next page.
pub(super) fn page<T>(
    all: Vec<T>,
    token: Option<&str>,
    limit: usize,
) -> Result<(Vec<T>, Option<String>), Refusal> {
    let start = match token {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .ok()
            .filter(|start| *start <= all.len())
            .ok_or_else(|| Refusal::invalid("Invalid token"))?,
    };
    let end = all.len().min(start + limit);
    let next = (end < all.len()).then(|| end.to_string());
    Ok((all.into_iter().skip(start).take(limit).collect(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let all: Vec<u32> = (0..5).collect();
        let (first, token) = page(all.clone(), None, 2).unwrap();
        let (second, token) = page(all.clone(), token.as_deref(), 2).unwrap();
        let (third, end) = page(all.clone(), token.as_deref(), 2).unwrap();
        assert_eq!([first, second, third].concat(), all);
        assert_eq!(end, None);
        assert!(page(all, Some("nonsense"), 2).is_err());
    }

    #[test]
    fn times_are_seconds_with_milliseconds() {
        let at: Timestamp = "2026-11-24T10:00:00.123456Z".parse().unwrap();
        assert_eq!(seconds(at).to_string(), "1795514400.123");
    }
}
