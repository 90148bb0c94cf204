//! One run's landing: parts as they fill, each recorded in the ledger, and the manifests last of all.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use common::{
    landing::{Envelope, FinishedPart, Lease, Origin, PartWriter, RunId, Stream, Window, keys},
    storage::Storage,
};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::ledger::{Exported, Landed, Ledger, LedgerFile, OpenRun, OpenStream};

/// What the ledger will say of an envelope once its part is stored.
#[derive(Debug, Clone)]
pub enum Change {
    Summary { id: u64, landed: Landed },
    Export { id: u64, exported: Exported },
    Deleted { id: u64, at: Timestamp },
    Other { id: String, landed: Landed },
}

/// The landing of one run of one athlete.
pub struct LandingRun {
    storage: Storage,
    run_id: RunId,
    /// `None`: nothing is to be written, and so nobody to be kept away.
    lease: Option<Lease>,
    file: LedgerFile,
    pub ledger: Ledger,
    open: BTreeMap<Stream, OpenPart>,
    pub published: u64,
}

struct OpenPart {
    origin: Origin,
    writer: PartWriter,
    window: Window,
    changes: Vec<Change>,
}

impl LandingRun {
    /// Takes the athlete's lease, reads the ledger, and publishes what a run that was killed has left.
    pub async fn begin(
        storage: &Storage,
        athlete_id: &str,
        run_id: &RunId,
        max_wait: Duration,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let key = keys::lease(athlete_id);
        let owner = format!("strava-extract, process {}", std::process::id());
        let lease = Lease::acquire(storage, &key, &owner, run_id, max_wait, stop).await?;
        let mut run = Self::look(storage, athlete_id, run_id).await?;
        run.lease = Some(lease);
        if run.ledger.open_run.is_some() {
            info!("found parts of a run that did not end, and publish them first");
            run.publish().await?;
        }
        Ok(run)
    }

    /// Reads the ledger only: nothing that is pushed is written.
    pub async fn look(storage: &Storage, athlete_id: &str, run_id: &RunId) -> anyhow::Result<Self> {
        let (file, ledger) = LedgerFile::open(storage, athlete_id).await?;
        Ok(Self {
            storage: storage.clone(),
            run_id: run_id.clone(),
            lease: None,
            file,
            ledger,
            open: BTreeMap::new(),
            published: 0,
        })
    }

    /// Adds an envelope to its stream's part. `at` is when the thing was, for the manifest's window.
    pub async fn push(
        &mut self,
        envelope: &Envelope<'_>,
        at: Option<Timestamp>,
        change: Change,
    ) -> anyhow::Result<()> {
        if self.lease.is_none() {
            return Ok(());
        }
        let stream = envelope.stream;
        if !self.open.contains_key(&stream) {
            let writer = PartWriter::new(stream, &self.ledger.athlete_id, &self.run_id)
                .context("begin a part")?;
            let part = OpenPart {
                origin: envelope.origin,
                writer,
                window: Window::default(),
                changes: Vec::new(),
            };
            self.open.insert(stream, part);
        }
        let part = self
            .open
            .get_mut(&stream)
            .context("find the part that was just begun")?;
        part.writer.push(envelope).context("add to a part")?;
        part.changes.push(change);
        widen(&mut part.window, at);
        if part.writer.is_full() {
            self.close_part(stream).await?;
        }
        Ok(())
    }

    /// Whether what is pushed is landed.
    pub fn is_writing(&self) -> bool {
        self.lease.is_some()
    }

    /// Stores what is in hand, before a wait or at the end.
    pub async fn close_parts(&mut self) -> anyhow::Result<()> {
        let streams: Vec<Stream> = self.open.keys().copied().collect();
        for stream in streams {
            self.close_part(stream).await?;
        }
        Ok(())
    }

    /// Ends the landing: the last parts, the manifests, the ledger. Where nothing was pushed, the
    /// ledger alone is written.
    pub async fn finish(&mut self) -> anyhow::Result<()> {
        if self.lease.is_none() {
            return Ok(());
        }
        self.close_parts().await?;
        self.publish().await
    }

    /// Gives the lease back.
    pub async fn release(self) -> anyhow::Result<()> {
        match self.lease {
            Some(lease) => lease.release().await,
            None => Ok(()),
        }
    }

    async fn close_part(&mut self, stream: Stream) -> anyhow::Result<()> {
        let Some(OpenPart {
            origin,
            writer,
            window,
            changes,
        }) = self.open.remove(&stream)
        else {
            return Ok(());
        };
        let FinishedPart {
            part,
            deleted,
            body,
        } = writer.finish().context("finish a part")?;
        self.check_lease()?;
        // That it exists already is fine: its name says that it holds the same.
        self.storage
            .put_if_absent(&part.key, body)
            .await
            .with_context(|| format!("write part {}", part.key))?;
        debug!(
            landing.key = part.key,
            landing.rows = part.rows,
            "landed a part"
        );

        self.published += part.rows;
        for change in changes {
            self.ledger.apply(stream, change);
        }
        let open_run = self.ledger.open_run.get_or_insert_with(|| OpenRun {
            run_id: self.run_id.clone(),
            streams: BTreeMap::new(),
        });
        let open_stream = open_run
            .streams
            .entry(stream)
            .or_insert_with(|| OpenStream {
                origin,
                started_at: Timestamp::now(),
                window: Window::default(),
                deleted: 0,
                parts: Vec::new(),
            });
        widen(&mut open_stream.window, window.from);
        widen(&mut open_stream.window, window.to);
        open_stream.deleted += deleted;
        open_stream.parts.push(part);
        self.save().await
    }

    /// Writes the manifests of all parts that the ledger names, then a ledger that names none.
    async fn publish(&mut self) -> anyhow::Result<()> {
        if let Some(OpenRun { run_id, streams }) = self.ledger.open_run.take() {
            for (stream, open) in streams {
                self.check_lease()?;
                let manifest = open.manifest(stream, &self.ledger.athlete_id, &run_id);
                let manifest = manifest
                    .put(&self.storage)
                    .await
                    .context("write the manifest")?;
                info!(
                    landing.key = manifest.key(),
                    landing.rows = manifest.counts.rows,
                    "landed {} rows of {stream}",
                    manifest.counts.rows
                );
            }
        }
        self.save().await
    }

    async fn save(&mut self) -> anyhow::Result<()> {
        self.check_lease()?;
        self.file.save(&self.ledger).await
    }

    fn check_lease(&self) -> anyhow::Result<()> {
        self.lease.as_ref().map_or(Ok(()), Lease::check)
    }
}

impl Ledger {
    fn apply(&mut self, stream: Stream, change: Change) {
        match change {
            Change::Summary { id, landed } => {
                let activity = self.activities.entry(id).or_default();
                activity.api = Some(landed);
                activity.deleted_at = None;
            }
            Change::Export { id, exported } => {
                self.activities.entry(id).or_default().export = Some(exported);
            }
            Change::Deleted { id, at } => {
                self.activities.entry(id).or_default().deleted_at = Some(at.as_second());
            }
            Change::Other { id, landed } => {
                self.others.entry(stream).or_default().insert(id, landed);
            }
        }
    }
}

fn widen(window: &mut Window, at: Option<Timestamp>) {
    if let Some(at) = at {
        window.from = Some(window.from.map_or(at, |from| from.min(at)));
        window.to = Some(window.to.map_or(at, |to| to.max(at)));
    }
}
