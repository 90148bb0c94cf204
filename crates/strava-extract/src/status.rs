//! What the ledger holds, for a person or as JSON.

use std::fmt::Write as _;

use anyhow::Context as _;
use common::{landing::Stream, storage::Storage};
use jiff::Timestamp;
use serde::Serialize;

use crate::ledger::{Ledger, LedgerFile, Quarantined};

const STATE: &str = "state/strava/";
/// So many reasons are shown to a person; `--json` has them all.
const SHOWN: usize = 20;

/// The state of one athlete's extraction.
#[derive(Debug, Serialize)]
pub struct Status {
    pub athlete_id: String,
    /// When the last run ended that left nothing pending.
    pub completed_at: Option<Timestamp>,
    pub streams: Vec<StreamStatus>,
    /// A run that did not end has landed this many rows, which the next run publishes.
    pub unpublished_rows: u64,
    pub quarantine: Vec<Quarantined>,
}

/// How much of one stream is where.
#[derive(Debug, Serialize)]
pub struct StreamStatus {
    pub stream: Stream,
    /// Landed from the API.
    pub done: usize,
    /// Landed from an export.
    pub exported: usize,
    pub deleted: usize,
    /// Known and not yet met by a walk that a limit cut short.
    pub pending: usize,
    pub absent: usize,
    pub quarantined: usize,
}

/// The athletes that have a ledger.
pub async fn athletes(storage: &Storage) -> anyhow::Result<Vec<String>> {
    let folders = storage
        .list_folders(STATE)
        .await
        .context("list the athletes")?;
    Ok(folders
        .iter()
        .filter_map(|folder| {
            let name = folder.trim_end_matches('/').rsplit('/').next()?;
            name.strip_prefix("athlete=").map(str::to_owned)
        })
        .collect())
}

/// Reads one athlete's status.
pub async fn read(storage: &Storage, athlete_id: &str) -> anyhow::Result<Status> {
    let (_, ledger) = LedgerFile::open(storage, athlete_id).await?;
    Ok(Status::of(ledger))
}

impl Status {
    fn of(ledger: Ledger) -> Self {
        let quarantined = |stream| {
            ledger
                .quarantine
                .iter()
                .filter(|it| it.stream == stream)
                .count()
        };
        let all = || ledger.activities.values();
        let activities = StreamStatus {
            stream: Stream::Activities,
            done: all().filter(|it| it.is_living()).count(),
            exported: all()
                .filter(|it| it.export.is_some() && it.deleted_at.is_none())
                .count(),
            deleted: all().filter(|it| it.deleted_at.is_some()).count(),
            pending: ledger.walk.map_or(0, |_| {
                all().filter(|it| it.is_living() && !it.met).count().max(1)
            }),
            absent: 0,
            quarantined: quarantined(Stream::Activities),
        };
        let others = ledger.others.iter().map(|(&stream, records)| StreamStatus {
            stream,
            done: records.len(),
            exported: 0,
            deleted: 0,
            pending: 0,
            absent: 0,
            quarantined: quarantined(stream),
        });
        let streams = std::iter::once(activities).chain(others).collect();
        let parts = ledger
            .open_run
            .iter()
            .flat_map(|run| run.streams.values())
            .flat_map(|open| &open.parts);
        Self {
            streams,
            unpublished_rows: parts.map(|part| part.rows).sum(),
            athlete_id: ledger.athlete_id,
            completed_at: ledger.completed_at,
            quarantine: ledger.quarantine,
        }
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text = format!("athlete {}\n", self.athlete_id);
        match self.completed_at {
            Some(at) => write!(text, "  complete at {at}"),
            None => write!(text, "  not complete yet from the API"),
        }
        .expect("writing to a String");
        for stream in &self.streams {
            let StreamStatus {
                stream,
                done,
                exported,
                deleted,
                pending,
                absent,
                quarantined,
            } = stream;
            write!(
                text,
                "\n  {stream}: {done} done, {exported} from an export, {deleted} deleted, {pending} pending, \
                 {absent} absent, {quarantined} quarantined"
            )
            .expect("writing to a String");
        }
        if self.unpublished_rows > 0 {
            write!(
                text,
                "\n  {} rows of a run that did not end; the next one publishes them",
                self.unpublished_rows
            )
            .expect("writing to a String");
        }
        for it in self.quarantine.iter().take(SHOWN) {
            write!(
                text,
                "\n  quarantined: {} {} ({}, since {})",
                it.what, it.reason, it.origin, it.since
            )
            .expect("writing to a String");
        }
        if self.quarantine.len() > SHOWN {
            write!(
                text,
                "\n  and {} more; --json has them all",
                self.quarantine.len() - SHOWN
            )
            .expect("writing to a String");
        }
        text
    }
}
