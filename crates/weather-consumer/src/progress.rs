//! How far one partition is stored, and so how far its offset may be committed.
//!
//! An offset may be committed when everything below it is stored by every sink, and, where the landing
//! is one of them, when a file may begin there: at the end of a landed file, or anywhere between that
//! and the next record that was put into a file.

use std::collections::{BTreeMap, VecDeque};

/// The sinks' positions in one partition.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Behind the last record consumed.
    next: Option<i64>,
    mongodb: Option<Handed>,
    landing: Option<Files>,
    /// Records on their way to the dead-letter topic, and how often: each sink may have put it aside.
    letters: BTreeMap<i64, usize>,
}

/// What was handed to a sink that stores in order; both behind the last such record.
#[derive(Clone, Copy, Debug, Default)]
struct Handed {
    sent: i64,
    stored: i64,
}

#[derive(Debug, Default)]
struct Files {
    /// Behind the last landed file, or where we began.
    boundary: i64,
    /// First records of the file being written, and of the open one.
    writing: Option<i64>,
    open: Option<i64>,
    /// Where files ended and the next began, oldest first, as long as a commit may need them.
    gaps: VecDeque<Gap>,
}

/// Every offset from `from` to `to`, both included, is one at which a file may begin.
#[derive(Clone, Copy, Debug)]
struct Gap {
    from: i64,
    to: i64,
}

impl Progress {
    pub(crate) fn new(mongodb: bool, landing: bool) -> Self {
        Self {
            next: None,
            mongodb: mongodb.then(Handed::default),
            landing: landing.then(Files::default),
            letters: BTreeMap::new(),
        }
    }

    /// Behind the last record consumed; none before the first.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// A record was read.
    pub(crate) fn consumed(&mut self, offset: i64) {
        if self.next.is_none()
            && let Some(files) = &mut self.landing
        {
            files.boundary = offset;
        }
        self.next = Some(offset + 1);
    }

    /// The record at `offset` is on its way to MongoDB.
    pub(crate) fn handed(&mut self, offset: i64) {
        if let Some(handed) = &mut self.mongodb {
            if handed.sent == handed.stored {
                handed.stored = offset;
            }
            handed.sent = offset + 1;
        }
    }

    /// MongoDB has every record that was handed over, up to and with `offset`.
    pub(crate) fn stored(&mut self, offset: i64) {
        if let Some(handed) = &mut self.mongodb {
            handed.stored = (offset + 1).max(handed.stored).min(handed.sent);
        }
    }

    /// The record at `offset` is on its way to the dead-letter topic.
    pub(crate) fn dead(&mut self, offset: i64) {
        *self.letters.entry(offset).or_default() += 1;
    }

    /// The dead-letter topic has it.
    pub(crate) fn buried(&mut self, offset: i64) {
        if let Some(count) = self.letters.get_mut(&offset) {
            *count -= 1;
            if *count == 0 {
                self.letters.remove(&offset);
            }
        }
    }

    /// Where a file that is opened now begins: the offset behind the last one, for the footer.
    pub(crate) fn boundary(&self) -> i64 {
        self.landing.as_ref().map_or(0, |files| files.boundary)
    }

    /// The open file's first record is at `offset`; none: it is empty again.
    pub(crate) fn opened(&mut self, offset: Option<i64>) {
        if let Some(files) = &mut self.landing {
            files.open = offset;
        }
    }

    /// The open file is being written; gives the last offset that it answers for.
    pub(crate) fn writing(&mut self) -> Option<i64> {
        let files = self.landing.as_mut()?;
        files.writing = files.open.take();
        Some(self.next? - 1)
    }

    /// The file that was being written is in the landing, and so is everything up to and with `through`.
    pub(crate) fn landed(&mut self, through: i64) {
        let Some(files) = &mut self.landing else {
            return;
        };
        if let Some(first) = files.writing.take() {
            files.gaps.push_back(Gap {
                from: files.boundary,
                to: first,
            });
        }
        files.boundary = files.boundary.max(through + 1);
    }

    pub(crate) fn is_writing(&self) -> bool {
        self.landing
            .as_ref()
            .is_some_and(|files| files.writing.is_some())
    }

    /// Nothing that was read is unfinished anywhere.
    pub(crate) fn is_settled(&self) -> bool {
        let in_files = self
            .landing
            .as_ref()
            .is_some_and(|files| files.writing.or(files.open).is_some());
        !in_files
            && self.letters.is_empty()
            && self
                .mongodb
                .is_none_or(|handed| handed.stored == handed.sent)
    }

    /// The offset to commit, none while there is none that is safe.
    pub(crate) fn committable(&mut self) -> Option<i64> {
        let next = self.next?;
        let waiting = self
            .mongodb
            .filter(|handed| handed.stored < handed.sent)
            .map(|handed| handed.stored);
        let dead = self.letters.keys().next().copied();
        let limit = [waiting, dead].into_iter().flatten().fold(next, i64::min);
        match &mut self.landing {
            Some(files) => files.boundary_up_to(limit, next),
            None => Some(limit),
        }
    }
}

impl Files {
    /// The last offset up to and with `limit` at which a file may begin.
    fn boundary_up_to(&mut self, limit: i64, next: i64) -> Option<i64> {
        let to = self.writing.or(self.open).unwrap_or(next);
        let last = Gap {
            from: self.boundary,
            to,
        };
        if last.from <= limit {
            self.gaps.clear();
            return Some(last.to.min(limit));
        }
        let reached = self.gaps.partition_point(|gap| gap.from <= limit);
        self.gaps.drain(..reached.saturating_sub(1));
        let gap = self.gaps.front().filter(|gap| gap.from <= limit)?;
        Some(gap.to.min(limit))
    }
}

#[cfg(test)]
mod tests;
