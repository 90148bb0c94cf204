//! The verb: start the task, show its log as it comes, stop it when asked to, end with its code.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cluster::{Cluster, End};
use crate::log::Log;

/// CloudWatch may show the last lines that much after the end.
const LATE_LINES: Duration = Duration::from_secs(30);
/// Looks in a row that may fail before the following is given up.
const PATIENCE: u32 = 20;
/// What a shell makes of an interrupted command.
const INTERRUPTED: u8 = 130;

/// What the task is asked to do.
#[derive(Debug, Clone)]
pub struct Order {
    /// The task's name, and its container's.
    pub task: String,
    /// Its task definition.
    pub family: String,
    /// Replace the definition's command where there are any.
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
}

/// Marks an error that no retry mends: wrong use, configuration or credentials.
#[derive(Debug)]
pub struct Refused;

impl Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("refused")
    }
}

impl std::error::Error for Refused {}

/// Runs `order` to its end and returns its exit code; with `detach`, only starts it.
pub async fn run(
    cluster: &Cluster,
    mut log: Log,
    order: Order,
    detach: bool,
    poll: Duration,
) -> anyhow::Result<u8> {
    let mut interrupts = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let arn = cluster.start(&order).await?;
    if detach {
        print(&arn)?;
        return Ok(0);
    }
    tell(format_args!("started {arn}"));
    match follow(cluster, &mut log, &order.task, &arn, poll, &mut interrupts).await? {
        Some(end) => Ok(judge(&order.task, &end)),
        None => {
            tell("no longer waiting for it; its ARN:");
            print(&arn)?;
            Ok(INTERRUPTED)
        }
    }
}

/// Shows the log until the task has ended; none where a second Ctrl-C ended the following.
async fn follow(
    cluster: &Cluster,
    log: &mut Log,
    container: &str,
    arn: &str,
    poll: Duration,
    interrupts: &mut Signal,
) -> anyhow::Result<Option<End>> {
    let (mut asked_to_stop, mut closed) = (false, false);
    let mut failed = 0;
    loop {
        let look = async {
            let end = cluster.end(arn, container).await?;
            // The closing line may come a look before the end.
            closed |= show(log.news(arn).await?)?;
            anyhow::Ok(end)
        };
        match look.await {
            Ok(None) => failed = 0,
            Ok(Some(end)) => {
                await_late_lines(log, arn, &end, closed).await?;
                return Ok(Some(end));
            }
            Err(error) if failed < PATIENCE => {
                failed += 1;
                tell(format_args!("trying again: {error:#}"));
            }
            Err(error) => return Err(error.context(format!("follow {arn}, which goes on"))),
        }
        tokio::select! {
            () = tokio::time::sleep(poll) => {}
            _ = interrupts.recv() => {
                if asked_to_stop {
                    return Ok(None);
                }
                asked_to_stop = true;
                tell("stopping the task; Ctrl-C again leaves it alone");
                cluster.stop(arn).await?;
            }
        }
    }
}

async fn await_late_lines(
    log: &mut Log,
    arn: &str,
    end: &End,
    mut closed: bool,
) -> anyhow::Result<()> {
    let started = Instant::now();
    // Only a program that ended by itself has a last line to wait for.
    let closes = matches!(end.exit_code, Some(0 | 1 | 2 | 143));
    while closes && !closed && started.elapsed() < LATE_LINES {
        tokio::time::sleep(Duration::from_millis(500)).await;
        closed = show(log.news(arn).await?)?;
    }
    Ok(())
}

/// Prints lines; says whether the closing line was among them.
fn show(lines: Vec<String>) -> anyhow::Result<bool> {
    let mut closed = false;
    for line in lines {
        print(&line)?;
        closed = closed || is_closing_line(&line);
    }
    Ok(closed)
}

fn is_closing_line(line: &str) -> bool {
    let fields: Option<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_str(line).ok();
    fields.is_some_and(|fields| fields.contains_key("task") && fields.contains_key("status"))
}

fn judge(task: &str, end: &End) -> u8 {
    match end.exit_code {
        Some(code) => {
            if code != 0 {
                tell(format_args!(
                    "{task} ended with exit {code}: {}",
                    end.reason
                ));
            }
            u8::try_from(code).unwrap_or(1)
        }
        None => {
            tell(format_args!("{task} did not start: {}", end.reason));
            if end.reason.contains("invalid ssm parameters") {
                2
            } else {
                1
            }
        }
    }
}

/// The task's own lines and ARNs go to stdout, one a line.
fn print(line: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("print a line")
}

/// What `ecs-run` itself says goes to stderr.
pub fn tell(line: impl Display) {
    // Nobody is left to hear it where stderr is closed.
    _ = writeln!(std::io::stderr(), "ecs-run: {line}");
}
