//! The smallest task, and the one that the tests of `common::task` run.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use clap::{Parser, Subcommand};
use common::{
    landing::RunId,
    task::{self, Closing, LogArgs, Progress, Refused, RunArgs, Settings, Stopped, stop_token},
};
use serde_json::{Map, json};
use tracing::{debug, info, info_span};

#[derive(Parser)]
#[command(version, about)]
struct Config {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Counts to a number.
    Count {
        #[command(flatten)]
        run: RunArgs,
        /// How far.
        #[arg(long)]
        to: u64,
    },
    /// Waits to be stopped.
    Wait {
        #[command(flatten)]
        run: RunArgs,
    },
    /// Waits, and does not mind being asked to stop.
    Ignore,
    /// Finds its credentials refused.
    Refuse,
    /// Finds the far side away.
    Fail,
    /// Finds a mistake in itself.
    Panic,
}

impl Settings for Config {
    fn log(&self) -> &LogArgs {
        &self.log
    }

    fn run_id(&self) -> Option<&RunId> {
        match &self.command {
            Command::Count { run, .. } | Command::Wait { run } => Some(&run.run_id),
            Command::Ignore | Command::Refuse | Command::Fail | Command::Panic => None,
        }
    }

    fn command(&self) -> &'static str {
        match self.command {
            Command::Count { .. } => "count",
            Command::Wait { .. } => "wait",
            Command::Ignore => "ignore",
            Command::Refuse => "refuse",
            Command::Fail => "fail",
            Command::Panic => "panic",
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    task::main("task", run).await
}

async fn run(config: Config) -> anyhow::Result<Closing> {
    match config.command {
        Command::Count { to, .. } => {
            let progress = Progress::new("numbers", Some(to));
            (0..to).for_each(|_| progress.inc(1));
            progress.finish();
            task::print(format_args!("counted to {to}"));
            let _span = info_span!("count", count.to = to).entered();
            debug!("about to end");
            info!(count.done = to, "counted {to} numbers");
            tokio::spawn(async { loop_and_log().await });
            Ok(Closing::done(Map::from_iter([(
                "numbers".to_owned(),
                json!(to),
            )])))
        }
        Command::Wait { .. } => {
            task::print("waiting");
            stop_token().cancelled().await;
            Ok(Closing {
                complete: false,
                failure: Some(anyhow!(Stopped)),
                ..Closing::done(Map::new())
            })
        }
        Command::Ignore => {
            task::print("waiting");
            std::future::pending().await
        }
        Command::Refuse => Err(anyhow!("401 Unauthorized")).context(Refused::new("log in again")),
        Command::Fail => bail!("fetch numbers: connection refused"),
        Command::Panic => panic!("a number is missing"),
    }
}

/// What is still running when a task ends must not write behind the closing line.
async fn loop_and_log() {
    loop {
        info!("still here");
        tokio::time::sleep(Duration::from_micros(50)).await;
    }
}
