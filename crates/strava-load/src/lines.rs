//! A part's stored bytes as lines: unpacked by its magic bytes, cut into batches, never held whole.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    ops::Range,
};

use bytes::Bytes;

/// A longer line is set aside; more would not fit a field in PostgreSQL by much.
pub const LONGEST: usize = 64 << 20;
/// So much of a line that is too long is kept with the reject.
const KEPT_OF_TOO_LONG: usize = 64 << 10;
/// A batch is looked at a second time when one of its rows does not fit.
const BATCH_ROWS: usize = 1_000;
const BATCH_BYTES: usize = 4 << 20;
/// Windows of our own parts are smaller; a larger one would cost memory that nobody planned for.
const WINDOW_LOG_MAX: u32 = 25;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub type Unpacked = BufReader<Box<dyn Read + Send>>;

/// Unpacks zstd and gzip, whatever the key says.
pub fn unpack(stored: Bytes) -> io::Result<Unpacked> {
    let reader: Box<dyn Read + Send> = if stored.starts_with(&ZSTD) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(Cursor::new(stored))?;
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        Box::new(decoder)
    } else if stored.starts_with(&GZIP) {
        Box::new(flate2::bufread::MultiGzDecoder::new(Cursor::new(stored)))
    } else {
        Box::new(Cursor::new(stored))
    };
    Ok(BufReader::with_capacity(128 << 10, reader))
}

/// Some lines, without their ends, blank ones left out.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    range: Range<usize>,
    /// Counted from 1, blank lines too, as an editor counts.
    number: u64,
    /// The length of a line of which only the beginning is here.
    too_long: Option<usize>,
}

/// Where in a part the next batch begins.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(reader: R) -> Lines<R> {
        Lines { reader, number: 0 }
    }

    /// Fills `batch`; false at the end.
    pub fn next_batch(&mut self, batch: &mut Batch) -> io::Result<bool> {
        batch.bytes.clear();
        batch.lines.clear();
        if batch.bytes.capacity() > 2 * BATCH_BYTES {
            batch.bytes.shrink_to(BATCH_BYTES);
        }
        while batch.lines.len() < BATCH_ROWS && batch.bytes.len() < BATCH_BYTES {
            let start = batch.bytes.len();
            let Some(length) = self.next_line(&mut batch.bytes)? else {
                break;
            };
            self.number += 1;
            let mut range = start..batch.bytes.len();
            if self.number == 1 && batch.bytes[range.clone()].starts_with(BYTE_ORDER_MARK) {
                range.start += BYTE_ORDER_MARK.len();
            }
            if batch.bytes[range.clone()]
                .iter()
                .all(u8::is_ascii_whitespace)
            {
                batch.bytes.truncate(start);
                continue;
            }
            let too_long = (length > LONGEST).then_some(length);
            batch.lines.push(Line {
                range,
                number: self.number,
                too_long,
            });
        }
        Ok(!batch.is_empty())
    }

    /// Appends the next line without its end and returns its whole length.
    fn next_line(&mut self, out: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let start = out.len();
        let mut length = 0;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let end = memchr::memchr(b'\n', available);
            let taken = &available[..end.unwrap_or(available.len())];
            length += taken.len();
            if length <= LONGEST {
                out.extend_from_slice(taken);
            } else {
                out.truncate(start + KEPT_OF_TOO_LONG.min(out.len() - start));
            }
            let consumed = taken.len() + usize::from(end.is_some());
            self.reader.consume(consumed);
            if end.is_some() {
                if out.len() > start && out.last() == Some(&b'\r') {
                    out.pop();
                }
                return Ok(Some(length));
            }
        }
        Ok((length > 0).then_some(length))
    }
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The line at `index`: its bytes, its number, and its length where it is too long to be whole.
    pub fn line(&self, index: usize) -> (&[u8], u64, Option<usize>) {
        let line = &self.lines[index];
        (&self.bytes[line.range.clone()], line.number, line.too_long)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn lines(stored: Vec<u8>) -> Vec<(String, u64)> {
        let mut lines = Lines::new(unpack(Bytes::from(stored)).unwrap());
        let (mut batch, mut all) = (Batch::default(), Vec::new());
        while lines.next_batch(&mut batch).unwrap() {
            for index in 0..batch.len() {
                let (line, number, _) = batch.line(index);
                all.push((String::from_utf8_lossy(line).into_owned(), number));
            }
        }
        all
    }

    #[test]
    fn byte_order_mark_line_ends_and_blank_lines_are_no_content() {
        let text = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"a\":2}\n{\"a\":3}".to_vec();
        let expected = [("{\"a\":1}", 1), ("{\"a\":2}", 4), ("{\"a\":3}", 5)];
        let expected = expected.map(|(line, number)| (line.to_owned(), number));
        assert_eq!(lines(text.clone()), expected);
        assert_eq!(lines(zstd::encode_all(&text[..], 3).unwrap()), expected);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        assert_eq!(lines(gzip.finish().unwrap()), expected);
        assert_eq!(lines(Vec::new()), []);
    }

    #[test]
    fn batches_have_every_line_once() {
        let text = (0..2_500).map(|n| format!("{n}\n")).collect::<String>();
        let numbers: Vec<u64> = lines(text.into_bytes())
            .into_iter()
            .map(|(_, number)| number)
            .collect();
        assert_eq!(numbers, (1..=2_500).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_beyond_the_limit_is_cut_and_told() {
        let mut text = vec![b'x'; LONGEST + 1];
        text.extend_from_slice(b"\n{}\n");
        let mut lines = Lines::new(unpack(Bytes::from(text)).unwrap());
        let mut batch = Batch::default();
        assert!(lines.next_batch(&mut batch).unwrap());
        let (line, _, too_long) = batch.line(0);
        assert_eq!(
            (line.len(), too_long),
            (KEPT_OF_TOO_LONG, Some(LONGEST + 1))
        );
        assert_eq!(batch.line(1).0, b"{}");
    }

    #[test]
    fn a_torn_part_is_an_error_and_no_end() {
        let whole = zstd::encode_all(&b"{\"a\":1}\n".repeat(100)[..], 3).unwrap();
        let mut lines = Lines::new(unpack(Bytes::from(whole[..whole.len() - 5].to_vec())).unwrap());
        let mut batch = Batch::default();
        let torn = loop {
            match lines.next_batch(&mut batch) {
                Ok(true) => {}
                Ok(false) => break false,
                Err(_) => break true,
            }
        };
        assert!(torn);
    }
}
