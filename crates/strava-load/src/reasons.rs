//! Why a row is set aside: a closed list of one-word reasons, and what the program says to each.

use std::fmt;

use jiter::{JiterError, JiterErrorType, JsonError, JsonErrorType};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No JSON, or not all of it.
    Malformed,
    /// Bytes that are no UTF-8.
    NotUtf8,
    /// JSON, but no object.
    NotObject,
    /// Not the envelope that landing promises.
    Envelope,
    /// Without id, athlete or origin there is no row to merge into.
    MissingKey,
    /// PostgreSQL's text cannot hold U+0000.
    Nul,
    /// Half a character.
    Surrogate,
    /// Twice the same key: one of the two values would be lost.
    DuplicateKey,
    TooDeep,
    TooLong,
    /// More columns than a table can have.
    TooWide,
    /// A number beyond numeric.
    OutOfRange,
    /// A value that its column's type does not hold.
    TypeConflict,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::NotUtf8 => "not_utf8",
            Reason::NotObject => "not_object",
            Reason::Envelope => "envelope",
            Reason::MissingKey => "missing_key",
            Reason::Nul => "nul",
            Reason::Surrogate => "surrogate",
            Reason::DuplicateKey => "duplicate_key",
            Reason::TooDeep => "too_deep",
            Reason::TooLong => "too_long",
            Reason::TooWide => "too_wide",
            Reason::OutOfRange => "out_of_range",
            Reason::TypeConflict => "type_conflict",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stops a row: set it aside, or look at it again with wider columns.
#[derive(Debug, PartialEq)]
pub enum Fault {
    Reject {
        reason: Reason,
        detail: String,
    },
    /// The column at this index does not take the value; `None`: there is no column yet.
    Misfit(Option<usize>),
}

impl Fault {
    pub fn reject(reason: Reason, detail: impl Into<String>) -> Fault {
        Fault::Reject {
            reason,
            detail: detail.into(),
        }
    }
}

impl From<JiterError> for Fault {
    fn from(error: JiterError) -> Fault {
        let JiterErrorType::JsonError(kind) = error.error_type else {
            return Fault::reject(
                Reason::Malformed,
                format!("{} at byte {}", error.error_type, error.index),
            );
        };
        JsonError {
            error_type: kind,
            index: error.index,
        }
        .into()
    }
}

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Fault {
        let reason = match error.error_type {
            JsonErrorType::LoneLeadingSurrogateInHexEscape
            | JsonErrorType::UnexpectedEndOfHexEscape
            | JsonErrorType::InvalidUnicodeCodePoint => Reason::Surrogate,
            JsonErrorType::RecursionLimitExceeded => Reason::TooDeep,
            _ => Reason::Malformed,
        };
        Fault::reject(
            reason,
            format!("{} at byte {}", error.error_type, error.index),
        )
    }
}
