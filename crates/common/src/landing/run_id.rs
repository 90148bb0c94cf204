//! The name of a run, which is in every key that the run writes.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sha256_hex;

/// The most of a run id that goes into a key, in bytes: a file name has 255 and the key needs some of them.
const MAX_IN_KEY: usize = 150;

/// Name of a run: Airflow's, so that a retry writes the same keys, or [`RunId::random`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunId {
    text: String,
    date: Date,
}

/// An empty text is no run id.
#[derive(Debug, thiserror::Error)]
#[error("a run id has at least one character")]
pub struct EmptyRunId;

impl RunId {
    /// A new name: the UTC time and a random suffix, `20261124T170840Z-3f9a01bc`.
    pub fn random() -> Self {
        let now = Timestamp::now();
        let text = format!(
            "{}-{:08x}",
            now.strftime("%Y%m%dT%H%M%SZ"),
            fastrand::u32(..)
        );
        Self {
            text,
            date: utc_date(now),
        }
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name as it stands in keys: what is not `[A-Za-z0-9._-]` is `-`, and where that (or the
    /// limit of 150 bytes) changed anything, `-` and 8 hex of the name's SHA-256 follow.
    pub fn key_form(&self) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        };
        let form: String = self.text.chars().map(plain).take(MAX_IN_KEY).collect();
        if form == self.text {
            return form;
        }
        format!("{form}-{}", &sha256_hex(self.text.as_bytes())[..8])
    }

    /// The first date in the name (`2026-11-22` or `20261122`), else the day on which it was read, in UTC.
    pub fn date(&self) -> Date {
        self.date
    }
}

impl FromStr for RunId {
    type Err = EmptyRunId;

    fn from_str(text: &str) -> Result<Self, EmptyRunId> {
        if text.is_empty() {
            return Err(EmptyRunId);
        }
        let date = first_date(text).unwrap_or_else(|| utc_date(Timestamp::now()));
        Ok(Self {
            text: text.to_owned(),
            date,
        })
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

fn utc_date(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

fn first_date(text: &str) -> Option<Date> {
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    (0..text.len())
        .filter(|&at| is_digit(at) && (at == 0 || !is_digit(at - 1)))
        .find_map(|at| {
            let digits = (at..).take_while(|&at| is_digit(at)).count();
            // `20261122` alone or with a time of day right behind it; a longer number is no date.
            let long = matches!(digits, 8 | 14)
                .then(|| Date::strptime("%Y%m%d", text.get(at..at + 8)?).ok())
                .flatten();
            let dashed = || {
                Date::strptime(
                    "%Y-%m-%d",
                    text.get(at..at + 10).filter(|_| !is_digit(at + 10))?,
                )
                .ok()
            };
            long.or_else(dashed)
                .filter(|date| (1900..2200).contains(&date.year()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_id(text: &str) -> RunId {
        text.parse().unwrap()
    }

    #[test]
    fn the_date_is_the_first_one_in_the_name() {
        for (name, date) in [
            ("scheduled__2026-11-22T00:00:00+00:00", "2026-11-22"),
            ("20261122T101112Z-0a1b2c3d", "2026-11-22"),
            ("manual 99999999 20261122101112", "2026-11-22"),
            ("backfill_2026-02-30_2026-03-01", "2026-03-01"),
            ("1.2026-11-22", "2026-11-22"),
            ("läuft-2026-11-22", "2026-11-22"),
        ] {
            assert_eq!(run_id(name).date().to_string(), date, "{name}");
        }
        for name in ["x", "2026112212", "12026-11-221", "2026-11-2", "00010101"] {
            assert_eq!(run_id(name).date(), utc_date(Timestamp::now()), "{name}");
        }
    }

    #[test]
    fn a_key_holds_plain_characters_and_keeps_names_apart() {
        assert_eq!(
            run_id("20261122T101112Z-0a1b2c3d").key_form(),
            "20261122T101112Z-0a1b2c3d"
        );
        assert_eq!(
            run_id("a:b").key_form(),
            format!("a-b-{}", &sha256_hex(b"a:b")[..8])
        );
        assert_ne!(run_id("a:b").key_form(), run_id("a/b").key_form());
        assert_eq!(run_id(&"x".repeat(300)).key_form().len(), 159);
        assert!(run_id("ä/..").key_form().starts_with("--..-"));
    }

    #[test]
    fn a_new_name_needs_no_change_for_a_key() {
        let name = RunId::random();
        assert_eq!(name.key_form(), name.as_str());
        assert_eq!(run_id(name.as_str()), name);
        assert!("".parse::<RunId>().is_err());
    }
}
