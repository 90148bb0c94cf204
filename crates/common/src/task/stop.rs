//! SIGTERM and SIGINT as one process-wide token.

use std::sync::LazyLock;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

static STOP: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// Cancelled by the first SIGTERM or SIGINT; a task finishes what it has in hand and ends with
/// [`Stopped`](super::Stopped).
pub fn stop_token() -> CancellationToken {
    STOP.clone()
}

/// Starts to listen for the process's life. A second SIGINT aborts: whoever types Ctrl-C twice means
/// it, and every task survives being killed.
pub(super) fn listen() {
    let signals = signal(SignalKind::terminate())
        .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    let (mut terminate, mut interrupt) = match signals {
        Ok(signals) => signals,
        Err(error) => return warn!(error = error.to_string(), "could not listen for signals"),
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => if STOP.is_cancelled() { std::process::abort() },
            }
            if !STOP.is_cancelled() {
                info!("stopping, as a signal asked");
                STOP.cancel();
            }
        }
    });
}
