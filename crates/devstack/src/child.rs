//! Child processes that never outlive devstack, also when it is killed with -9.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use tokio::process::{Child as Process, Command};

/// Goes ahead only while devstack is still the parent: should it die before the kernel was told
/// to signal the child, nobody would.
const GUARD: &str = r#"test "$PPID" = "$0" && exec "$@""#;

/// Lets a server run as another user below a folder that only root may enter.
const ENTER_ANY_FOLDER: &str = "+dac_override";

const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A command under `setpriv`, which has the kernel send `on_death` to it when the thread that
/// started it ends. devstack therefore starts its children from its main thread only: its
/// runtime has no other.
pub fn command(program: impl AsRef<OsStr>, user: Option<&User>, on_death: Signal) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", on_death.as_str().trim_start_matches("SIG")]);
    if let Some(user) = user {
        command.args([
            "--reuid",
            &user.uid.to_string(),
            "--regid",
            &user.gid.to_string(),
        ]);
        command.args(["--clear-groups", "--inh-caps", ENTER_ANY_FOLDER]);
        command.args(["--ambient-caps", ENTER_ANY_FOLDER]);
    }
    command
        .args(["--", "sh", "-c", GUARD, &std::process::id().to_string()])
        .arg(program);
    command
}

/// A server in the background, its output in a file.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    process: Process,
    log: PathBuf,
    stop_signal: Signal,
}

impl Server {
    /// Starts `command` in a process group of its own, so that Ctrl-C reaches devstack only.
    pub fn start(
        name: &'static str,
        mut command: Command,
        stop_signal: Signal,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        let errors = output
            .try_clone()
            .with_context(|| format!("open {}", log.display()))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self {
            name,
            process,
            log: log.to_owned(),
            stop_signal,
        })
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// An error with the end of its log once the server has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.process.try_wait().context("look after a server")? else {
            return Ok(());
        };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(8)..].join("\n  ");
        bail!(
            "{} ended with {status}; {} says:\n  {tail}",
            self.name,
            self.log.display()
        )
    }

    /// Waits until the server has ended by itself, which it never should.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self.process.wait().await {
            Ok(_) => self
                .check()
                .err()
                .unwrap_or_else(|| anyhow::anyhow!("{} ended", self.name)),
            Err(error) => anyhow::Error::new(error).context("look after a server"),
        }
    }

    /// Asks the server to end, and kills it where it does not.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        signal(&self.process, self.stop_signal);
        match tokio::time::timeout(STOP_TIMEOUT, self.process.wait()).await {
            Ok(ended) => ended
                .map(|_| ())
                .with_context(|| format!("stop {}", self.name)),
            Err(_) => {
                let name = self.name;
                self.process
                    .kill()
                    .await
                    .with_context(|| format!("kill {name}"))?;
                bail!(
                    "{name} did not stop within {} s and was killed",
                    STOP_TIMEOUT.as_secs()
                )
            }
        }
    }
}

/// Sends a signal to a child that has not ended yet.
pub fn signal(process: &Process, signal: Signal) {
    if let Some(pid) = process.id().and_then(|id| i32::try_from(id).ok()) {
        // It may have ended this moment; then there is nothing to tell it.
        _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The code a shell would give: the command's own, or 128 and the signal that ended it.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
