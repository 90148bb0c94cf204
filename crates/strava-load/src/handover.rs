//! What passes between the fetching of parts, the feed of rows and the COPY.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    columns::{Change, Columns},
    rejects::{OnTypeConflict, Reject},
    survey::Pins,
};

/// What the database has to do next.
#[derive(Debug)]
pub enum Step {
    Alter(Vec<Change>),
    Rows { bytes: Bytes, rows: u64 },
    Reject(Vec<Reject>),
}

/// A file whose stored bytes are those that were promised.
#[derive(Debug)]
pub struct Fetched {
    pub load_id: i64,
    /// Loaded before, and read again only for what it says of rows that come late.
    pub again: bool,
    pub key: String,
    pub body: Bytes,
}

/// Why feeding ended before the last row.
#[derive(Debug, thiserror::Error)]
pub enum Halt {
    /// Columns turned out to be of another type than their first rows said.
    #[error("columns need another type from the beginning")]
    Restart(Pins),
    #[error("a tombstone came where none was announced")]
    Tombstone,
    #[error("unpack {key}")]
    Torn { key: String, source: std::io::Error },
    #[error(
        "{rejected} of {read} rows rejected so far, {limit} are allowed ({summary}); fix them at their source, or raise --max-rejects"
    )]
    TooManyRejects {
        rejected: u64,
        read: u64,
        limit: u64,
        summary: String,
    },
    #[error("{detail} ({key}, row {row}); --on-type-conflict is fail")]
    Conflict {
        key: String,
        row: u64,
        detail: String,
    },
    /// The other end is gone and has its own reason.
    #[error("nobody takes the rows")]
    Closed,
}

/// How much bad data is too much, and what a type conflict is.
#[derive(Clone, Debug)]
pub struct Tolerance {
    /// So many rejects are accepted.
    pub limit: u64,
    pub on_type_conflict: OnTypeConflict,
}

/// What one file amounted to.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileCount {
    pub rows_read: u64,
    pub rejected: u64,
    pub tombstones: u64,
    /// Microseconds since 2000-01-01.
    pub fetched: Option<(i64, i64)>,
}

/// All that was learnt.
#[derive(Debug)]
pub struct Fed {
    pub columns: Columns,
    pub files: BTreeMap<i64, FileCount>,
}
