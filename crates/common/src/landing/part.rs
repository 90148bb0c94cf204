//! Parts: envelopes as compressed JSON lines under a name made of their content.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zstd::Encoder;

use super::{Envelope, RunId, Stream, keys, sha256_hex};

/// A part closes at this size, as stored.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// A part closes with this many rows.
const MAX_ROWS: u64 = 1000;
/// A part closes this long after its first row: what was fetched is soon safe.
const MAX_AGE: Duration = Duration::from_secs(60);
/// zstd's own default.
const LEVEL: i32 = 3;

/// A landed part as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The full key below the landing URL.
    pub key: String,
    /// How many envelopes it holds.
    pub rows: u64,
    /// Size of the stored object.
    pub bytes: u64,
    /// SHA-256 of the stored object, 64 hex digits.
    pub sha256: String,
}

/// A part that is ready to be put.
#[derive(Clone, Debug)]
pub struct FinishedPart {
    /// Its name and checksums.
    pub part: Part,
    /// How many of its rows are tombstones.
    pub deleted: u64,
    /// What to store under [`Part::key`].
    pub body: Bytes,
}

/// Collects envelopes of one stream and athlete into one part, compressed as they come.
///
/// The same envelopes in the same order make the same bytes and so the same key.
pub struct PartWriter {
    stream: Stream,
    athlete_id: String,
    run_id: RunId,
    lines: Encoder<'static, Vec<u8>>,
    rows: u64,
    deleted: u64,
    since: Option<Instant>,
}

impl PartWriter {
    /// An empty part.
    ///
    /// # Errors
    /// When zstd has no memory for its state.
    pub fn new(stream: Stream, athlete_id: &str, run_id: &RunId) -> io::Result<Self> {
        Ok(Self {
            stream,
            athlete_id: athlete_id.to_owned(),
            run_id: run_id.clone(),
            lines: Encoder::new(Vec::new(), LEVEL)?,
            rows: 0,
            deleted: 0,
            since: None,
        })
    }

    /// Adds one envelope.
    ///
    /// # Errors
    /// When the compressor fails, which a writer in memory does not.
    pub fn push(&mut self, envelope: &Envelope<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(envelope)?;
        // White space between tokens is the sender's; a line break there would end the line. In a
        // string JSON has none.
        line.iter_mut()
            .filter(|byte| matches!(byte, b'\n' | b'\r'))
            .for_each(|byte| *byte = b' ');
        line.push(b'\n');
        self.lines.write_all(&line)?;
        self.rows += 1;
        self.deleted += u64::from(envelope.deleted);
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether it is time to [`finish`](Self::finish): 8 MiB as stored, 1,000 rows, or 60 s since the first row.
    pub fn is_full(&self) -> bool {
        self.rows >= MAX_ROWS
            || self.lines.get_ref().len() >= MAX_BYTES
            || self.since.is_some_and(|since| since.elapsed() >= MAX_AGE)
    }

    /// Closes the part and names it.
    ///
    /// # Errors
    /// When the compressor fails, which a writer in memory does not.
    pub fn finish(self) -> io::Result<FinishedPart> {
        let body = Bytes::from(self.lines.finish()?);
        let sha256 = sha256_hex(&body);
        let key = keys::part(self.stream, &self.athlete_id, &self.run_id, &sha256);
        let part = Part {
            key,
            rows: self.rows,
            bytes: body.len() as u64,
            sha256,
        };
        Ok(FinishedPart {
            part,
            deleted: self.deleted,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::value::RawValue;

    use super::*;
    use crate::landing::Origin;

    fn writer() -> PartWriter {
        PartWriter::new(Stream::Activities, "42", &"2026-11-24".parse().unwrap()).unwrap()
    }

    fn envelope<'a>(id: &'a str, payload: &'a RawValue) -> Envelope<'a> {
        Envelope::new(
            Stream::Activities,
            id,
            "42",
            Timestamp::UNIX_EPOCH,
            Origin::Api,
            payload,
        )
    }

    #[test]
    fn the_same_rows_make_the_same_part() {
        let payload = RawValue::from_string("{\"a\":\r\n 1.0,\n\"b\":\"\\n\"}".to_owned()).unwrap();
        let make = || {
            let mut part = writer();
            part.push(&envelope("1", &payload)).unwrap();
            part.push(&Envelope::tombstone(
                Stream::Activities,
                "2",
                "42",
                Timestamp::UNIX_EPOCH,
                Origin::Api,
            ))
            .unwrap();
            part.finish().unwrap()
        };
        let part = make();
        assert_eq!(part.part, make().part);
        assert_eq!(
            (part.part.rows, part.deleted, part.part.bytes),
            (2, 1, part.body.len() as u64)
        );
        assert_eq!(part.part.sha256, sha256_hex(&part.body));
        let text = String::from_utf8(zstd::decode_all(&part.body[..]).unwrap()).unwrap();
        let lines: Vec<Envelope<'_>> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(hash_of(lines[0].payload), envelope("1", &payload).hash);
    }

    fn hash_of(payload: &RawValue) -> String {
        crate::landing::hash(payload)
    }

    #[test]
    fn a_part_is_full_by_rows_and_by_stored_bytes() {
        let payload = RawValue::from_string("1".to_owned()).unwrap();
        let mut by_rows = writer();
        for row in 0..MAX_ROWS {
            assert!(!by_rows.is_full());
            by_rows.push(&envelope(&row.to_string(), &payload)).unwrap();
        }
        assert!(by_rows.is_full());

        let noise: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(3 * MAX_BYTES / 4)
            .collect();
        let noise = RawValue::from_string(format!("\"{noise}\"")).unwrap();
        let mut by_bytes = writer();
        by_bytes.push(&envelope("1", &noise)).unwrap();
        assert!(!by_bytes.is_full());
        by_bytes.push(&envelope("2", &noise)).unwrap();
        assert!(by_bytes.is_full());
    }
}
