//! Rows of a Parquet file in the types of its schema: readings of the weather, as `weather-consumer` landed
//! them.

use std::{fmt::Display, io};

use arrow_array::{
    Array, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, cast::AsArray as _,
};
use arrow_schema::{DataType, Schema, TimeUnit};
use bytes::Bytes;
use common::landing::hex;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Feed;
use crate::{
    columns::FIXED,
    handover::{Halt, Step},
    instant::EPOCH_MICROS,
    lattice::{Scalar, Type},
    reasons::Reason,
    rows::Source,
    tree::ROOT,
};

/// How the name of a Parquet file ends.
pub(super) const ENDING: &str = ".parquet";

/// So many rows are unpacked at a time.
const BATCH: usize = 1_024;

/// Fields that say which reading a row is, where it came from, and when it was fetched.
const ID: &str = "event_id";
const ORIGIN: &str = "source";
const FETCHED_AT: &str = "fetched_at";
/// In the footer: how many rows the writer put into the file.
const ROW_COUNT: &str = "row_count";

impl Feed {
    /// Feeds every row of the file; a file that is not what it says halts, and nothing of it counts.
    pub(super) fn parquet(&mut self, body: Bytes, source: &Source<'_>) -> Result<(), Halt> {
        let file = ParquetRecordBatchReaderBuilder::try_new(body).map_err(torn(source))?;
        let footer = file.metadata().file_metadata();
        let entries = footer.key_value_metadata().into_iter().flatten();
        let promised = entries
            .filter(|entry| entry.key == ROW_COUNT)
            .find_map(|entry| entry.value.as_deref()?.parse::<u64>().ok());
        let places = self.places(file.schema(), source)?;
        let mut row = 0;
        for batch in file.with_batch_size(BATCH).build().map_err(torn(source))? {
            let batch = batch.map_err(torn(source))?;
            let fields = fields(&batch, &places).map_err(torn(source))?;
            for index in 0..batch.num_rows() {
                row += 1;
                match self.reading(&fields, index) {
                    Ok(()) => self.take_tuple(row, source),
                    Err((reason, detail)) => {
                        let raw = raw(&fields, index).to_string();
                        self.reject(raw.as_bytes(), row, reason, detail, source)?;
                    }
                }
                if self.piece.len() >= super::PIECE_BYTES {
                    self.send_rows()?;
                }
            }
        }
        if promised.is_some_and(|promised| promised != row) {
            return Err(torn(source)(format!(
                "it has {row} rows, its footer promises {}",
                promised.unwrap_or_default()
            )));
        }
        self.files.entry(source.load_id).or_default().rows_read += row;
        self.read += row;
        Ok(())
    }

    /// The column of each field, made where it is new.
    fn places(&mut self, schema: &Schema, source: &Source<'_>) -> Result<Vec<usize>, Halt> {
        let (mut places, mut changes) = (Vec::new(), Vec::new());
        for field in schema.fields() {
            let name = field.name();
            let wrong = |what: String| torn(source)(format!("column {name} {what}"));
            let kind = kind(field.data_type())
                .ok_or_else(|| wrong(format!("is {}, which is not read", field.data_type())))?;
            let node = self
                .tree
                .child(ROOT, name)
                .ok_or_else(|| wrong("is one too many".to_owned()))?;
            let column = match self.tree.column(node) {
                Some(known) if self.columns.at(known).kind == kind => known,
                Some(known) => {
                    let kept = self.columns.at(known).kind;
                    return Err(wrong(format!("is {kind} there and {kept} in the table")));
                }
                None => {
                    let added = self.columns.add(&[name], kind, &mut changes);
                    self.tree.set_column(node, added);
                    added
                }
            };
            places.push(column);
        }
        if !changes.is_empty() {
            self.send_rows()?;
            self.send(Step::Alter(changes))?;
        }
        Ok(places)
    }

    /// Puts one reading into the tuple in hand, its words into the envelope.
    fn reading(&mut self, fields: &[Field<'_>], index: usize) -> Result<(), (Reason, String)> {
        self.tuple.begin(FIXED.len() + self.columns.len());
        let (mut id, mut origin, mut fetched_at) = (None, None, None);
        let mut content = Sha256::new();
        let mut number = [0; 8];
        for field in fields {
            let Some(bytes) = field.cells.binary(index, &mut number) else {
                continue;
            };
            if bytes.contains(&0) && matches!(field.cells, Cells::Text(_)) {
                return Err((Reason::Nul, format!("{} has U+0000", field.name)));
            }
            self.tuple.put_bytes(FIXED.len() + field.column, bytes);
            if field.is_content() {
                content.update(field.name);
                content.update((bytes.len() as u64).to_be_bytes());
                content.update(bytes);
            }
            match (field.name, &field.cells) {
                (ID, Cells::Text(texts)) => id = Some(texts.value(index)),
                (ORIGIN, Cells::Text(texts)) => origin = Some(texts.value(index)),
                (FETCHED_AT, cells) => fetched_at = cells.micros(index),
                _ => {}
            }
        }
        let missing = |name: &str| (Reason::MissingKey, format!("no {name}"));
        self.envelope.set(
            self.stream,
            id.ok_or_else(|| missing(ID))?,
            origin.ok_or_else(|| missing(ORIGIN))?,
            &hex(&content.finalize()),
            fetched_at.ok_or_else(|| missing(FETCHED_AT))?,
        );
        Ok(())
    }
}

fn torn<E: Display>(source: &Source<'_>) -> impl Fn(E) -> Halt {
    let key = source.file.to_owned();
    move |error| Halt::Torn {
        key: key.clone(),
        source: io::Error::other(error.to_string()),
    }
}

/// One field of a batch, and the column that it goes to.
struct Field<'b> {
    name: &'b str,
    column: usize,
    cells: Cells<'b>,
}

impl Field<'_> {
    /// When a reading was fetched, and where Kafka had it, says nothing about the weather: a row that
    /// differs in nothing else is unchanged.
    fn is_content(&self) -> bool {
        self.name != FETCHED_AT && !self.name.starts_with('_')
    }
}

/// The values of a field, by the type that they are stored in.
enum Cells<'b> {
    Boolean(&'b BooleanArray),
    Integer(&'b Int32Array),
    Bigint(&'b Int64Array),
    Double(&'b Float64Array),
    Text(&'b StringArray),
    Millis(&'b TimestampMillisecondArray),
    Micros(&'b TimestampMicrosecondArray),
}

fn kind(data_type: &DataType) -> Option<Type> {
    Some(Type::One(match data_type {
        DataType::Boolean => Scalar::Boolean,
        DataType::Int32 | DataType::Int64 => Scalar::Bigint,
        DataType::Float64 => Scalar::Double,
        DataType::Utf8 => Scalar::Text,
        DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond, Some(_)) => {
            Scalar::Timestamptz
        }
        _ => return None,
    }))
}

fn fields<'b>(batch: &'b RecordBatch, places: &[usize]) -> Result<Vec<Field<'b>>, String> {
    let schema = batch.schema_ref();
    let columns = schema.fields().iter().zip(batch.columns()).zip(places);
    columns
        .map(|((field, array), place)| {
            Ok(Field {
                name: field.name(),
                column: *place,
                cells: Cells::of(array)
                    .ok_or_else(|| format!("column {} is not read", field.name()))?,
            })
        })
        .collect()
}

impl<'b> Cells<'b> {
    fn of(array: &'b dyn Array) -> Option<Cells<'b>> {
        Some(match array.data_type() {
            DataType::Boolean => Cells::Boolean(array.as_boolean()),
            DataType::Int32 => Cells::Integer(array.as_primitive()),
            DataType::Int64 => Cells::Bigint(array.as_primitive()),
            DataType::Float64 => Cells::Double(array.as_primitive()),
            DataType::Utf8 => Cells::Text(array.as_string()),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Cells::Millis(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Cells::Micros(array.as_primitive()),
            _ => return None,
        })
    }

    fn array(&self) -> &'b dyn Array {
        match *self {
            Cells::Boolean(array) => array,
            Cells::Integer(array) => array,
            Cells::Bigint(array) => array,
            Cells::Double(array) => array,
            Cells::Text(array) => array,
            Cells::Millis(array) => array,
            Cells::Micros(array) => array,
        }
    }

    /// The value as COPY takes it, in `number` where it is one; `None` for null.
    fn binary<'n>(&self, index: usize, number: &'n mut [u8; 8]) -> Option<&'n [u8]>
    where
        'b: 'n,
    {
        if self.array().is_null(index) {
            return None;
        }
        *number = match *self {
            Cells::Text(array) => return Some(array.value(index).as_bytes()),
            Cells::Boolean(array) => {
                number[0] = u8::from(array.value(index));
                return Some(&number[..1]);
            }
            Cells::Integer(array) => i64::from(array.value(index)).to_be_bytes(),
            Cells::Bigint(array) => array.value(index).to_be_bytes(),
            Cells::Double(array) => array.value(index).to_be_bytes(),
            Cells::Millis(_) | Cells::Micros(_) => self.micros(index)?.to_be_bytes(),
        };
        Some(number)
    }

    /// Of a time: microseconds since 2000-01-01.
    fn micros(&self, index: usize) -> Option<i64> {
        match *self {
            Cells::Millis(array) if array.is_valid(index) => array
                .value(index)
                .checked_mul(1_000)?
                .checked_sub(EPOCH_MICROS),
            Cells::Micros(array) if array.is_valid(index) => {
                array.value(index).checked_sub(EPOCH_MICROS)
            }
            _ => None,
        }
    }
}

/// A row as a person can read it among the rejects.
fn raw(fields: &[Field<'_>], index: usize) -> Value {
    let value = |cells: &Cells<'_>| match *cells {
        _ if cells.array().is_null(index) => Value::Null,
        Cells::Boolean(array) => json!(array.value(index)),
        Cells::Integer(array) => json!(array.value(index)),
        Cells::Bigint(array) => json!(array.value(index)),
        Cells::Double(array) => json!(array.value(index)),
        Cells::Text(array) => json!(array.value(index)),
        Cells::Millis(_) | Cells::Micros(_) => cells
            .micros(index)
            .and_then(|micros| jiff::Timestamp::from_microsecond(micros + EPOCH_MICROS).ok())
            .map_or(Value::Null, |time| json!(time.to_string())),
    };
    let members = fields
        .iter()
        .map(|field| (field.name.to_owned(), value(&field.cells)));
    Value::Object(members.collect::<Map<_, _>>())
}
