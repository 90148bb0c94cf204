//! Strava's quota as its answers tell it: two buckets (overall and read) with two windows each.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap};
use serde::{Deserialize, Serialize};

const QUARTER_SECONDS: i64 = 15 * 60;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What the last answers said. Nothing is known before the first one, and nothing is assumed.
#[derive(Debug, Clone, Default)]
pub struct Quota {
    overall: Option<Bucket>,
    /// Reading calls have a bucket of their own; old answers do not mention it.
    read: Option<Bucket>,
    told_at: Option<Timestamp>,
    /// How far Strava's clock is ahead of ours: windows end by Strava's.
    ahead: SignedDuration,
}

/// One bucket: calls allowed and used in this quarter of an hour and on this day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    pub quarter: Usage,
    pub day: Usage,
}

/// Calls in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub limit: u32,
    pub used: u32,
}

/// Which window is used up, and when the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsedUp {
    /// Until the next :00, :15, :30 or :45, UTC.
    Quarter(Timestamp),
    /// Until 00:00 UTC.
    Day(Timestamp),
}

impl UsedUp {
    /// When calls are allowed again.
    pub fn until(self) -> Timestamp {
        match self {
            Self::Quarter(until) | Self::Day(until) => until,
        }
    }
}

impl Quota {
    /// Learns from an answer. A pair of headers that is absent or unreadable changes nothing.
    pub fn learn(&mut self, headers: &HeaderMap, now: Timestamp) {
        if let Some(theirs) = headers
            .get(DATE)
            .and_then(|date| http_date(date.to_str().ok()?))
        {
            self.ahead = theirs.duration_since(now);
        }
        let overall = bucket(headers, "x-ratelimit-limit", "x-ratelimit-usage");
        let read = bucket(headers, "x-readratelimit-limit", "x-readratelimit-usage");
        if overall.is_some() || read.is_some() {
            // A refusal tells of the overall bucket only: what it grew by, the other grew by too.
            self.read = read.or_else(|| self.read?.grown_with(self.overall?, overall?));
            self.overall = overall.or(self.overall);
            self.told_at = Some(self.strava_time(now));
        }
    }

    /// Whether another read would be refused, by the smaller of all four windows.
    pub fn used_up(&self, now: Timestamp) -> Option<UsedUp> {
        let (now, told_at) = (self.strava_time(now), self.told_at?);
        let buckets = || self.overall.iter().chain(&self.read);
        let day = next(told_at, DAY_SECONDS);
        if now < day && buckets().any(|bucket| bucket.day.is_used_up()) {
            return Some(UsedUp::Day(day));
        }
        let quarter = next(told_at, QUARTER_SECONDS);
        (now < quarter && buckets().any(|bucket| bucket.quarter.is_used_up()))
            .then_some(UsedUp::Quarter(quarter))
    }

    /// What a refusal (429) means: the window that the headers show as used up, else the quarter.
    pub fn refused(&self, now: Timestamp) -> UsedUp {
        self.used_up(now)
            .unwrap_or_else(|| UsedUp::Quarter(next(self.strava_time(now), QUARTER_SECONDS)))
    }

    /// How long it is until that moment of Strava's clock.
    pub fn wait_until(&self, until: Timestamp, now: Timestamp) -> SignedDuration {
        until
            .duration_since(self.strava_time(now))
            .max(SignedDuration::ZERO)
    }

    /// For the closing line: limits and usage of each window, as far as they are known.
    pub fn summary(&self) -> serde_json::Value {
        serde_json::json!({ "overall": self.overall, "read": self.read })
    }

    /// When Strava last told of it, by its own clock, and the overall and the read bucket.
    pub fn told(&self) -> Option<(Timestamp, Option<Bucket>, Option<Bucket>)> {
        Some((self.told_at?, self.overall, self.read))
    }

    fn strava_time(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.ahead).unwrap_or(now)
    }
}

impl Bucket {
    fn grown_with(self, before: Self, after: Self) -> Option<Self> {
        Some(Self {
            quarter: self.quarter.grown_with(before.quarter, after.quarter),
            day: self.day.grown_with(before.day, after.day),
        })
    }
}

impl Usage {
    fn grown_with(self, before: Self, after: Self) -> Self {
        let used = match after.used.checked_sub(before.used) {
            Some(more) => self.used.saturating_add(more),
            // A new window has begun.
            None => after.used,
        };
        Self { used, ..self }
    }

    fn is_used_up(self) -> bool {
        self.used >= self.limit
    }
}

/// The beginning of the next window of that length, counted from midnight UTC.
fn next(at: Timestamp, seconds: i64) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(seconds) + seconds).unwrap_or(Timestamp::MAX)
}

fn bucket(headers: &HeaderMap, limit: &str, usage: &str) -> Option<Bucket> {
    let (quarter_limit, day_limit) = pair(headers, limit)?;
    let (quarter_used, day_used) = pair(headers, usage)?;
    Some(Bucket {
        quarter: Usage {
            limit: quarter_limit,
            used: quarter_used,
        },
        day: Usage {
            limit: day_limit,
            used: day_used,
        },
    })
}

/// `100,1000`: fifteen minutes, day.
fn pair(headers: &HeaderMap, name: &str) -> Option<(u32, u32)> {
    let (quarter, day) = headers.get(name)?.to_str().ok()?.split_once(',')?;
    Some((quarter.trim().parse().ok()?, day.trim().parse().ok()?))
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text)
        .ok()
        .map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::{Quota, UsedUp};

    fn at(text: &str) -> jiff::Timestamp {
        text.parse().unwrap()
    }

    fn told(pairs: &[(&'static str, &'static str)], now: &str) -> Quota {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let mut quota = Quota::default();
        quota.learn(&headers, at(now));
        quota
    }

    const OVERALL: [(&str, &str); 2] = [
        ("x-ratelimit-limit", "200,2000"),
        ("x-ratelimit-usage", "5,148"),
    ];

    #[test]
    fn nothing_is_assumed_before_the_first_answer() {
        assert_eq!(Quota::default().used_up(at("2026-11-24T10:00:00Z")), None);
    }

    #[test]
    fn the_read_pair_may_be_absent() {
        let quota = told(&OVERALL, "2026-11-24T10:00:00Z");
        assert_eq!(quota.used_up(at("2026-11-24T10:00:00Z")), None);
        assert_eq!(quota.summary()["read"], serde_json::Value::Null);
        assert_eq!(quota.summary()["overall"]["day"]["used"], 148);
    }

    #[test]
    fn the_smaller_of_both_buckets_counts() {
        let read = [
            ("x-readratelimit-limit", "100,1000"),
            ("x-readratelimit-usage", "100,333"),
        ];
        let quota = told(
            &[OVERALL.as_slice(), &read].concat(),
            "2026-11-24T21:26:33Z",
        );
        assert_eq!(
            quota.used_up(at("2026-11-24T21:26:34Z")),
            Some(UsedUp::Quarter(at("2026-11-24T21:30:00Z")))
        );
        assert_eq!(quota.used_up(at("2026-11-24T21:30:00Z")), None);
    }

    #[test]
    fn a_used_up_day_outlasts_a_used_up_quarter() {
        let quota = told(
            &[
                ("x-ratelimit-limit", "100,1000"),
                ("x-ratelimit-usage", "100,1000"),
            ],
            "2026-11-24T21:26:33Z",
        );
        assert_eq!(
            quota.used_up(at("2026-11-24T21:31:00Z")),
            Some(UsedUp::Day(at("2026-11-25T00:00:00Z")))
        );
        assert_eq!(quota.used_up(at("2026-11-25T00:00:00Z")), None);
    }

    #[test]
    fn a_refusal_that_tells_one_bucket_only_still_shows_the_other_one_as_used_up() {
        let read = [
            ("x-readratelimit-limit", "100,1000"),
            ("x-readratelimit-usage", "20,999"),
        ];
        let overall = |usage| {
            [
                ("x-ratelimit-limit", "200,2000"),
                ("x-ratelimit-usage", usage),
            ]
        };
        let now = "2026-11-24T21:26:33Z";
        let mut quota = told(&[overall("20,1099").as_slice(), &read].concat(), now);
        let mut headers = HeaderMap::new();
        for (name, value) in overall("20,1100") {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        quota.learn(&headers, at(now));
        assert_eq!(
            quota.refused(at(now)),
            UsedUp::Day(at("2026-11-25T00:00:00Z"))
        );
    }

    #[test]
    fn a_refusal_without_headers_waits_for_the_next_quarter() {
        let now = at("2026-11-24T21:59:59Z");
        assert_eq!(
            Quota::default().refused(now),
            UsedUp::Quarter(at("2026-11-24T22:00:00Z"))
        );
    }

    #[test]
    fn windows_end_by_stravas_clock() {
        let used = [
            ("x-ratelimit-limit", "100,1000"),
            ("x-ratelimit-usage", "100,200"),
        ];
        let date = [("date", "Tue, 24 Nov 2026 21:29:00 GMT")];
        let quota = told(&[used.as_slice(), &date].concat(), "2026-11-24T21:31:00Z");
        let Some(used_up) = quota.used_up(at("2026-11-24T21:31:00Z")) else {
            panic!("it is used up")
        };
        assert_eq!(used_up.until(), at("2026-11-24T21:30:00Z"));
        assert_eq!(
            quota
                .wait_until(used_up.until(), at("2026-11-24T21:31:00Z"))
                .as_secs(),
            60
        );
    }
}
