//! Strava's rate limits: two buckets, each with a quarter-hour and a daily window.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const QUARTER_SECONDS: i64 = 15 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Requests per quarter of an hour and per day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    pub quarter: u32,
    pub day: u32,
}

/// What an application may ask: everything, and (inside it) everything that is no upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub overall: Limit,
    pub read: Limit,
}

impl Default for Limits {
    /// What a new application gets: <https://developers.strava.com/docs/rate-limits/>.
    fn default() -> Self {
        Self {
            overall: Limit {
                quarter: 200,
                day: 2_000,
            },
            read: Limit {
                quarter: 100,
                day: 1_000,
            },
        }
    }
}

impl Limits {
    /// Limits that no test and no benchmark reaches.
    pub fn generous() -> Self {
        let limit = Limit {
            quarter: 1_000_000,
            day: 10_000_000,
        };
        Self {
            overall: limit,
            read: limit,
        }
    }
}

/// A window of the clock in UTC; it begins at :00, :15, :30, :45, or at midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    #[serde(rename = "quarter")]
    Quarter,
    #[serde(rename = "day")]
    Day,
}

/// The two pairs of header values as they stand after a request: `<quarter>,<day>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) overall_limit: String,
    pub(crate) overall_usage: String,
    pub(crate) read_limit: String,
    pub(crate) read_usage: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Refused,
}

/// Usage of one application. Every request that is counted here is a read, so both buckets
/// move together and the smaller limit decides.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Quota {
    quarter_index: i64,
    day_index: i64,
    quarter: u32,
    day: u32,
}

impl Quota {
    /// Counts one request. A refused one is still charged to the day, not to the quarter hour.
    pub(crate) fn charge(&mut self, limits: &Limits, now: Timestamp) -> Verdict {
        self.roll(now);
        let refused = self.quarter >= limits.overall.quarter.min(limits.read.quarter)
            || self.day >= limits.overall.day.min(limits.read.day);
        self.day = self.day.saturating_add(1);
        if refused {
            return Verdict::Refused;
        }
        self.quarter = self.quarter.saturating_add(1);
        Verdict::Allowed
    }

    /// Fills a window, as if others had used it up.
    pub(crate) fn exhaust(&mut self, window: Window, limits: &Limits, now: Timestamp) {
        self.roll(now);
        match window {
            Window::Quarter => self.quarter = limits.overall.quarter.min(limits.read.quarter),
            Window::Day => self.day = limits.overall.day.min(limits.read.day),
        }
    }

    pub(crate) fn headers(&self, limits: &Limits) -> Headers {
        let limit = |limit: Limit| format!("{},{}", limit.quarter, limit.day);
        let usage = format!("{},{}", self.quarter, self.day);
        Headers {
            overall_limit: limit(limits.overall),
            overall_usage: usage.clone(),
            read_limit: limit(limits.read),
            read_usage: usage,
        }
    }

    fn roll(&mut self, now: Timestamp) {
        let quarter = now.as_second().div_euclid(QUARTER_SECONDS);
        if quarter != self.quarter_index {
            (self.quarter_index, self.quarter) = (quarter, 0);
        }
        let day = now.as_second().div_euclid(DAY_SECONDS);
        if day != self.day_index {
            (self.day_index, self.day) = (day, 0);
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
    fn a_new_quarter_resets_the_short_window_and_refused_calls_stay_charged_to_the_day() {
        // The recording: 100,333 at 21:26:33, three refused calls, then 1,337 at 21:30:26.
        let limits = Limits::default();
        let mut quota = Quota {
            day: 233,
            ..Quota::default()
        };
        quota.roll(at("2025-10-18T21:20:00Z"));
        quota.day = 233;
        for _ in 0..100 {
            assert_eq!(
                quota.charge(&limits, at("2025-10-18T21:26:33Z")),
                Verdict::Allowed
            );
        }
        assert_eq!(quota.headers(&limits).read_usage, "100,333");
        for _ in 0..3 {
            assert_eq!(
                quota.charge(&limits, at("2025-10-18T21:29:59Z")),
                Verdict::Refused
            );
        }
        assert_eq!(
            quota.charge(&limits, at("2025-10-18T21:30:26Z")),
            Verdict::Allowed
        );
        assert_eq!(quota.headers(&limits).overall_usage, "1,337");
    }

    #[test]
    fn the_day_ends_at_midnight_in_utc() {
        let limits = Limits::default();
        let mut quota = Quota::default();
        quota.exhaust(Window::Day, &limits, at("2025-10-18T10:00:00Z"));
        assert_eq!(
            quota.charge(&limits, at("2025-10-18T23:59:59Z")),
            Verdict::Refused
        );
        assert_eq!(
            quota.charge(&limits, at("2025-10-19T00:00:00Z")),
            Verdict::Allowed
        );
        assert_eq!(quota.headers(&limits).overall_limit, "200,2000");
    }
}
