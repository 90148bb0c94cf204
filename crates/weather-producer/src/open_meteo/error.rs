//! What a call that failed means for the next one.

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;

use crate::budget::Window;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Nothing is left of a window; a call makes sense again at `resume_at`.
    #[error("Open-Meteo's limit of the {} is used up until {resume_at}", window.as_str())]
    Spent {
        window: Window,
        resume_at: Timestamp,
    },
    /// More than five calls at once from this address.
    #[error("too many concurrent requests to Open-Meteo")]
    Crowded,
    /// No answer, or one that says that the service has trouble.
    #[error("Open-Meteo did not answer: {0}")]
    Unavailable(String),
    /// An answer that does not hold what was asked for.
    #[error("Open-Meteo's answer is broken: {0}")]
    Broken(String),
    /// The service refuses what was asked for; asking again does not help.
    #[error("Open-Meteo refused the request: {0}")]
    Rejected(String),
    /// The service refuses who asks, or is not there.
    #[error("Open-Meteo refused access: {0}")]
    Misconfigured(String),
    #[error("stopped by a signal")]
    Stopped,
}

impl Error {
    /// One word, for a metric's label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Spent { .. } => "spent",
            Self::Crowded => "crowded",
            Self::Unavailable(_) => "unavailable",
            Self::Broken(_) => "broken",
            Self::Rejected(_) => "rejected",
            Self::Misconfigured(_) => "misconfigured",
            Self::Stopped => "stopped",
        }
    }
}

#[derive(Deserialize)]
struct Body {
    reason: String,
}

/// Reads an answer that is not 200. Which window is used up stands in the reason alone, and no `Retry-After` comes.
pub(super) fn of(status: StatusCode, body: &[u8], now: Timestamp) -> Error {
    let reason = serde_json::from_slice(body)
        .map(|body: Body| body.reason)
        .ok();
    let text = reason
        .clone()
        .unwrap_or_else(|| format!("HTTP {}", status.as_u16()));
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let says = |word: &str| text.to_lowercase().contains(word);
            let window = if says("concurrent") {
                return Error::Crowded;
            } else if says("daily") || says("tomorrow") {
                Window::Day
            } else if says("hourly") || says("next hour") {
                Window::Hour
            } else {
                Window::Minute
            };
            Error::Spent {
                window,
                resume_at: window.end(now),
            }
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            Error::Misconfigured(text)
        }
        StatusCode::BAD_REQUEST if text.to_lowercase().contains("api key") => {
            Error::Misconfigured(text)
        }
        status if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
            Error::Rejected(text)
        }
        status if status.is_redirection() => {
            Error::Misconfigured(format!("a redirect, HTTP {}", status.as_u16()))
        }
        _ => Error::Unavailable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, reason: &str) -> Error {
        let body = format!(r#"{{"error":true,"reason":"{reason}"}}"#);
        let now = "2026-10-03T12:30:20Z".parse().unwrap();
        of(StatusCode::from_u16(status).unwrap(), body.as_bytes(), now)
    }

    #[test]
    fn the_reason_names_the_window() {
        for (reason, window, resume_at) in [
            (
                "Minutely API request limit exceeded. Please try again in one minute.",
                Window::Minute,
                "2026-10-03T12:31:00Z",
            ),
            (
                "Hourly API request limit exceeded. Please try again in the next hour.",
                Window::Hour,
                "2026-10-03T13:00:00Z",
            ),
            (
                "Daily API request limit exceeded. Please try again tomorrow.",
                Window::Day,
                "2026-10-04T00:00:00Z",
            ),
            ("Something new", Window::Minute, "2026-10-03T12:31:00Z"),
        ] {
            let resume_at = resume_at.parse().unwrap();
            assert_eq!(read(429, reason), Error::Spent { window, resume_at });
        }
        assert_eq!(read(429, "Too many concurrent requests"), Error::Crowded);
    }

    #[test]
    fn what_may_be_tried_again_is_told_from_what_may_not() {
        assert!(matches!(
            read(503, "The service is overloaded"),
            Error::Unavailable(_)
        ));
        assert!(matches!(read(500, "x"), Error::Unavailable(_)));
        assert!(matches!(
            read(400, "No data is available for this location"),
            Error::Rejected(_)
        ));
        assert!(matches!(
            read(400, "The supplied API key is invalid"),
            Error::Misconfigured(_)
        ));
        assert!(matches!(
            read(401, "API key required"),
            Error::Misconfigured(_)
        ));
        let html = of(
            StatusCode::BAD_GATEWAY,
            b"<html>",
            "2026-10-03T12:30:20Z".parse().unwrap(),
        );
        assert_eq!(html, Error::Unavailable("HTTP 502".to_owned()));
    }
}
