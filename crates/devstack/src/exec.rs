//! `devstack exec`: one command inside the world, from start to stop.

use std::ffi::OsString;
use std::io::{IsTerminal as _, stdin};

use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::child;
use crate::world::World;

/// What would lead an AWS client past the world's endpoint, to somebody's real account.
const FOREIGN: [&str; 7] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_STS",
];

/// Runs the command to its end and returns its exit code; the world still runs then.
pub async fn run(world: &mut World, command: &[OsString]) -> anyhow::Result<u8> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    let mut interrupts = Interrupts::listen()?;
    let mut starting = child::command(program, None, Signal::SIGTERM);
    for name in FOREIGN {
        starting.env_remove(name);
    }
    starting.args(arguments).envs(world.environment());
    // At a terminal the command must stay in the foreground; the terminal itself then sends
    // it Ctrl-C. Anywhere else a group of its own lets a signal reach what it started in turn.
    let grouped = !stdin().is_terminal();
    if grouped {
        starting.process_group(0);
    }
    let name = program.to_string_lossy();
    let mut running = starting.spawn().with_context(|| format!("start {name}"))?;
    let group = running
        .id()
        .filter(|_| grouped)
        .and_then(|id| i32::try_from(id).ok());

    let mut whole = true;
    let status = loop {
        tokio::select! {
            status = running.wait() => break status.with_context(|| format!("wait for {name}"))?,
            signal = interrupts.next() => pass_on(signal, &running, group),
            error = world.broken(), if whole => {
                tracing::error!(error = format!("{error:#}"), "a part of the world ended");
                whole = false;
            }
        }
    };
    if let Some(group) = group {
        // What the command left behind in the background; mostly nothing.
        _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
    }
    Ok(child::exit_code(status))
}

fn pass_on(signal: Signal, running: &Child, group: Option<i32>) {
    match group {
        // It may have ended this moment; then there is nothing to tell it.
        Some(group) => _ = killpg(Pid::from_raw(group), signal),
        None if signal == Signal::SIGINT => {}
        None => child::signal(running, signal),
    }
}

/// SIGINT and SIGTERM, as they come.
pub struct Interrupts {
    interrupt: Stream,
    terminate: Stream,
}

impl Interrupts {
    pub fn listen() -> anyhow::Result<Self> {
        let stream = |kind| signal(kind).context("listen for signals");
        Ok(Self {
            interrupt: stream(SignalKind::interrupt())?,
            terminate: stream(SignalKind::terminate())?,
        })
    }

    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
        }
    }
}
