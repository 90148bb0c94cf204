//! How every task starts, logs, is stopped and ends: one closing line, one exit code.

mod closing;
mod duration;
mod logs;
mod output;
mod progress;
mod stop;

use std::{panic::AssertUnwindSafe, process::ExitCode, time::Instant};

use clap::Parser;
use futures_util::FutureExt as _;

use crate::landing::RunId;

pub use closing::{Closing, Refused, Stopped, is_refused};
pub use duration::duration;
pub use logs::{LogArgs, LogFormat, LogLevel};
pub use output::print;
pub use progress::Progress;
pub use stop::stop_token;

/// What [`main`] needs to know of a task's `Config`.
pub trait Settings {
    /// How to log.
    fn log(&self) -> &LogArgs;
    /// The run's name, where the command has one.
    fn run_id(&self) -> Option<&RunId>;
    /// The subcommand as typed, `auth status` for a nested one.
    fn command(&self) -> &'static str;
}

/// The options of a command that is a run: flatten it into the command's arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Name of the run, in every key and load record [default: UTC time and a random suffix]
    #[arg(long, env = "RUN_ID", default_value_t = RunId::random(), hide_default_value = true)]
    pub run_id: RunId,
}

/// Runs a task from its arguments to its exit code; the whole of a task's `main` function.
///
/// Misuse (clap's errors) ends with clap's text on stderr and exit 2, `--help` and `--version` with
/// exit 0 and no closing line. Otherwise logs start, SIGTERM and SIGINT cancel [`stop_token`], `run`
/// runs, and the closing line is written last: exit 0 when done, 1 when failed (a panic included),
/// 2 where the error holds [`Refused`], 143 where it holds [`Stopped`].
pub async fn main<C: Parser + Settings>(
    task: &'static str,
    run: impl AsyncFnOnce(C) -> anyhow::Result<Closing>,
) -> ExitCode {
    let started = Instant::now();
    let config = match C::try_parse() {
        Ok(config) => config,
        Err(usage) => return closing::end_with_usage(task, &usage, started.elapsed()),
    };
    let frame = closing::Frame {
        task,
        command: Some(config.command()),
        run_id: config.run_id().map(ToString::to_string),
    };
    logs::init(task, config.log());
    stop::listen();
    let outcome = Box::pin(AssertUnwindSafe(run(config)).catch_unwind())
        .await
        .unwrap_or_else(|_| {
            Err(anyhow::anyhow!(
                "the task panicked; the log line before has the place"
            ))
        });
    frame.end(outcome, started.elapsed())
}
