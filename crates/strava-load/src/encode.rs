//! Writes each leaf of a payload straight into its column's cell, or says which column is too narrow.

use jiter::{Jiter, Peek};

use crate::{
    columns::{Columns, FIXED},
    copy::{self, ArrayWriter, Tuple},
    flatten::Leaves,
    instant::{Instant, parse_date},
    lattice::{Scalar, Type},
    reasons::Fault,
    value::{self, Checker, out_of_range},
};

/// jsonb's binary form begins with its version.
const JSONB_VERSION: u8 = 1;

/// Encodes into `tuple` in the types that `columns` has now.
#[derive(Debug)]
pub struct Encoder<'a> {
    pub columns: &'a mut Columns,
    pub tuple: &'a mut Tuple,
    pub checker: &'a mut Checker,
}

impl Leaves for Encoder<'_> {
    fn leaf(
        &mut self,
        _node: usize,
        column: Option<usize>,
        json: &mut Jiter<'_>,
        peek: Peek,
    ) -> Result<(), Fault> {
        let Some(index) = column else {
            return Err(Fault::Misfit(None));
        };
        let (column, checker) = (self.columns.at(index), &mut *self.checker);
        let (kind, wide) = (column.kind, &mut column.wide);
        let fits = self.tuple.put(FIXED.len() + index, |out| match kind {
            Type::One(kind) => scalar(out, kind, wide, json, peek),
            Type::Many(kind) if peek == Peek::Array => array(out, kind, wide, json),
            Type::Many(_) => Ok(false),
            Type::Empty | Type::Json => {
                let start = json.current_index();
                if kind == Type::Empty && !array_without_content(json, peek)? {
                    return Ok(false);
                } else if kind == Type::Json {
                    checker.any(json, peek)?;
                }
                out.push(JSONB_VERSION);
                out.extend_from_slice(json.slice_to_current(start));
                Ok(true)
            }
        })?;
        if !fits {
            return Err(Fault::Misfit(Some(index)));
        }
        column.values += 1;
        Ok(())
    }

    fn empty_object(&mut self, _node: usize, column: Option<usize>) -> Result<(), Fault> {
        match column {
            Some(index) if self.columns.at(index).kind == Type::Json => {
                self.tuple
                    .put_bytes(FIXED.len() + index, &[JSONB_VERSION, b'{', b'}']);
                self.columns.at(index).values += 1;
                Ok(())
            }
            column => Err(Fault::Misfit(column)),
        }
    }
}

/// Returns whether the column holds the value exactly; text keeps the JSON of numbers and booleans.
fn scalar(
    out: &mut Vec<u8>,
    kind: Scalar,
    wide: &mut bool,
    json: &mut Jiter<'_>,
    peek: Peek,
) -> Result<bool, Fault> {
    match (peek, kind) {
        (Peek::Array | Peek::Object, _) => return Ok(false),
        (Peek::True | Peek::False, Scalar::Boolean) => out.push(u8::from(json.known_bool(peek)?)),
        (Peek::True | Peek::False, Scalar::Text) => {
            out.extend_from_slice(if json.known_bool(peek)? {
                b"true"
            } else {
                b"false"
            });
        }
        (Peek::True | Peek::False, _) => return Ok(false),
        (Peek::String, Scalar::Text) => out.extend_from_slice(value::text(json)?.as_bytes()),
        (Peek::String, Scalar::Timestamptz) => {
            let instant = Instant::parse(value::text(json)?).filter(|instant| instant.exact);
            let Some(instant) = instant else {
                return Ok(false);
            };
            out.extend_from_slice(&instant.micros.to_be_bytes());
        }
        (Peek::String, Scalar::Date) => {
            let Some(days) = parse_date(value::text(json)?) else {
                return Ok(false);
            };
            out.extend_from_slice(&days.to_be_bytes());
        }
        (Peek::String, _) => return Ok(false),
        (_, Scalar::Text) => out.extend_from_slice(json.known_number_bytes(peek)?),
        (_, Scalar::Bigint | Scalar::Double | Scalar::Numeric) => {
            let token = json.known_number_bytes(peek)?;
            return copy::number(out, kind, token, wide).ok_or_else(out_of_range);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn array(
    out: &mut Vec<u8>,
    kind: Scalar,
    wide: &mut bool,
    json: &mut Jiter<'_>,
) -> Result<bool, Fault> {
    let mut writer = ArrayWriter::begin(out);
    let mut element = json.known_array()?;
    while let Some(peek) = element {
        if peek == Peek::Null {
            json.known_null()?;
            writer.null(out);
        } else {
            // An element that is no string would be one in text[].
            let fits = (kind == Scalar::Text) == (peek == Peek::String)
                && writer.element(out, |out| scalar(out, kind, wide, json, peek))?;
            if !fits {
                return Ok(false);
            }
        }
        element = json.array_step()?;
    }
    writer.finish(out, kind);
    Ok(true)
}

/// Reads `[]`, or nulls only, which says nothing about the type of elements either.
fn array_without_content(json: &mut Jiter<'_>, peek: Peek) -> Result<bool, Fault> {
    if peek != Peek::Array {
        return Ok(false);
    }
    let mut element = json.known_array()?;
    while let Some(peek) = element {
        if peek != Peek::Null {
            return Ok(false);
        }
        json.known_null()?;
        element = json.array_step()?;
    }
    Ok(true)
}
