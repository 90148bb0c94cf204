//! One assigned partition: how far it is stored, and its open file.

use std::time::Instant;

use common::weather::Message;

use crate::{
    landing::{ClosedFile, NoCode, Rows},
    progress::Progress,
    record::{Claim, Place},
};

#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) claim: Claim,
    pub(crate) progress: Progress,
    /// As the broker has confirmed it.
    pub(crate) committed: Option<i64>,
    rows: Rows,
    /// When the open file got its first row.
    opened: Option<Instant>,
}

impl Partition {
    pub(crate) fn new(claim: Claim, mongodb: bool, landing: bool) -> Self {
        Self {
            claim,
            progress: Progress::new(mongodb, landing),
            committed: None,
            rows: Rows::default(),
            opened: None,
        }
    }

    /// Puts a reading into the open file, unless a landed one has it already.
    pub(crate) fn push(&mut self, message: &Message<'_>, place: Place) -> Result<(), NoCode> {
        if place.offset < self.progress.boundary() {
            // The landed file's writer may have died before the dead letter was acknowledged.
            return Rows::check(message);
        }
        self.rows.push(message, place)?;
        if self.rows.len() == 1 {
            self.opened = Some(Instant::now());
            self.progress.opened(Some(place.offset));
        }
        Ok(())
    }

    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(crate) fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// Whether there is a file to close, and no other of this partition is being written: the next
    /// one's beginning depends on where that one ends.
    pub(crate) fn can_close(&self) -> bool {
        !self.rows.is_empty() && !self.progress.is_writing()
    }

    /// Closes the open file.
    pub(crate) fn close(&mut self) -> Option<ClosedFile> {
        let first_offset = self.progress.boundary();
        let last_offset = self.progress.writing()?;
        self.opened = None;
        Some(ClosedFile {
            claim: self.claim,
            rows: std::mem::take(&mut self.rows),
            first_offset,
            last_offset,
        })
    }

    /// Everything up to and with `through` is landed.
    pub(crate) fn landed(&mut self, through: i64) {
        self.progress.landed(through);
        if self.rows.first().is_some_and(|row| row.offset <= through) {
            self.rows.drop_through(through);
            let first = self.rows.first().map(|row| row.offset);
            self.progress.opened(first);
            self.opened = first.and(self.opened);
        }
    }

    /// The offset to commit, if there is one that is not confirmed yet.
    pub(crate) fn uncommitted(&mut self) -> Option<i64> {
        self.progress
            .committable()
            .filter(|offset| Some(*offset) != self.committed)
    }
}

#[cfg(test)]
mod tests {
    use common::weather::{self, Decimal, Source};
    use jiff::Timestamp;

    use super::*;

    fn message(code: &str) -> Message<'static> {
        let slot = Timestamp::UNIX_EPOCH;
        let decimal = |text: &str| Decimal::parse(text.to_owned()).unwrap();
        let mut values = std::array::from_fn(|_| None);
        values[5] = Some(decimal(code));
        Message {
            event_id: weather::event_id("home", slot, 900, Source::Forecast).into(),
            location_id: "home".into(),
            latitude: decimal("1.5"),
            longitude: decimal("2.5"),
            elevation_metres: None,
            slot,
            slot_seconds: 900,
            source: Source::Forecast,
            model: "best_match".into(),
            fetched_at: slot,
            values,
            extra: weather::Extra::default(),
        }
    }

    #[test]
    fn what_the_table_cannot_hold_is_refused_also_where_a_file_stands_already() {
        let claim = Claim {
            partition: 0,
            number: 1,
        };
        let place = |offset| Place {
            partition: 0,
            offset,
            timestamp: None,
        };
        let mut partition = Partition::new(claim, false, true);
        partition.progress.consumed(0);
        partition.push(&message("2"), place(0)).unwrap();
        assert_eq!(partition.close().unwrap().last_offset, 0);
        partition.landed(2); // by the file of an earlier owner
        assert_eq!(partition.push(&message("2.5"), place(1)), Err(NoCode));
        assert_eq!(partition.push(&message("3"), place(2)), Ok(()));
        assert!(partition.rows().is_empty());
    }
}
