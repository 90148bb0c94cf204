//! The dead-letter topic: records that cannot be stored, as they came, with where from and why.

mod headers;
mod list;
mod producer;
mod replay;
mod replayed;
mod seen;

use std::{fmt, str::FromStr};

use common::weather;

use crate::record::{Claim, Record};

pub use list::{Entry, list, print};
pub use producer::DeadLetters;
pub(crate) use producer::missing;
pub use replay::{Selection, replay};

/// One word for why a record was put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It is no weather message.
    Defect(weather::Reason),
    /// More than MongoDB takes as one document.
    TooLarge,
    /// A field that the sink has no place for.
    UnfitField,
    /// MongoDB's own rules refused it, such as a validator of the collection.
    Rejected,
}

impl Reason {
    const OWN: [Self; 3] = [Self::TooLarge, Self::UnfitField, Self::Rejected];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Defect(reason) => reason.as_str(),
            Self::TooLarge => "too_large",
            Self::UnfitField => "unfit_field",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(own) = Self::OWN.into_iter().find(|reason| reason.as_str() == text) {
            return Ok(own);
        }
        text.parse().map(Self::Defect).map_err(|_| {
            let all = weather::Reason::ALL
                .iter()
                .map(|reason| reason.as_str())
                .chain(Self::OWN.map(Self::as_str));
            format!(
                "no such reason; there are {}",
                all.collect::<Vec<_>>().join(", ")
            )
        })
    }
}

/// What stood in the way of storing it, `decode` where every sink would have met it.
pub const DECODE: &str = "decode";

/// A record to be put aside.
#[derive(Debug)]
pub struct Letter<'r> {
    pub claim: Claim,
    pub record: &'r Record,
    pub reason: Reason,
    pub detail: &'r str,
    pub sink: &'static str,
}
