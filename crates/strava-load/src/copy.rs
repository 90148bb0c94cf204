//! PostgreSQL's binary COPY format: the stream's frame, its tuples and the values in them.

use crate::{
    lattice::Scalar,
    number::{Decimal, Number},
};

/// Signature, flags, length of the header extension.
pub const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub const TRAILER: &[u8] = &[0xff, 0xff];

const NULL: (u32, u32) = (0, u32::MAX);

/// One row: its values as they came, put into the table's order at the end.
#[derive(Debug, Default)]
pub struct Tuple {
    bytes: Vec<u8>,
    cells: Vec<(u32, u32)>,
}

impl Tuple {
    /// Begins a row of so many columns, all null.
    pub fn begin(&mut self, columns: usize) {
        self.bytes.clear();
        self.cells.clear();
        self.cells.resize(columns, NULL);
    }

    /// Writes the value of a column; `write` appends its binary form.
    pub fn put<T, E>(
        &mut self,
        column: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes)?;
        let length = self.bytes.len() - start;
        self.cells[column] = (start as u32, length as u32);
        Ok(written)
    }

    pub fn put_bytes(&mut self, column: usize, value: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.cells[column] = (start, value.len() as u32);
    }

    /// Appends the row to the stream.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(2 + 4 * self.cells.len() + self.bytes.len());
        out.extend_from_slice(&(self.cells.len() as i16).to_be_bytes());
        for &(start, length) in &self.cells {
            if length == u32::MAX {
                out.extend_from_slice(&(-1_i32).to_be_bytes());
            } else {
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&self.bytes[start as usize..(start + length) as usize]);
            }
        }
    }
}

/// Writes a number into a column of numbers; false when the column does not hold it exactly.
pub fn number(out: &mut Vec<u8>, kind: Scalar, token: &[u8], wide: &mut bool) -> Option<bool> {
    let number = Number::read(token);
    let seen = number.seen()?;
    match (kind, number) {
        (Scalar::Bigint, Number::Integer(value)) => {
            *wide |= seen == crate::lattice::Seen::WIDE_INTEGER;
            out.extend_from_slice(&value.to_be_bytes());
        }
        (Scalar::Double, Number::Integer(value)) if seen == crate::lattice::Seen::INTEGER => {
            out.extend_from_slice(&(value as f64).to_be_bytes());
        }
        (Scalar::Double, Number::Double(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (Scalar::Numeric, _) => Decimal::read(token).put_numeric(out),
        _ => return Some(false),
    }
    Some(true)
}

/// Writes an array of one dimension; `elements` calls back for each element, `None` for null.
#[derive(Debug)]
pub struct ArrayWriter {
    start: usize,
    length: i32,
    nulls: bool,
}

impl ArrayWriter {
    const HEADER: usize = 20;

    pub fn begin(out: &mut Vec<u8>) -> ArrayWriter {
        let start = out.len();
        out.extend_from_slice(&[0; ArrayWriter::HEADER]);
        ArrayWriter {
            start,
            length: 0,
            nulls: false,
        }
    }

    pub fn null(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        self.nulls = true;
        self.length += 1;
    }

    pub fn element<T, E>(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        let written = write(out)?;
        let length = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        self.length += 1;
        Ok(written)
    }

    pub fn finish(self, out: &mut Vec<u8>, kind: Scalar) {
        let dimensions: i32 = if self.length == 0 { 0 } else { 1 };
        let header = &mut out[self.start..self.start + ArrayWriter::HEADER];
        header[0..4].copy_from_slice(&dimensions.to_be_bytes());
        header[4..8].copy_from_slice(&i32::from(self.nulls).to_be_bytes());
        header[8..12].copy_from_slice(&kind.oid().to_be_bytes());
        header[12..16].copy_from_slice(&self.length.to_be_bytes());
        header[16..20].copy_from_slice(&1_i32.to_be_bytes());
        if dimensions == 0 {
            out.truncate(self.start + 12);
        }
    }
}
