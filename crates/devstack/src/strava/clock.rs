//! The simulator's clock: the system's, or one that stands still until a test moves it.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Windows, token lifetimes and the `Date` header all follow this clock.
#[derive(Debug)]
pub(crate) struct Clock(Mutex<Reading>);

#[derive(Debug, Clone, Copy)]
struct Reading {
    stands_at: Option<Timestamp>,
    moved_by: SignedDuration,
}

impl Clock {
    /// A clock that stands at `at`, or without one follows the system's.
    pub(crate) fn new(at: Option<Timestamp>) -> Self {
        Self(Mutex::new(Reading {
            stands_at: at,
            moved_by: SignedDuration::ZERO,
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        let reading = *self.lock();
        let base = reading.stands_at.unwrap_or_else(Timestamp::now);
        base.saturating_add(reading.moved_by).unwrap_or(base)
    }

    /// How far the clock was moved from where it started.
    pub(crate) fn moved_by(&self) -> SignedDuration {
        self.lock().moved_by
    }

    /// Moves the clock, also backwards.
    pub(crate) fn advance(&self, by: SignedDuration) {
        let mut reading = self.lock();
        reading.moved_by = reading.moved_by.saturating_add(by);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
