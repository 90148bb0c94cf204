//! `devstack up`, `down` and `env`: a world that stays, and what others do with it.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::exec::Interrupts;
use crate::state;
use crate::world::World;

const DOWN_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Keeps the world until a signal comes or a part of it ends by itself.
pub async fn stay(world: &mut World) -> anyhow::Result<()> {
    let mut interrupts = Interrupts::listen()?;
    tracing::info!("up: `devstack env` prints its variables, Ctrl-C or `devstack down` stops it");
    tokio::select! {
        signal = interrupts.next() => {
            tracing::info!("stopping at {signal}");
            Ok(())
        }
        error = world.broken() => Err(error),
    }
}

/// Stops the devstack that has this state folder, and waits until it has let go of it.
pub async fn down(folder: &Path) -> anyhow::Result<()> {
    let Some(pid) = state::running(folder)? else {
        tracing::info!("no devstack runs with state folder {}", folder.display());
        return Ok(());
    };
    kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("stop process {pid}"))?;
    let deadline = Instant::now() + DOWN_TIMEOUT;
    while state::running(folder)?.is_some() {
        if Instant::now() > deadline {
            bail!("the devstack with process id {pid} did not stop within 30 s");
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Prints the running world's variables.
pub fn env(folder: &Path) -> anyhow::Result<()> {
    if state::running(folder)?.is_none() {
        bail!(
            "no devstack runs with state folder {}: start one by `devstack up`",
            folder.display()
        );
    }
    let path = state::environment(folder);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("read {}: is it still starting?", path.display()))?;
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("print the variables")
}
