//! A number that keeps the digits it was written with.

use std::{borrow::Cow, fmt};

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON number as served: `25.0` stays `25.0`. Two are equal when they are written alike.
#[derive(Debug, Clone)]
pub struct Decimal<'a> {
    text: Cow<'a, str>,
    number: f64,
}

impl<'a> Decimal<'a> {
    /// The number in `json`; `None` where it is no JSON number, or beyond what a double can hold.
    pub fn parse(json: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = json.into();
        // JSON numbers are those of Rust but for `inf`, `nan`, `+1`, `.5`, `1.` and `01`.
        let digits = text.strip_prefix('-').unwrap_or(&text).as_bytes();
        let starts_well = match digits {
            [b'0', next, ..] => !next.is_ascii_digit(),
            [first, ..] => first.is_ascii_digit(),
            [] => false,
        };
        let dot_ends_well = text
            .split_once('.')
            .is_none_or(|(_, after)| after.starts_with(|c: char| c.is_ascii_digit()));
        if !starts_well || !dot_ends_well {
            return None;
        }
        let number = text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())?;
        Some(Self { text, number })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn as_f64(&self) -> f64 {
        self.number
    }

    pub fn into_owned(self) -> Decimal<'static> {
        Decimal {
            text: Cow::Owned(self.text.into_owned()),
            number: self.number,
        }
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Decimal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.text).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}
