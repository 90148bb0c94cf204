//! What MongoDB can answer, sorted by what helps: nothing but other data, a person, or waiting.

use mongodb::{
    bson::{Bson, Document},
    error::ErrorKind,
};

/// The server has this reading already, or a newer one, or another document under a unique index.
const DUPLICATE_KEY: i32 = 11_000;

/// Codes of the server that mean that this document can never be stored, however often it is tried:
/// <https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml>.
const DATA: [i32; 17] = [
    2,      // BadValue
    9,      // FailedToParse
    14,     // TypeMismatch
    15,     // Overflow
    22,     // InvalidBSON
    28,     // PathNotViable
    52,     // DollarPrefixedFieldName
    53,     // InvalidIdField
    56,     // EmptyFieldName
    57,     // DottedFieldName
    66,     // ImmutableField
    121,    // DocumentValidationFailure
    146,    // ExceededMemoryLimit
    10_334, // BSONObjectTooLarge
    16_755, // geo keys that cannot be extracted
    17_280, // KeyTooLong
    17_419, // resulting document too large
];

/// Codes that mean that a person must change credentials or rights.
const REFUSED: [i32; 4] = [13, 18, 8000, 11];

/// Why a whole command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data of the command; a smaller command finds out which.
    #[error("{0}")]
    Data(String),
    /// Credentials or rights.
    #[error("{0}")]
    Refused(String),
    /// Everything else: worth another try.
    #[error("{0}")]
    Away(String),
}

/// One statement of a command that was not carried out, by its place in the command.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    pub index: usize,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// A document of this event id is there, and is not older; or was made at the same moment.
    NotOlder,
    /// This document cannot be stored.
    Data(String),
    /// The server's own trouble.
    Away(String),
}

impl Error {
    /// An index of these keys exists with another name or expiry.
    pub(super) fn is_index_with_other_options(&self) -> bool {
        // IndexOptionsConflict and IndexKeySpecsConflict have no kind of their own here.
        matches!(self, Self::Data(text) | Self::Away(text) if text.starts_with("85 ") || text.starts_with("86 "))
    }
}

impl From<mongodb::error::Error> for Error {
    fn from(error: mongodb::error::Error) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Authentication { message, .. } => Self::Refused(message.clone()),
            ErrorKind::Command(command) if REFUSED.contains(&command.code) => {
                Self::Refused(told(command.code, &command.message))
            }
            ErrorKind::Command(command) if DATA.contains(&command.code) => {
                Self::Data(told(command.code, &command.message))
            }
            ErrorKind::Command(command) => Self::Away(told(command.code, &command.message)),
            ErrorKind::InvalidArgument { message, .. } => Self::Data(message.clone()),
            _ => Self::Away(error.to_string()),
        }
    }
}

/// The write errors in the answer of an `insert` or `update` command, which the driver does not look at.
pub(super) fn rejections(answer: &Document) -> Result<Vec<Rejection>, Error> {
    // Also beside write errors: what was not rejected may still be rolled back.
    if let Ok(error) = answer.get_document("writeConcernError") {
        return Err(Error::Away(format!(
            "not by a majority yet: {}",
            error.get_str("errmsg").unwrap_or_default()
        )));
    }
    let mut rejections = Vec::new();
    for error in answer
        .get_array("writeErrors")
        .into_iter()
        .flatten()
        .filter_map(Bson::as_document)
    {
        let index = number(error, "index").and_then(|index| usize::try_from(index).ok());
        let index = index
            .ok_or_else(|| Error::Away("a write error of the server names no statement".into()))?;
        rejections.push(Rejection {
            index,
            why: why(error),
        });
    }
    Ok(rejections)
}

fn why(error: &Document) -> Why {
    let code = number(error, "code").unwrap_or_default();
    let text = error.get_str("errmsg").unwrap_or_default();
    if code == DUPLICATE_KEY {
        let of_the_id = match error.get_document("keyPattern") {
            Ok(keys) => keys.keys().eq(["_id"]),
            // Servers before 4.2, and some that speak the protocol, have it in the text alone.
            Err(_) => !text.contains(" index: ") || text.contains(" index: _id_ "),
        };
        return if of_the_id {
            Why::NotOlder
        } else {
            Why::Data(told(code, text))
        };
    }
    if DATA.contains(&code) {
        Why::Data(told(code, text))
    } else {
        Why::Away(told(code, text))
    }
}

/// What the server said, up to where it quotes the document: no value of a reading goes into a log.
fn told(code: i32, text: &str) -> String {
    let text = text.split(['{', '"']).next().unwrap_or_default();
    format!("{code} {}", text.trim_end())
}

fn number(document: &Document, name: &str) -> Option<i32> {
    match document.get(name)? {
        Bson::Int32(number) => Some(*number),
        Bson::Int64(number) => i32::try_from(*number).ok(),
        Bson::Double(number) => Some(*number as i32),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn one(error: Document) -> Why {
        rejections(&doc! { "ok": 1, "writeErrors": [error] })
            .unwrap()
            .remove(0)
            .why
    }

    #[test]
    fn a_duplicate_of_the_id_is_a_reading_that_is_not_newer() {
        let error =
            doc! { "index": 3, "code": 11000, "keyPattern": { "_id": 1 }, "errmsg": "E11000" };
        assert_eq!(
            rejections(&doc! { "writeErrors": [error] }).unwrap(),
            [Rejection {
                index: 3,
                why: Why::NotOlder
            }]
        );
        let old = "E11000 duplicate key error collection: weather.readings index: _id_ dup key: { _id: 1 }";
        assert_eq!(
            one(doc! { "index": 0_i64, "code": 11000, "errmsg": old }),
            Why::NotOlder
        );
    }

    #[test]
    fn a_duplicate_under_an_index_of_somebody_else_is_a_matter_of_the_data() {
        let error = doc! { "index": 0, "code": 11000, "keyPattern": { "location_id": 1 }, "errmsg": "E11000" };
        assert!(matches!(one(error), Why::Data(_)));
    }

    #[test]
    fn only_a_closed_list_of_codes_is_a_matter_of_the_data() {
        assert!(matches!(
            one(doc! { "index": 0, "code": 121, "errmsg": "validation" }),
            Why::Data(_)
        ));
        assert!(matches!(
            one(doc! { "index": 0, "code": 112, "errmsg": "WriteConflict" }),
            Why::Away(_)
        ));
    }

    #[test]
    fn a_write_without_its_majority_is_repeated() {
        let mut answer = doc! { "ok": 1, "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } };
        assert!(matches!(rejections(&answer), Err(Error::Away(_))));
        let met =
            doc! { "index": 0, "code": 11000, "keyPattern": { "_id": 1 }, "errmsg": "E11000" };
        answer.insert("writeErrors", [met]);
        assert!(
            matches!(rejections(&answer), Err(Error::Away(_))),
            "the others of the command may be rolled back"
        );
    }

    #[test]
    fn what_the_server_says_is_told_without_the_document() {
        let geo = "Can't extract geo keys: { _id: \"17\", latitude: 52.52, longitude: 13.41 }";
        let unique = "E11000 duplicate key error collection: w.r index: place_1 dup key: { latitude: 52.52 }";
        for (code, text) in [(16_755, geo), (11_000, unique)] {
            let error =
                doc! { "index": 0, "code": code, "keyPattern": { "latitude": 1 }, "errmsg": text };
            let Why::Data(told) = one(error) else {
                panic!("it is a matter of the data")
            };
            assert!(told.starts_with(&code.to_string()), "{told}");
            assert!(!told.contains("52.52"), "{told}");
        }
    }
}
