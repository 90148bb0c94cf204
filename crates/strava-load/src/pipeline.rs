//! Reads files, turns them into rows and copies these, all three at the same time.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use common::{
    storage::Storage,
    task::{Progress, Stopped},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    feed::{Beginning, Feed},
    handover::{Fed, Fetched, Halt, Step},
    landed::{self, Checked, File, Pending},
    staging::Staging,
};

/// Steps that wait for the database, and files that wait for the feed: they bound the memory.
const STEPS_AHEAD: usize = 4;
const FILES_AHEAD: usize = 1;

/// What is to be read, and with which numbers.
pub struct Pipeline<'a> {
    pub storage: &'a Storage,
    pub stop: &'a CancellationToken,
    pub pending: &'a Pending,
    /// The numbers of the pending files' loads.
    pub ids: &'a [i64],
    /// Files that were loaded before and are read again, for what they say of rows that come late.
    pub newer: &'a [(i64, File)],
}

/// How filling the staging table ended.
pub enum Filled {
    /// All that was learnt, and the sha256 of each load's file.
    Rows(Fed, BTreeMap<i64, String>),
    /// What turned out not to be what was promised, and why.
    Damaged(BTreeMap<String, String>),
    Halted(Halt),
}

impl Pipeline<'_> {
    /// Fills the staging table with every row of every file.
    ///
    /// # Errors
    /// Storage or database failed, or the run was stopped.
    pub async fn fill(
        &self,
        filling: &mut Staging<'_>,
        beginning: Beginning,
    ) -> anyhow::Result<Filled> {
        let (to_feed, parts) = mpsc::channel(FILES_AHEAD);
        let (to_copy, steps) = mpsc::channel(STEPS_AHEAD);
        let feed = Feed::new(beginning, to_copy);
        let feeding = tokio::task::spawn_blocking(move || feed.run(parts));
        // A failed COPY lets go of the steps, the feed of the parts, and so the fetching ends as well.
        let (fetched, copied) = tokio::join!(self.fetch(to_feed), self.copy(filling, steps));
        let fed = feeding.await.context("the thread that reads rows")?;
        copied?;
        let (sums, mut damaged) = fetched?;
        if damaged.is_empty() {
            match fed {
                Ok(fed) => return Ok(Filled::Rows(fed, sums)),
                Err(Halt::Torn { key, source }) => {
                    let torn = self
                        .pending
                        .files
                        .iter()
                        .find(|pending| pending.file.key == key);
                    let why = format!("{key} cannot be unpacked: {source}");
                    damaged.extend(torn.map(|torn| (torn.voucher.clone(), why)));
                }
                Err(halt) => return Ok(Filled::Halted(halt)),
            }
        }
        damaged.extend(self.pending.damaged.clone());
        Ok(Filled::Damaged(damaged))
    }

    async fn copy(
        &self,
        filling: &mut Staging<'_>,
        mut steps: mpsc::Receiver<Step>,
    ) -> anyhow::Result<()> {
        let progress = Progress::new("rows", self.pending.rows());
        while let Some(step) = steps.recv().await {
            if let Step::Rows { rows, .. } = &step {
                progress.inc(*rows);
            }
            filling.take(step).await?;
        }
        filling.finish().await
    }

    /// Gives the feed each file, until one is not what was promised; then the rest is only checked, so
    /// that one more attempt is enough. Returns each load's sha256, and what is damaged and why.
    async fn fetch(
        &self,
        to_feed: mpsc::Sender<Fetched>,
    ) -> anyhow::Result<(BTreeMap<i64, String>, BTreeMap<String, String>)> {
        let (mut sums, mut damaged) = (BTreeMap::new(), BTreeMap::new());
        let again = self
            .newer
            .iter()
            .map(|(load_id, file)| (*load_id, file, None));
        let first = self.ids.iter().zip(&self.pending.files);
        let first = first.map(|(load_id, it)| (*load_id, &it.file, Some(&it.voucher)));
        for (load_id, file, voucher) in again.chain(first) {
            if self.stop.is_cancelled() {
                return Err(anyhow!(Stopped));
            }
            match (landed::read(self.storage, file).await?, voucher) {
                (Checked::Whole { body, sha256 }, _) if damaged.is_empty() => {
                    sums.insert(load_id, sha256);
                    let (again, key) = (voucher.is_none(), file.key.clone());
                    let fetched = Fetched {
                        load_id,
                        again,
                        key,
                        body,
                    };
                    if to_feed.send(fetched).await.is_err() {
                        return Ok((sums, damaged)); // the feed or the COPY has its own reason
                    }
                }
                (Checked::Whole { .. }, _) => {}
                (Checked::Damaged(why), Some(voucher)) => {
                    drop(damaged.insert(voucher.clone(), why));
                }
                (Checked::Damaged(why), None) => {
                    warn!("could not read a file again that was loaded before: {why}");
                }
            }
        }
        Ok((sums, damaged))
    }
}
