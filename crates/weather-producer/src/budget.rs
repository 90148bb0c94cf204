//! How much Open-Meteo may be asked for: its own weights in its fixed minutes, hours and days.

use jiff::{SignedDuration, Timestamp};

/// The days that weigh 1 with ten variables, whatever the number of hours within them.
pub const DAYS_PER_WEIGHT: i64 = 14;

/// What an error costs: <https://github.com/open-meteo/open-meteo>, `RateLimiter`.
pub const ERROR_WEIGHT: f64 = 1.0;

/// A span of the service's clock (UTC) after which its counter is back at nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Window {
    Minute,
    Hour,
    Day,
}

impl Window {
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    fn index(self, at: Timestamp) -> i64 {
        at.as_second().div_euclid(self.seconds())
    }

    /// Start of the next one.
    pub fn end(self, at: Timestamp) -> Timestamp {
        let second = (self.index(at) + 1).saturating_mul(self.seconds());
        Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
    }
}

/// What is allowed in each window; infinite with a customer's key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    pub minute: f64,
    pub hour: f64,
    pub day: f64,
}

impl Limits {
    /// Of the free service, per address.
    pub const FREE: Self = Self {
        minute: 600.0,
        hour: 5_000.0,
        day: 10_000.0,
    };
    pub const NONE: Self = Self {
        minute: f64::INFINITY,
        hour: f64::INFINITY,
        day: f64::INFINITY,
    };

    pub fn of(&self, window: Window) -> f64 {
        match window {
            Window::Minute => self.minute,
            Window::Hour => self.hour,
            Window::Day => self.day,
        }
    }
}

/// What this process used of the running windows.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    counters: [Counter; 3],
}

#[derive(Debug, Default, Clone, Copy)]
struct Counter {
    index: i64,
    used: f64,
    /// Nothing is left, whatever was used from here.
    is_exhausted: bool,
}

impl Budget {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            counters: [Counter::default(); 3],
        }
    }

    /// When a call of that weight may go, where that is not now, and whose window it waits for.
    ///
    /// A call that no window could ever hold goes as soon as a window is fresh: the service checks before it counts.
    pub fn wait(&mut self, now: Timestamp, weight: f64) -> Option<(Window, Timestamp)> {
        self.turn(now);
        let full = |window: &Window| {
            let Counter {
                used, is_exhausted, ..
            } = self.counters[*window as usize];
            is_exhausted || (used > 0.0 && used + weight > self.limits.of(*window))
        };
        Window::ALL
            .into_iter()
            .rfind(full)
            .map(|window| (window, window.end(now)))
    }

    pub fn count(&mut self, now: Timestamp, weight: f64) {
        self.turn(now);
        for counter in &mut self.counters {
            counter.used += weight;
        }
    }

    /// The service says that nothing is left of the window: somebody else asks from this address too.
    pub fn exhaust(&mut self, now: Timestamp, window: Window) {
        self.turn(now);
        self.counters[window as usize].is_exhausted = true;
    }

    /// All of it where the service says that nothing is left.
    pub fn used(&mut self, now: Timestamp, window: Window) -> f64 {
        self.turn(now);
        let limit = self.limits.of(window);
        match self.counters[window as usize] {
            Counter {
                is_exhausted: true,
                used,
                ..
            } if limit.is_finite() => used.max(limit),
            Counter { used, .. } => used,
        }
    }

    fn turn(&mut self, now: Timestamp) {
        for (window, counter) in Window::ALL.into_iter().zip(&mut self.counters) {
            let index = window.index(now);
            if counter.index != index {
                *counter = Counter {
                    index,
                    ..Counter::default()
                };
            }
        }
    }
}

/// What one location costs with ten variables over that span; `max(1, days/14)`, the days a whole number.
pub fn weight(span: SignedDuration) -> f64 {
    let days = span.as_secs() / 86_400;
    (days as f64 / DAYS_PER_WEIGHT as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_call_waits_for_the_window_that_ends_last_of_those_that_are_full() {
        let mut budget = Budget::new(Limits::FREE);
        let now = at("2026-10-03T12:30:20Z");
        assert_eq!(budget.wait(now, 100.0), None);
        budget.count(now, 550.0);
        assert_eq!(budget.wait(now, 50.0), None);
        assert_eq!(
            budget.wait(now, 51.0),
            Some((Window::Minute, at("2026-10-03T12:31:00Z")))
        );
        budget.exhaust(now, Window::Day);
        assert_eq!(
            budget.wait(now, 51.0),
            Some((Window::Day, at("2026-10-04T00:00:00Z")))
        );
        assert_eq!(budget.wait(at("2026-10-04T00:00:00Z"), 51.0), None);
    }

    #[test]
    fn a_window_that_the_service_says_is_used_up_is_waited_for_without_limits_too() {
        let mut budget = Budget::new(Limits::NONE);
        let now = at("2026-10-03T12:30:20Z");
        budget.count(now, 1e9);
        assert_eq!(budget.wait(now, 1.0), None);
        budget.exhaust(now, Window::Hour);
        let end = at("2026-10-03T13:00:00Z");
        assert_eq!(budget.wait(now, 1.0), Some((Window::Hour, end)));
        assert_eq!(budget.used(now, Window::Hour), 1e9);
        assert_eq!(budget.wait(end, 1.0), None);
    }

    #[test]
    fn a_hundred_and_four_locations_fit_into_a_day_of_quarters() {
        let mut budget = Budget::new(Limits::FREE);
        for slot in 0..96_i64 {
            let now = at("2026-10-03T00:00:03Z") + SignedDuration::from_mins(15 * slot);
            for batch in [52.0, 52.0] {
                assert_eq!(budget.wait(now, batch), None, "slot {slot}");
                budget.count(now, batch);
            }
        }
        assert!(budget.wait(at("2026-10-03T23:59:00Z"), 104.0).is_some());
    }

    #[test]
    fn a_call_heavier_than_a_window_goes_when_the_window_is_fresh() {
        let mut budget = Budget::new(Limits::FREE);
        assert_eq!(budget.wait(at("2026-10-03T12:30:20Z"), 700.0), None);
    }

    #[test]
    fn two_weeks_weigh_as_much_as_an_hour() {
        assert_eq!(weight(SignedDuration::from_hours(1)), 1.0);
        assert_eq!(weight(SignedDuration::from_hours(14 * 24)), 1.0);
        assert_eq!(weight(SignedDuration::from_hours(28 * 24)), 2.0);
    }
}
