//! Reads parts, turns them into rows and copies these, all three at the same time.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use common::{
    landing::Part,
    storage::Storage,
    task::{Progress, Stopped},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    feed::{Beginning, Feed},
    handover::{Fed, Fetched, Halt, Step},
    landed::{Checked, Pending, read_part},
    staging::Staging,
};

/// Steps that wait for the database, and parts that wait for the feed: they bound the memory.
const STEPS_AHEAD: usize = 4;
const PARTS_AHEAD: usize = 1;

/// What is to be read, and with which numbers.
pub struct Pipeline<'a> {
    pub storage: &'a Storage,
    pub stop: &'a CancellationToken,
    pub pending: &'a Pending,
    /// The numbers of the pending parts' loads.
    pub ids: &'a [i64],
    /// Parts that were loaded before and are read again, for what they say of rows that come late.
    pub newer: &'a [(i64, Part)],
}

/// How filling the staging table ended.
pub enum Filled {
    Rows(Fed),
    /// Manifests that turned out not to be what they promise, and why.
    Damaged(BTreeMap<String, String>),
    Halted(Halt),
}

impl Pipeline<'_> {
    /// Fills the staging table with every row of every part.
    ///
    /// # Errors
    /// Storage or database failed, or the run was stopped.
    pub async fn fill(
        &self,
        filling: &mut Staging<'_>,
        beginning: Beginning,
    ) -> anyhow::Result<Filled> {
        let (to_feed, parts) = mpsc::channel(PARTS_AHEAD);
        let (to_copy, steps) = mpsc::channel(STEPS_AHEAD);
        let feed = Feed::new(beginning, to_copy);
        let feeding = tokio::task::spawn_blocking(move || feed.run(parts));
        // A failed COPY lets go of the steps, the feed of the parts, and so the fetching ends as well.
        let (fetched, copied) = tokio::join!(self.fetch(to_feed), self.copy(filling, steps));
        let fed = feeding.await.context("the thread that reads rows")?;
        copied?;
        let mut damaged = fetched?;
        if damaged.is_empty() {
            match fed {
                Ok(fed) => return Ok(Filled::Rows(fed)),
                Err(Halt::Torn { key, source }) => {
                    let torn = self
                        .pending
                        .parts
                        .iter()
                        .find(|pending| pending.part.key == key);
                    let why = format!("its part {key} cannot be unpacked: {source}");
                    damaged.extend(torn.map(|torn| (torn.manifest.clone(), why)));
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
        let progress = Progress::new("rows", Some(self.pending.rows()));
        while let Some(step) = steps.recv().await {
            if let Step::Rows { rows, .. } = &step {
                progress.inc(*rows);
            }
            filling.take(step).await?;
        }
        filling.finish().await
    }

    /// Gives the feed each part, until one is not what its manifest promises; then the rest is only
    /// checked, so that one more attempt is enough.
    async fn fetch(
        &self,
        to_feed: mpsc::Sender<Fetched>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let mut damaged = BTreeMap::new();
        let again = self
            .newer
            .iter()
            .map(|(load_id, part)| (*load_id, part, None));
        let first = self.ids.iter().zip(&self.pending.parts);
        let first = first.map(|(load_id, it)| (*load_id, &it.part, Some(&it.manifest)));
        for (load_id, part, manifest) in again.chain(first) {
            if self.stop.is_cancelled() {
                return Err(anyhow!(Stopped));
            }
            match (read_part(self.storage, part).await?, manifest) {
                (Checked::Whole(body), _) if damaged.is_empty() => {
                    let (again, key) = (manifest.is_none(), part.key.clone());
                    let fetched = Fetched {
                        load_id,
                        again,
                        key,
                        body,
                    };
                    if to_feed.send(fetched).await.is_err() {
                        return Ok(damaged); // the feed or the COPY has its own reason
                    }
                }
                (Checked::Whole(_), _) => {}
                (Checked::Damaged(why), Some(manifest)) => {
                    drop(damaged.insert(manifest.clone(), why));
                }
                (Checked::Damaged(why), None) => {
                    warn!("could not read a part again that was loaded before: {why}");
                }
            }
        }
        Ok(damaged)
    }
}
