//! The wall clock that slots, windows and waits follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

/// Longer sleeps are cut, so that a suspended machine or a corrected clock is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The system's clock, or one that jumps from wait to wait: a day of slots in a moment.
#[derive(Debug, Clone)]
pub enum Clock {
    System,
    /// Milliseconds since 1970. A wait sets them to its end, without waiting.
    Jumping(Arc<AtomicI64>),
}

impl Clock {
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Jumping(milliseconds) => {
                let at = milliseconds.load(Ordering::SeqCst);
                Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Waits until `at`; false where `stop` came first.
    pub async fn wait_until(&self, at: Timestamp, stop: &CancellationToken) -> bool {
        match self {
            Self::System => loop {
                if stop.is_cancelled() {
                    return false;
                }
                let left =
                    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
                if left.is_zero() {
                    return true;
                }
                tokio::select! {
                    () = tokio::time::sleep(left.min(LONGEST_SLEEP)) => {}
                    () = stop.cancelled() => {}
                }
            },
            Self::Jumping(milliseconds) => {
                milliseconds.fetch_max(at.as_millisecond(), Ordering::SeqCst);
                tokio::task::yield_now().await;
                !stop.is_cancelled()
            }
        }
    }
}
