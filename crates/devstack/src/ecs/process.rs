//! A container's stand-in: a process group with an environment of its own, its output caught line by line.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Program;
use super::logs::{LARGEST_EVENT, Stream};
use super::memory::{Memory, POLL};

/// How long the last lines of a process that is gone are waited for.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Goes ahead only while devstack is still the parent (see `child`), with nothing of the shell's own left.
const GUARD: &str = r#"test "$PPID" = "$0" && unset PWD OLDPWD && exec "$@""#;

/// A running container.
pub(super) struct Process {
    child: Child,
    pid: Pid,
    output: Vec<JoinHandle<()>>,
}

/// How it ended.
pub(super) struct Ended {
    /// As a container runtime counts: 128 and the signal's number for a killed process.
    pub(super) exit_code: i32,
    pub(super) out_of_memory: bool,
}

pub(super) struct Limits {
    pub(super) memory_bytes: u64,
    pub(super) stop_timeout: Duration,
}

impl Process {
    /// Starts the program with exactly `environment`; `setpriv` lets it end with us, however we end.
    pub(super) fn start(
        program: &Program,
        entry_point: &[String],
        arguments: &[String],
        environment: &BTreeMap<String, String>,
        stream: Option<Arc<Stream>>,
    ) -> io::Result<Self> {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--", "sh", "-c", GUARD])
            .arg(std::process::id().to_string())
            .args(entry_point)
            .args(arguments)
            .current_dir(&program.directory)
            .env_clear()
            .envs(&program.environment)
            .envs(environment)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .map(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the process has no id"))?;
        let output = [
            child
                .stdout
                .take()
                .map(|out| tokio::spawn(catch(out, stream.clone()))),
            child
                .stderr
                .take()
                .map(|out| tokio::spawn(catch(out, stream))),
        ];
        Ok(Self {
            child,
            pid,
            output: output.into_iter().flatten().collect(),
        })
    }

    /// Waits for the end; `stop` asks for it, and insists after the stop timeout.
    pub(super) async fn end(
        mut self,
        limits: Limits,
        memory: &Memory,
        stop: &CancellationToken,
    ) -> Ended {
        let mut out_of_memory = false;
        let mut polls = tokio::time::interval(POLL);
        let mut patience = None;
        let status = loop {
            let insist = async {
                match patience {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                status = self.child.wait() => break status,
                () = stop.cancelled(), if patience.is_none() => {
                    // As an init process does: to the program alone, which tells its children.
                    let _ = kill(self.pid, Signal::SIGTERM);
                    patience = Some(tokio::time::Instant::now() + limits.stop_timeout);
                }
                () = insist => {}
                _ = polls.tick() => {
                    if !out_of_memory && memory.of(self.pid.as_raw()) > limits.memory_bytes {
                        out_of_memory = true;
                        self.kill_group();
                    }
                }
            }
            // Whatever it was that woke us.
            if patience.is_some_and(|until| until <= tokio::time::Instant::now()) {
                self.kill_group();
                patience = Some(tokio::time::Instant::now() + limits.stop_timeout);
            }
        };
        self.kill_group(); // what the program left behind ends with its container
        for lines in self.output {
            let _ = tokio::time::timeout(LAST_LINES, lines).await;
        }
        Ended {
            exit_code: status.map_or(1, exit_code),
            out_of_memory,
        }
    }

    /// The group may be gone already; then there is nobody to tell.
    fn kill_group(&self) {
        let _ = killpg(self.pid, Signal::SIGKILL);
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1)
}

/// Each line becomes an event, a longer one than CloudWatch takes several.
async fn catch(output: impl AsyncRead + Unpin, stream: Option<Arc<Stream>>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = u64::try_from(LARGEST_EVENT).unwrap_or(u64::MAX);
        match (&mut output).take(most).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                // CloudWatch takes no empty event.
                if let Some(stream) = stream.as_ref().filter(|_| !text.is_empty()) {
                    stream.append(text);
                }
            }
        }
    }
}
