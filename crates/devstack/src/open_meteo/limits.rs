//! Who may ask how much: weights in fixed minutes, hours and days, and how many at once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A fixed span of the wall clock (UTC) after which a counter is back at nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    Minute,
    Hour,
    Day,
}

impl Window {
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The reason's text, word for word; nothing else in the answer says which window it was.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Minute => "Minutely API request limit exceeded. Please try again in one minute.",
            Self::Hour => "Hourly API request limit exceeded. Please try again in the next hour.",
            Self::Day => "Daily API request limit exceeded. Please try again tomorrow.",
        }
    }
}

/// What the free service allows in each window, in its own weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    pub minute: f64,
    pub hour: f64,
    pub day: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            minute: 600.0,
            hour: 5_000.0,
            day: 10_000.0,
        }
    }
}

impl Limits {
    fn of(&self, window: Window) -> f64 {
        match window {
            Window::Minute => self.minute,
            Window::Hour => self.hour,
            Window::Day => self.day,
        }
    }
}

/// What was used in the running windows, and the most that any of them ever held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub minute: f64,
    pub hour: f64,
    pub day: f64,
    pub most_in_a_minute: f64,
    pub most_in_an_hour: f64,
    pub most_in_a_day: f64,
}

#[derive(Debug, Default)]
pub(super) struct Limiter {
    counters: [Counter; 3],
}

#[derive(Debug, Default)]
struct Counter {
    index: i64,
    used: f64,
    most: f64,
}

impl Limiter {
    /// The first window that has nothing left. The check comes before the work, the count after it, so that
    /// one heavy call can take a window far over its limit.
    pub(super) fn spent(&mut self, now: Timestamp, limits: &Limits) -> Option<Window> {
        self.turn(now);
        let spent = |window: &Window| self.counters[*window as usize].used >= limits.of(*window);
        Window::ALL.into_iter().find(spent)
    }

    pub(super) fn count(&mut self, now: Timestamp, weight: f64) {
        self.turn(now);
        for counter in &mut self.counters {
            counter.used += weight;
            counter.most = counter.most.max(counter.used);
        }
    }

    /// Another program at the same address used the rest of `window`.
    pub(super) fn exhaust(&mut self, now: Timestamp, limits: &Limits, window: Window) {
        self.turn(now);
        let counter = &mut self.counters[window as usize];
        counter.used = counter.used.max(limits.of(window));
    }

    pub(super) fn usage(&mut self, now: Timestamp) -> Usage {
        self.turn(now);
        let [minute, hour, day] = &self.counters;
        Usage {
            minute: minute.used,
            hour: hour.used,
            day: day.used,
            most_in_a_minute: minute.most,
            most_in_an_hour: hour.most,
            most_in_a_day: day.most,
        }
    }

    fn turn(&mut self, now: Timestamp) {
        for (window, counter) in Window::ALL.into_iter().zip(&mut self.counters) {
            let index = now.as_second().div_euclid(window.seconds());
            if counter.index != index {
                counter.index = index;
                counter.used = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_ends_on_the_wall_clock_and_not_after_its_length() {
        let (mut limiter, limits) = (Limiter::default(), Limits::default());
        limiter.count(at("2026-10-03T12:30:59Z"), 600.0);
        assert_eq!(
            limiter.spent(at("2026-10-03T12:30:59.999Z"), &limits),
            Some(Window::Minute)
        );
        assert_eq!(limiter.spent(at("2026-10-03T12:31:00Z"), &limits), None);
    }

    #[test]
    fn one_heavy_call_passes_and_then_blocks() {
        let (mut limiter, limits) = (Limiter::default(), Limits::default());
        assert_eq!(limiter.spent(at("2026-10-03T12:00:00Z"), &limits), None);
        limiter.count(at("2026-10-03T12:00:00Z"), 1_000.0);
        assert_eq!(
            limiter.spent(at("2026-10-03T12:00:30Z"), &limits),
            Some(Window::Minute)
        );
        assert_eq!(limiter.usage(at("2026-10-03T12:01:00Z")).hour, 1_000.0);
    }
}
