//! When a slot begins, and when it is asked for.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The service's own slot.
const QUARTER: u64 = 15 * 60;
const DAY: u64 = 86_400;
/// The service needs a moment to have the slot that just began, and its clock is not ours.
const AFTER_START: Duration = Duration::from_secs(3);

/// Slots of one length, from midnight (UTC) on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    seconds: u32,
}

impl Slots {
    /// Multiples of a quarter of an hour that divide the day.
    pub fn new(length: Duration) -> Option<Self> {
        let seconds = length.as_secs();
        let divides = seconds > 0 && seconds.is_multiple_of(QUARTER) && DAY.is_multiple_of(seconds);
        let seconds = u32::try_from(seconds).ok()?;
        (divides && length.subsec_nanos() == 0).then_some(Self { seconds })
    }

    /// When the running slot ends and the next begins.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        start(now, self.seconds) + SignedDuration::from_secs(i64::from(self.seconds))
    }

    /// How many slots begin from `start` on, itself included, until the day (UTC) ends.
    pub(super) fn left_in_day(&self, start: Timestamp) -> u64 {
        let second = start.as_second().rem_euclid(DAY as i64) as u64;
        // At midnight the slot is of the next day, which has an allowance of its own.
        match second {
            0 => 0,
            second => (DAY - second).div_ceil(u64::from(self.seconds)),
        }
    }

    /// When the slot that begins at `start` is asked for: later by up to `jitter`, so that not everybody asks at once.
    pub fn due(&self, start: Timestamp, jitter: Duration) -> Timestamp {
        let longest = Duration::from_secs(u64::from(self.seconds)) / 2;
        start + AFTER_START + jitter.min(longest).mul_f64(fastrand::f64())
    }
}

/// Start of the slot of that length that runs at `at`.
pub(super) fn start(at: Timestamp, seconds: u32) -> Timestamp {
    let start = at.as_second().div_euclid(i64::from(seconds)) * i64::from(seconds);
    Timestamp::from_second(start).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_slot_begins_at_the_quarter() {
        let slots = Slots::new(Duration::from_secs(900)).unwrap();
        for (now, next) in [
            ("2026-10-03T12:29:59.999Z", "2026-10-03T12:30:00Z"),
            ("2026-10-03T12:30:00Z", "2026-10-03T12:45:00Z"),
            ("2026-10-03T23:59:00Z", "2026-10-04T00:00:00Z"),
        ] {
            assert_eq!(slots.next(now.parse().unwrap()).to_string(), next);
        }
    }

    #[test]
    fn the_slots_that_are_left_end_with_the_day() {
        let slots = Slots::new(Duration::from_secs(900)).unwrap();
        for (start, left) in [
            ("2026-10-03T00:15:00Z", 95),
            ("2026-10-03T23:45:00Z", 1),
            ("2026-10-04T00:00:00Z", 0),
        ] {
            assert_eq!(slots.left_in_day(start.parse().unwrap()), left, "{start}");
        }
    }

    #[test]
    fn a_slot_is_asked_for_after_it_began_and_well_before_it_ends() {
        let slots = Slots::new(Duration::from_secs(900)).unwrap();
        let start: Timestamp = "2026-10-03T12:30:00Z".parse().unwrap();
        for jitter in [
            Duration::ZERO,
            Duration::from_secs(20),
            Duration::from_secs(86_400),
        ] {
            let due = slots.due(start, jitter).duration_since(start).as_secs_f64();
            assert!((3.0..=453.0).contains(&due), "{due}");
        }
    }
}
