//! The readings of an open file in memory, 168 bytes each: texts that repeat are kept once.

use std::collections::HashMap;

use common::{
    landing::hex,
    weather::{Message, Source, VALUES},
};
use jiff::Timestamp;

use crate::record::Place;

/// Rows are allocated by so many, so that a growing file never needs twice its memory.
const CHUNK: usize = 512;

/// The place of the weather code among the values; it is a whole number, or the row is refused.
pub(super) const WEATHER_CODE: usize = 5;

/// The weather code is no whole number that a code table could have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("weather_code is no whole number of 32 bits")]
pub struct NoCode;

/// One reading. Numbers that the service did not have are NaN, which no reading holds.
#[derive(Clone, Debug)]
pub struct Row {
    pub(super) event_id: [u8; 16],
    pub(super) location: u32,
    pub(super) model: u32,
    pub(super) source: Source,
    pub(super) slot_seconds: u16,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) elevation: f64,
    pub(super) slot: i64,
    pub(super) fetched_at: i64,
    pub(super) values: [f64; VALUES.len()],
    pub offset: i64,
    /// `i64::MIN` where the record has no time.
    pub(super) timestamp: i64,
}

impl Row {
    pub fn slot(&self) -> Timestamp {
        Timestamp::from_millisecond(self.slot).unwrap_or_default()
    }

    /// The event id in hex.
    pub fn event_id(&self) -> String {
        hex(&self.event_id)
    }
}

/// Rows in the order of their offsets.
#[derive(Debug, Default)]
pub struct Rows {
    chunks: Vec<Vec<Row>>,
    texts: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    text_bytes: usize,
    len: usize,
}

impl Rows {
    /// Whether a reading fits the table.
    ///
    /// # Errors
    /// [`NoCode`]: it does not.
    pub fn check(message: &Message<'_>) -> Result<(), NoCode> {
        let code = message.values[WEATHER_CODE]
            .as_ref()
            .map_or(0.0, common::weather::Decimal::as_f64);
        if code.fract() != 0.0 || code.abs() > f64::from(i32::MAX) {
            return Err(NoCode);
        }
        Ok(())
    }

    /// Adds a reading.
    ///
    /// # Errors
    /// [`NoCode`]: it does not fit the table.
    pub fn push(&mut self, message: &Message<'_>, place: Place) -> Result<(), NoCode> {
        let number = |decimal: &Option<common::weather::Decimal<'_>>| {
            decimal
                .as_ref()
                .map_or(f64::NAN, common::weather::Decimal::as_f64)
        };
        Self::check(message)?;
        let values: [f64; VALUES.len()] =
            std::array::from_fn(|index| number(&message.values[index]));
        let row = Row {
            event_id: from_hex(&message.event_id),
            location: self.text(&message.location_id),
            model: self.text(&message.model),
            source: message.source,
            slot_seconds: u16::try_from(message.slot_seconds).unwrap_or(u16::MAX),
            latitude: message.latitude.as_f64(),
            longitude: message.longitude.as_f64(),
            elevation: number(&message.elevation_metres),
            slot: message.slot.as_millisecond(),
            fetched_at: message.fetched_at.as_millisecond(),
            values,
            offset: place.offset,
            timestamp: place.timestamp.unwrap_or(i64::MIN),
        };
        self.len += 1;
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(row),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(row);
                self.chunks.push(chunk);
            }
        }
        Ok(())
    }

    pub fn first(&self) -> Option<&Row> {
        self.chunks.first()?.first()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Row> + Clone {
        self.chunks.iter().flatten()
    }

    /// What they hold in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Row>() + self.text_bytes
    }

    /// Forgets the rows up to and with this offset.
    pub fn drop_through(&mut self, offset: i64) {
        for chunk in &mut self.chunks {
            chunk.retain(|row| row.offset > offset);
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
        self.len = self.chunks.iter().map(Vec::len).sum();
    }

    pub(super) fn text_of(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", |text| text)
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.into());
        self.numbers.insert(text.into(), number);
        self.text_bytes += 2 * (text.len() + 32);
        number
    }
}

/// The event id is 32 hex, or the message had been refused.
fn from_hex(text: &str) -> [u8; 16] {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => 0,
    };
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
    }
    bytes
}
