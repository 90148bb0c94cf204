//! The closing line, the last on stdout, and the exit code that goes with it.

use std::{borrow::Cow, process::ExitCode, time::Duration};

use anyhow::anyhow;
use clap::error::ErrorKind;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{error, info, warn};

use super::output;

/// The most that a closing line may have, in bytes: what Airflow keeps of it.
const MAX_BYTES: usize = 8 * 1024;
/// The most of an error's text that goes into the closing line, in bytes; the log has all of it.
const MAX_ERROR_BYTES: usize = 2 * 1024;

/// What a task that left something usable has to say for itself.
#[derive(Debug)]
pub struct Closing {
    /// False only while work is left for a later run.
    pub complete: bool,
    /// When going on makes sense, where a limit ended the run.
    pub resume_at: Option<Timestamp>,
    /// The counts of INTERFACES section 3, and whatever else the task reports.
    pub counts: Map<String, Value>,
    /// Why it is not a success although something usable was made: status `partial`, and the exit
    /// code is the error's own.
    pub failure: Option<anyhow::Error>,
}

impl Closing {
    /// All done, with these counts.
    pub fn done(counts: Map<String, Value>) -> Self {
        Self {
            complete: true,
            resume_at: None,
            counts,
            failure: None,
        }
    }
}

/// Marks an error as wrong use, configuration or credentials: exit 2, a retry does not help.
///
/// Its text says what to do. It is found wherever it stands in the chain:
/// `bail!(Refused::new("…"))` and `.context(Refused::new("…"))` both work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Refused {
    /// A refusal with its text: what was refused, and what to do.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Marks an error as the answer to SIGTERM or SIGINT: exit 143.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal")]
pub struct Stopped;

/// Whether a retry is pointless: the error holds [`Refused`].
pub fn is_refused(error: &anyhow::Error) -> bool {
    holds::<Refused>(error)
}

/// As a context (which only `downcast_ref` finds) or as a source (which only the chain shows).
fn holds<E: std::error::Error + Send + Sync + 'static>(error: &anyhow::Error) -> bool {
    error.downcast_ref::<E>().is_some() || error.chain().any(<dyn std::error::Error>::is::<E>)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Succeeded,
    Partial,
    Failed,
}

#[derive(Serialize)]
struct Line<'a> {
    task: &'a str,
    command: Option<&'a str>,
    run_id: Option<&'a str>,
    status: Status,
    complete: bool,
    resume_at: Option<Timestamp>,
    duration_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
    /// Names of the counts that the limit on the line's length left no room for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    #[serde(flatten)]
    counts: Map<String, Value>,
}

/// What the closing line says about the run whatever its outcome.
pub(super) struct Frame {
    pub(super) task: &'static str,
    pub(super) command: Option<&'static str>,
    pub(super) run_id: Option<String>,
}

impl Frame {
    /// Logs how it ended, writes the closing line and gives the exit code.
    pub(super) fn end(&self, outcome: anyhow::Result<Closing>, took: Duration) -> ExitCode {
        let (line, failure, code) = self.line(outcome, took);
        match &failure {
            None => info!("{} finished", self.task),
            Some(failure) => error!(error = format!("{failure:#}"), "{} failed", self.task),
        }
        if !line.left_out.is_empty() {
            warn!(
                names = line.left_out.join(","),
                "left counts out of a closing line that was too long"
            );
        }
        close(&line, code)
    }

    fn line(
        &self,
        outcome: anyhow::Result<Closing>,
        took: Duration,
    ) -> (Line<'_>, Option<anyhow::Error>, u8) {
        let (mut closing, usable) = match outcome {
            Ok(closing) => (closing, true),
            Err(failure) => (
                Closing {
                    complete: false,
                    failure: Some(failure),
                    ..Closing::done(Map::new())
                },
                false,
            ),
        };
        let failure = closing.failure.take();
        let (status, code) = match &failure {
            None => (Status::Succeeded, 0),
            Some(failure) => {
                let code = exit_code(failure);
                (
                    if usable && code != 2 {
                        Status::Partial
                    } else {
                        Status::Failed
                    },
                    code,
                )
            }
        };
        let mut line = Line {
            task: self.task,
            command: self.command,
            run_id: self.run_id.as_deref(),
            status,
            complete: closing.complete,
            resume_at: closing.resume_at,
            duration_seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            error: failure
                .as_ref()
                .map(|failure| Cow::Owned(shortened(format!("{failure:#}")))),
            left_out: Vec::new(),
            counts: closing.counts,
        };
        line.fit();
        (line, failure, code)
    }
}

impl Line<'_> {
    /// Leaves out the longest counts until the line is short enough.
    fn fit(&mut self) {
        while json(self).len() > MAX_BYTES {
            let longest = self
                .counts
                .iter()
                .max_by_key(|(_, value)| json(value).len());
            let Some(name) = longest.map(|(name, _)| name.clone()) else {
                // A text that is all escapes: what it says is in the log.
                self.error = None;
                return;
            };
            self.counts.remove(&name);
            self.left_out.push(name);
        }
    }
}

/// Ends a run that never began: clap's text where clap wants it, and a closing line for misuse.
pub(super) fn end_with_usage(task: &'static str, usage: &clap::Error, took: Duration) -> ExitCode {
    // Nobody is left to tell when even the terminal is gone.
    usage.print().ok();
    if !usage.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let misuse = match usage.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "a command is missing: see --help".to_owned()
        }
        _ => first_paragraph(&usage.to_string()),
    };
    let frame = Frame {
        task,
        command: None,
        run_id: None,
    };
    let (line, _, code) = frame.line(Err(anyhow!(Refused::new(misuse))), took);
    close(&line, code)
}

/// clap's message without the usage behind it, as one line.
fn first_paragraph(text: &str) -> String {
    let first = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn close(line: &Line<'_>, code: u8) -> ExitCode {
    // A result that nobody could be told is no success: the exit code is all that is left to say it.
    ExitCode::from(if output::close(&json(line)).is_ok() {
        code
    } else {
        code.max(1)
    })
}

fn exit_code(failure: &anyhow::Error) -> u8 {
    if holds::<Refused>(failure) {
        2
    } else if holds::<Stopped>(failure) {
        143
    } else {
        1
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a closing line has string keys and finite numbers only")
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_ERROR_BYTES {
        text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line_of(outcome: anyhow::Result<Closing>) -> (Value, u8) {
        let frame = Frame {
            task: "strava-load",
            command: Some("sync"),
            run_id: Some("r".into()),
        };
        let (line, _, code) = frame.line(outcome, Duration::from_millis(1500));
        (serde_json::to_value(line).unwrap(), code)
    }

    fn counts(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_quota_that_ended_the_run_is_a_success() {
        let resume_at = "2026-11-24T00:15:00Z".parse().unwrap();
        let closing = Closing {
            complete: false,
            resume_at: Some(resume_at),
            ..Closing::done(counts(&json!({"requests": 3})))
        };
        let (line, code) = line_of(Ok(closing));
        assert_eq!(code, 0);
        assert_eq!(
            line,
            json!({"task": "strava-load", "command": "sync", "run_id": "r", "status": "succeeded", "complete": false,
                   "resume_at": "2026-11-24T00:15:00Z", "duration_seconds": 1.5, "requests": 3})
        );
    }

    #[test]
    fn the_exit_code_follows_the_error_wherever_its_marker_stands() {
        let refused = || {
            anyhow!("401")
                .context(Refused::new("log in again"))
                .context("fetch activities")
        };
        let stopped = || anyhow!(Stopped).context("wait for the quota");
        let partial = |failure| {
            Ok(Closing {
                failure: Some(failure),
                ..Closing::done(Map::new())
            })
        };
        for (outcome, status, code) in [
            (Err(anyhow!("no route")), "failed", 1),
            (Err(refused()), "failed", 2),
            (Err(stopped()), "failed", 143),
            (partial(anyhow!("a part is short")), "partial", 1),
            (partial(stopped()), "partial", 143),
            (partial(refused()), "failed", 2),
        ] {
            let (line, exit) = line_of(outcome);
            assert_eq!((line["status"].as_str().unwrap(), exit), (status, code));
        }
        assert_eq!(
            line_of(Err(refused())).0["error"],
            "fetch activities: log in again: 401"
        );
        #[derive(Debug, thiserror::Error)]
        #[error("open")]
        struct Outer(#[source] Refused);
        assert!(is_refused(
            &anyhow!(Outer(Refused::new("x"))).context("start")
        ));
    }

    #[test]
    fn a_line_that_is_too_long_says_what_it_left_out() {
        let many: Map<_, _> = (0..1000)
            .map(|n| (format!("ods_strava__{n}"), json!({"files": n})))
            .collect();
        let closing = Closing::done(counts(&json!({"tables": many, "files": 7})));
        let (line, _) = line_of(Ok(closing));
        assert_eq!(line["left_out"], json!(["tables"]));
        assert_eq!(line["files"], 7);
        assert!(line.get("tables").is_none());
    }

    #[test]
    fn the_line_stays_short_with_a_long_error_of_quotes() {
        let (line, _) = line_of(Err(anyhow!("\u{1}".repeat(100_000))));
        assert!(
            line.to_string().len() <= MAX_BYTES,
            "{}",
            line.to_string().len()
        );
    }
}
