//! The simulator's clock: the system's, moved, or one that a test holds in its hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// Windows, slots and allowed ranges follow this clock; clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Without it, the system's.
    stands_at: Option<Arc<AtomicI64>>,
    moved_by: Arc<AtomicI64>,
}

impl Clock {
    /// Follows the system's clock.
    pub fn system() -> Self {
        Self {
            stands_at: None,
            moved_by: Arc::default(),
        }
    }

    /// Says what `milliseconds` since 1970 say; whoever shares them moves it.
    pub fn shared(milliseconds: Arc<AtomicI64>) -> Self {
        Self {
            stands_at: Some(milliseconds),
            moved_by: Arc::default(),
        }
    }

    pub fn now(&self) -> Timestamp {
        let base = match &self.stands_at {
            Some(milliseconds) => milliseconds.load(Ordering::SeqCst),
            None => Timestamp::now().as_millisecond(),
        };
        let moved = base.saturating_add(self.moved_by.load(Ordering::SeqCst));
        Timestamp::from_millisecond(moved).unwrap_or(Timestamp::MAX)
    }

    /// Moves it, also backwards.
    pub fn advance(&self, milliseconds: i64) {
        self.moved_by.fetch_add(milliseconds, Ordering::SeqCst);
    }
}
