//! A landed line: the envelope's fields into the fixed columns, its payload to the leaves.

use jiter::{Jiter, Peek};
use sha2::{Digest as _, Sha256};

use crate::{
    copy::Tuple,
    flatten::{self, Leaves},
    instant::Instant,
    reasons::{Fault, Reason},
    tree::Tree,
    value::{self, Checker},
};

/// The envelope of one line; kept from line to line for its buffers.
#[derive(Debug, Default)]
pub struct Envelope {
    stream: String,
    id: String,
    athlete_id: String,
    origin: String,
    hash: String,
    fetched_at: Option<i64>,
    deleted: Option<bool>,
    payload: bool,
    /// Bytes that the parser reuses for strings with escapes.
    tape: Vec<u8>,
}

/// What all rows of a part have in common.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    pub stream: &'a str,
    pub load_id: i64,
    pub file: &'a str,
    /// Microseconds since 2000-01-01, as [`Instant`].
    pub loaded_at: i64,
    /// Loaded before: what is wrong with its rows is known.
    pub again: bool,
}

impl Envelope {
    /// Reads a line; its payload goes to `leaves`. `row` tells this reading from the one before.
    pub fn read<L: Leaves>(
        &mut self,
        line: &[u8],
        stream: &str,
        tree: &mut Tree,
        row: u64,
        leaves: &mut L,
    ) -> Result<(), Fault> {
        if let Err(error) = std::str::from_utf8(line) {
            return Err(Fault::reject(
                Reason::NotUtf8,
                format!("at byte {}", error.valid_up_to()),
            ));
        }
        for text in [
            &mut self.stream,
            &mut self.id,
            &mut self.athlete_id,
            &mut self.origin,
            &mut self.hash,
        ] {
            text.clear();
        }
        (self.fetched_at, self.deleted, self.payload) = (None, None, false);
        let mut json = Jiter::with_tape(line, std::mem::take(&mut self.tape));
        let read = self.fields(&mut json, tree, row, leaves);
        self.tape = json.into_tape();
        read?;
        self.check(stream)
    }

    /// Takes the words of a row that came without an envelope: nobody's, and there.
    pub fn set(&mut self, stream: &str, id: &str, origin: &str, hash: &str, fetched_at: i64) {
        for (text, value) in [
            (&mut self.stream, stream),
            (&mut self.id, id),
            (&mut self.athlete_id, ""),
            (&mut self.origin, origin),
            (&mut self.hash, hash),
        ] {
            text.clear();
            text.push_str(value);
        }
        (self.fetched_at, self.deleted, self.payload) = (Some(fetched_at), Some(false), true);
    }

    fn fields<L: Leaves>(
        &mut self,
        json: &mut Jiter<'_>,
        tree: &mut Tree,
        row: u64,
        leaves: &mut L,
    ) -> Result<(), Fault> {
        if json.peek()? != Peek::Object {
            Checker::default().any_of_line(json)?;
            return Err(Fault::reject(
                Reason::NotObject,
                "the line is JSON, but no object",
            ));
        }
        let mut key = json.known_object()?;
        while let Some(name) = key {
            let field = Field::named(name);
            let peek = json.peek()?;
            match field {
                Some(Field::Payload) if self.payload => return Err(twice("payload")),
                Some(Field::Payload) => {
                    self.payload = true;
                    flatten::payload(json, peek, tree, row, leaves)?;
                }
                Some(field) => self.field(field, json, peek)?,
                None => json.known_skip(peek)?,
            }
            key = json.next_key()?;
        }
        Ok(json.finish()?)
    }

    fn field(&mut self, field: Field, json: &mut Jiter<'_>, peek: Peek) -> Result<(), Fault> {
        let wrong = |name: &str| {
            Err(Fault::reject(
                Reason::Envelope,
                format!("{name} is of another type"),
            ))
        };
        let text = match field {
            Field::Deleted => {
                if !matches!(peek, Peek::True | Peek::False) {
                    return wrong("deleted");
                }
                self.deleted = Some(json.known_bool(peek)?);
                return Ok(());
            }
            Field::FetchedAt => {
                if peek != Peek::String {
                    return wrong("fetched_at");
                }
                let Some(instant) = Instant::parse(value::text(json)?) else {
                    return Err(Fault::reject(
                        Reason::Envelope,
                        "fetched_at is no time with an offset",
                    ));
                };
                self.fetched_at = Some(instant.micros);
                return Ok(());
            }
            Field::Stream => &mut self.stream,
            Field::Id => &mut self.id,
            Field::AthleteId => &mut self.athlete_id,
            Field::Origin => &mut self.origin,
            Field::Hash => &mut self.hash,
            Field::Payload => return Ok(()),
        };
        match peek {
            Peek::String => text.push_str(value::text(json)?),
            Peek::Null => json.known_null()?,
            _ => return wrong(field.name()),
        }
        Ok(())
    }

    fn check(&self, stream: &str) -> Result<(), Fault> {
        for (field, text) in [
            (Field::Id, &self.id),
            (Field::AthleteId, &self.athlete_id),
            (Field::Origin, &self.origin),
        ] {
            if text.is_empty() {
                return Err(Fault::reject(
                    Reason::MissingKey,
                    format!("no {}", field.name()),
                ));
            }
        }
        let missing = |name: &str| Err(Fault::reject(Reason::Envelope, format!("no {name}")));
        match self {
            Envelope { stream: theirs, .. } if theirs != stream => Err(Fault::reject(
                Reason::Envelope,
                "of another stream than its part",
            )),
            Envelope {
                fetched_at: None, ..
            } => missing("fetched_at"),
            Envelope { deleted: None, .. } => missing("deleted"),
            Envelope { hash, .. } if hash.is_empty() => missing("hash"),
            Envelope { payload: false, .. } => missing("payload"),
            _ => Ok(()),
        }
    }

    pub fn is_tombstone(&self) -> bool {
        self.deleted == Some(true)
    }

    /// Microseconds since 2000-01-01.
    pub fn fetched_at(&self) -> i64 {
        self.fetched_at.unwrap_or_default()
    }

    /// Writes the fixed columns, in the order of [`crate::columns::FIXED`].
    pub fn write(&self, tuple: &mut Tuple, source: &Source<'_>, source_row: u64) {
        let deleted = self.is_tombstone();
        tuple.put_bytes(0, self.stream.as_bytes());
        tuple.put_bytes(1, self.id.as_bytes());
        if !self.athlete_id.is_empty() {
            tuple.put_bytes(2, self.athlete_id.as_bytes());
        }
        tuple.put_bytes(3, &self.fetched_at().to_be_bytes());
        tuple.put_bytes(4, self.origin.as_bytes());
        tuple.put_bytes(5, &row_hash(&self.hash, deleted).to_be_bytes());
        tuple.put_bytes(6, &[u8::from(deleted)]);
        tuple.put_bytes(7, &source.load_id.to_be_bytes());
        tuple.put_bytes(8, source.file.as_bytes());
        tuple.put_bytes(9, &source_row.to_be_bytes());
        tuple.put_bytes(10, &source.loaded_at.to_be_bytes());
    }
}

/// The first 8 bytes of SHA-256 over the envelope's hash and whether it is a tombstone.
pub fn row_hash(hash: &str, deleted: bool) -> i64 {
    let digest = Sha256::new()
        .chain_update(hash)
        .chain_update([u8::from(deleted)])
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Stream,
    Id,
    AthleteId,
    FetchedAt,
    Origin,
    Hash,
    Deleted,
    Payload,
}

impl Field {
    const ALL: [Field; 8] = [
        Field::Stream,
        Field::Id,
        Field::AthleteId,
        Field::FetchedAt,
        Field::Origin,
        Field::Hash,
        Field::Deleted,
        Field::Payload,
    ];

    fn name(self) -> &'static str {
        match self {
            Field::Stream => "stream",
            Field::Id => "id",
            Field::AthleteId => "athlete_id",
            Field::FetchedAt => "fetched_at",
            Field::Origin => "origin",
            Field::Hash => "hash",
            Field::Deleted => "deleted",
            Field::Payload => "payload",
        }
    }

    fn named(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }
}

fn twice(name: &str) -> Fault {
    Fault::reject(Reason::DuplicateKey, format!("{name} comes twice"))
}
