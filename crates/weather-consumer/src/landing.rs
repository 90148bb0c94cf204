//! The landing's end of the arrow: readings as Parquet files that no two writers can write twice.
//!
//! A file is named by the offset of its first reading and goes on to the next boundary. Where that name
//! is taken, the file that is there stands, and this writer goes on behind its last offset. So every
//! writer begins at a boundary, a zombie too, and each offset is in one file.

mod parquet;
mod rows;
mod writer;

use common::landing::keys;
use jiff::tz::Offset;

pub use parquet::{Footer, encode, footer};
pub use rows::{NoCode, Row, Rows};
pub use writer::{ClosedFile, WRITERS, write};

/// The key of the file whose first row is `row`.
pub fn key(topic: &str, partition: i32, row: &Row) -> String {
    let date = Offset::UTC.to_datetime(row.slot()).date();
    keys::weather(date, topic, partition, row.offset)
}
