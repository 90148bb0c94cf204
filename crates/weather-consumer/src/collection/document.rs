//! A reading as a document, and the statement that stores it where nothing newer is.

use std::sync::LazyLock;

use common::weather::{Decimal, Message, VALUES, VERSION};
use mongodb::bson::{
    DateTime, RawArrayBuf, RawBson, RawDocument, RawDocumentBuf,
    raw::{CStr, CString, cstr},
};
use serde_json::Value;

use super::Error;
use crate::record::Place;

/// What a server takes as one document, in bytes.
const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// Names that a field we do not know cannot have: they are ours.
const OURS: [&str; 2] = ["_id", "record"];

/// The value that is a number of a code table, and not of a measurement.
const WEATHER_CODE: &str = "weather_code";

/// Why a message cannot become a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("{0} bytes as a document, MongoDB takes {MAX_DOCUMENT_BYTES}")]
    TooLarge(usize),
    #[error("the field {0} cannot be kept: {1}")]
    Field(String, &'static str),
}

/// Bytes of nearly every document: it is not moved while it grows.
const USUAL_BYTES: usize = 640;

/// The names of the values, as documents have them.
static VALUE_KEYS: LazyLock<[CString; VALUES.len()]> =
    LazyLock::new(|| VALUES.map(|name| key(name).expect("our own names have no U+0000")));

/// The statement of an `update` command: replaces an older document of this event, or adds it.
///
/// Where a newer one is there, the filter finds nothing, the insert that follows meets its id, and the
/// server answers with a duplicate key.
pub(super) fn upsert(document: &RawDocument) -> Result<RawDocumentBuf, Error> {
    let field = |name: &'static CStr| {
        let found = document.get(name.as_str());
        let found = found.map_err(|error| Error::Data(error.to_string()))?;
        found.ok_or_else(|| Error::Data(format!("the document has no {}", name.as_str())))
    };
    let mut older = RawDocumentBuf::new();
    older.append(cstr!("$lt"), field(cstr!("fetched_at"))?);
    let mut filter = RawDocumentBuf::new();
    filter.append(cstr!("_id"), field(cstr!("_id"))?);
    filter.append(cstr!("fetched_at"), older);

    let mut statement = RawDocumentBuf::new();
    statement.append(cstr!("q"), filter);
    statement.append(cstr!("u"), document);
    statement.append(cstr!("upsert"), true);
    Ok(statement)
}

/// A reading as it is kept.
///
/// # Errors
/// A document of MongoDB cannot hold it.
pub fn document(message: &Message<'_>, topic: &str, place: Place) -> Result<RawDocumentBuf, Unfit> {
    let mut document = with_room(USUAL_BYTES);
    document.append(cstr!("_id"), message.event_id.as_ref());
    document.append(cstr!("version"), i64::try_from(VERSION).unwrap_or(i64::MAX));
    document.append(cstr!("location_id"), message.location_id.as_ref());
    document.append(cstr!("latitude"), message.latitude.as_f64());
    document.append(cstr!("longitude"), message.longitude.as_f64());
    append(
        &mut document,
        cstr!("elevation_metres"),
        message.elevation_metres.as_ref(),
    );
    document.append(
        cstr!("slot"),
        DateTime::from_millis(message.slot.as_millisecond()),
    );
    document.append(cstr!("slot_seconds"), i64::from(message.slot_seconds));
    document.append(cstr!("source"), message.source.as_str());
    document.append(cstr!("model"), message.model.as_ref());
    document.append(
        cstr!("fetched_at"),
        DateTime::from_millis(message.fetched_at.as_millisecond()),
    );
    for (name, value) in std::iter::zip(&*VALUE_KEYS, &message.values) {
        let code = value
            .as_ref()
            .filter(|_| name.as_str() == WEATHER_CODE)
            .and_then(|value| value.as_str().parse::<i32>().ok());
        match code {
            Some(code) => document.append(name, code),
            None => append(&mut document, name, value.as_ref()),
        }
    }
    for (name, json) in &message.extra.0 {
        if OURS.contains(&name.as_ref()) {
            return Err(Unfit::Field(
                name.to_string(),
                "the name is the collection's own",
            ));
        }
        // Valid JSON, since the message was read.
        let value: Value = serde_json::from_str(json.get())
            .map_err(|_| Unfit::Field(name.to_string(), "it is nested too deep"))?;
        document.append(&key(name)?, bson(value)?);
    }
    document.append(cstr!("record"), provenance(topic, place));
    let length = document.as_bytes().len();
    if length > MAX_DOCUMENT_BYTES {
        Err(Unfit::TooLarge(length))
    } else {
        Ok(document)
    }
}

/// An empty document that need not be moved until it has so many bytes.
fn with_room(bytes: usize) -> RawDocumentBuf {
    let mut data = Vec::with_capacity(bytes);
    data.extend_from_slice(RawDocumentBuf::new().as_bytes());
    RawDocumentBuf::from_bytes(data).unwrap_or_default()
}

/// Where on the topic it came from.
fn provenance(topic: &str, place: Place) -> RawDocumentBuf {
    let mut record = RawDocumentBuf::new();
    record.append(cstr!("topic"), topic);
    record.append(cstr!("partition"), place.partition);
    record.append(cstr!("offset"), place.offset);
    match place.timestamp {
        Some(millis) => record.append(cstr!("timestamp"), DateTime::from_millis(millis)),
        None => record.append(cstr!("timestamp"), RawBson::Null),
    }
    record
}

fn append(document: &mut RawDocumentBuf, name: &CStr, value: Option<&Decimal<'_>>) {
    match value {
        Some(value) => document.append(name, value.as_f64()),
        None => document.append(name, RawBson::Null),
    }
}

fn key(name: &str) -> Result<CString, Unfit> {
    CString::try_from(name)
        .map_err(|_| Unfit::Field(name.escape_debug().to_string(), "its name holds U+0000"))
}

/// JSON as it is: no extended JSON, so that `{"$oid": …}` stays an object.
fn bson(value: Value) -> Result<RawBson, Unfit> {
    Ok(match value {
        Value::Null => RawBson::Null,
        Value::Bool(truth) => RawBson::Boolean(truth),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => RawBson::Int64(whole),
            (None, Some(double)) => RawBson::Double(double),
            (None, None) => RawBson::String(number.to_string()),
        },
        Value::String(text) => RawBson::String(text),
        Value::Array(values) => {
            let mut array = RawArrayBuf::new();
            for value in values {
                array.push(bson(value)?);
            }
            RawBson::Array(array)
        }
        Value::Object(fields) => {
            let mut document = RawDocumentBuf::new();
            for (name, value) in fields {
                document.append(&key(&name)?, bson(value)?);
            }
            RawBson::Document(document)
        }
    })
}
