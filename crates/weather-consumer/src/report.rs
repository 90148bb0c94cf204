//! What the sinks tell the thread that owns the consumer.

use std::{fmt, str::FromStr, sync::mpsc};

use common::vitals::Vitals;

use crate::{dead_letters::DeadLetters, record::Claim};

/// Where readings are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Sink {
    Mongodb,
    Landing,
}

impl Sink {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mongodb => "mongodb",
            Self::Landing => "landing",
        }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Sink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Mongodb, Self::Landing]
            .into_iter()
            .find(|sink| sink.as_str() == text);
        known.ok_or_else(|| format!("no such sink: {text}"))
    }
}

/// A piece of work that has come to its end, or the end of all work.
#[derive(Debug)]
pub enum Report {
    /// MongoDB has everything that was handed over up to these offsets.
    Stored {
        through: Vec<(Claim, i64)>,
        rows: usize,
        bytes: usize,
        stored: u64,
        unchanged: u64,
        dead: u64,
    },
    /// A file is in the landing, and with it everything up to and with `through`.
    Landed {
        claim: Claim,
        through: i64,
        bytes: usize,
        stored: u64,
        unchanged: u64,
        files: u64,
    },
    /// The dead-letter topic has the record; `is_new`: it had not before.
    Buried {
        claim: Claim,
        offset: i64,
        bytes: usize,
        is_new: bool,
    },
    /// What no waiting changes.
    Failed(anyhow::Error),
}

/// What every sink needs besides its far side.
#[derive(Clone, Debug)]
pub struct Desk {
    pub vitals: Vitals,
    pub letters: DeadLetters,
    reports: mpsc::Sender<Report>,
}

impl Desk {
    pub fn new(vitals: Vitals, letters: DeadLetters) -> (Self, mpsc::Receiver<Report>) {
        let (reports, receiver) = mpsc::channel();
        (
            Self {
                vitals,
                letters,
                reports,
            },
            receiver,
        )
    }

    pub fn report(&self, report: Report) {
        // Nobody listens any more: the thread has ended, and its end is being waited for.
        self.reports.send(report).ok();
    }
}
