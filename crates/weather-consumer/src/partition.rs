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
            return Ok(());
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
