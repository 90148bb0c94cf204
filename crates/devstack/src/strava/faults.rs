//! Faults on demand: what goes wrong, on which path, how often.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::quota::Window;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// The window is used up from here on: 429 until it ends on the simulator's clock.
    Limit { window: Window },
    /// 500 with a JSON body.
    InternalError,
    /// 502 with an HTML body, as a proxy sends it.
    BadGateway,
    /// The connection is reset before a byte of the answer.
    Reset,
    /// The right answer, later.
    Slow { milliseconds: u64 },
    /// The right headers, half of the body, then the connection closes.
    Truncated,
}

/// A planned fault, as `POST /control/faults` takes it:
/// `{"kind": "internal_error", "path": "/activities/17", "times": null}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    #[serde(flatten)]
    pub kind: Kind,
    /// Path below `/api/v3`, or `/oauth/token`; a `*` at the end stands for anything; empty: every path.
    #[serde(default)]
    pub path: String,
    /// Matching requests that are answered rightly first.
    #[serde(default)]
    pub skip: u32,
    /// How many requests it hits; `None` (null): every one. One where nothing is said.
    #[serde(default = "once")]
    pub times: Option<u32>,
}

fn once() -> Option<u32> {
    Some(1)
}

impl Fault {
    /// Hits the next request for `path`, once.
    pub fn next(kind: Kind, path: &str) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            skip: 0,
            times: once(),
        }
    }

    /// Hits every request for `path` until the faults are cleared.
    pub fn always(kind: Kind, path: &str) -> Self {
        Self {
            times: None,
            ..Self::next(kind, path)
        }
    }

    /// Lets `skip` matching requests pass first.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }

    fn matches(&self, path: &str) -> bool {
        match self.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => self.path.is_empty() || self.path == path,
        }
    }
}

/// The faults that are still to come, in the order they were planned.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn plan(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn planned(&self) -> &[Fault] {
        &self.0
    }

    /// What goes wrong with this request: the first fault that matches and is due.
    pub(crate) fn strike(&mut self, path: &str) -> Option<Kind> {
        let mut struck = None;
        for fault in self.0.iter_mut().filter(|fault| fault.matches(path)) {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else {
                fault.times = fault.times.map(|times| times.saturating_sub(1));
                struck = Some(fault.kind.clone());
                break;
            }
        }
        self.0.retain(|fault| fault.times != Some(0));
        struck
    }
}

/// How long half an answer may take to go out before the connection is closed on it.
const TRUNCATED_AFTER: Duration = Duration::from_millis(20);

/// The same answer with its full length announced and half of it sent.
pub(crate) async fn truncate(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    let broken = stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) => Some((Ok::<Bytes, std::io::Error>(half), None)),
            None => {
                tokio::time::sleep(TRUNCATED_AFTER).await;
                Some((Err(std::io::ErrorKind::BrokenPipe.into()), None))
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(broken))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_for_its_turn_and_hits_as_often_as_planned() {
        let mut faults = Faults::default();
        faults.plan(Fault::next(Kind::Reset, "/athlete/activities").after(1));
        faults.plan(Fault::always(Kind::InternalError, "/activities/17"));
        assert_eq!(faults.strike("/athlete/activities"), None);
        assert_eq!(faults.strike("/athlete"), None);
        assert_eq!(faults.strike("/athlete/activities"), Some(Kind::Reset));
        assert_eq!(faults.strike("/athlete/activities"), None);
        for _ in 0..3 {
            assert_eq!(faults.strike("/activities/17"), Some(Kind::InternalError));
        }
        assert_eq!(faults.strike("/activities/171"), None);
    }

    #[test]
    fn a_fault_is_planned_in_json() {
        let fault: Fault = serde_json::from_str(
            r#"{"kind":"limit","window":"day","path":"/activities/*","times":null}"#,
        )
        .unwrap();
        assert_eq!(
            fault,
            Fault::always(
                Kind::Limit {
                    window: Window::Day
                },
                "/activities/*"
            )
        );
        let fault: Fault = serde_json::from_str(r#"{"kind":"slow","milliseconds":5}"#).unwrap();
        assert_eq!(fault, Fault::next(Kind::Slow { milliseconds: 5 }, ""));
    }
}
