//! Writes closed files: put where nothing is, or go on behind what is there.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use common::{
    storage::{Storage, Written},
    task::Refused,
};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tracing::{debug, info};

use super::{Footer, Rows, encode, footer, key};
use crate::{
    metrics::{BATCH_ROWS, FILE_BYTES, READY_LANDING, STORED, UNCHANGED},
    record::Claim,
    report::{Desk, Report, Sink},
    retry::until_it_works,
};

/// Files being written at once.
pub const WRITERS: usize = 2;
/// How long a put may take before it is tried again.
const PUT_LIMIT: Duration = Duration::from_secs(120);
/// Before a put that met a conflict is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// A file that takes no more rows.
#[derive(Debug)]
pub struct ClosedFile {
    pub claim: Claim,
    pub rows: Rows,
    /// Offsets that it answers for, both included.
    pub first_offset: i64,
    pub last_offset: i64,
}

/// Writes what comes until nothing comes any more.
pub async fn write(storage: &Storage, topic: &str, files: mpsc::Receiver<ClosedFile>, desk: &Desk) {
    let files = stream::unfold(files, async |mut files| Some((files.recv().await?, files)));
    let landed = files.map(|file| async move { land(storage, topic, file, desk).await });
    let mut landed = Box::pin(landed.buffer_unordered(WRITERS));
    while let Some(outcome) = landed.next().await {
        match outcome {
            Ok(report) => desk.report(report),
            Err(error) => return desk.report(Report::Failed(error)),
        }
    }
}

async fn land(
    storage: &Storage,
    topic: &str,
    file: ClosedFile,
    desk: &Desk,
) -> anyhow::Result<Report> {
    let ClosedFile {
        claim,
        rows,
        mut first_offset,
        mut last_offset,
    } = file;
    let bytes = rows.bytes();
    let mut rows = Arc::new(rows);
    let (mut stored, mut unchanged, mut files) = (0, 0, 0);
    while let Some(first) = rows.first() {
        let key = key(topic, claim.partition, first);
        let footer = Footer {
            topic: topic.to_owned(),
            partition: claim.partition,
            first_offset,
            last_offset,
            row_count: rows.len() as u64,
            first_event_id: first.event_id(),
        };
        let body = {
            let (rows, footer) = (Arc::clone(&rows), footer.clone());
            tokio::task::spawn_blocking(move || encode(&rows, &footer))
                .await?
                .context("encode a file")?
        };
        let put = async || storage.put_if_absent(&key, body.clone()).await;
        match until_it_works(READY_LANDING, &desk.vitals, PUT_LIMIT, put).await? {
            Written::Created => {
                files += 1;
                stored += footer.row_count;
                desk.vitals.add(
                    &BATCH_ROWS,
                    &[("sink", Sink::Landing.as_str())],
                    rows.len() as f64,
                );
                desk.vitals.add(&FILE_BYTES, &[], body.len() as f64);
                info!(
                    landing.key = key,
                    rows = footer.row_count,
                    bytes = body.len(),
                    "landed {} readings",
                    footer.row_count
                );
                break;
            }
            Written::Exists => {
                let Some(standing) = standing(storage, &key, &footer, desk).await? else {
                    debug!(landing.key = key, "there is no file of that name after all");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                };
                debug!(
                    landing.key = key,
                    last_offset = standing.last_offset,
                    "a file of that name stands, going on behind it"
                );
                let before = rows.len() as u64;
                let mut left =
                    Arc::try_unwrap(rows).map_err(|_| anyhow!("a file is still being encoded"))?;
                left.drop_through(standing.last_offset);
                unchanged += before - left.len() as u64;
                first_offset = standing.last_offset + 1;
                last_offset = last_offset.max(standing.last_offset);
                rows = Arc::new(left);
            }
        }
    }
    let sink = [("sink", Sink::Landing.as_str())];
    desk.vitals.add(&STORED, &sink, stored as f64);
    desk.vitals.add(&UNCHANGED, &sink, unchanged as f64);
    Ok(Report::Landed {
        claim,
        through: last_offset,
        bytes,
        stored,
        unchanged,
        files,
    })
}

/// What the file says that had the name first; none where it is gone, or where the store only told of a
/// conflict with another writer.
async fn standing(
    storage: &Storage,
    key: &str,
    ours: &Footer,
    desk: &Desk,
) -> anyhow::Result<Option<Footer>> {
    let read = async || storage.get(key).await;
    let read = until_it_works(READY_LANDING, &desk.vitals, PUT_LIMIT, read);
    let Some((body, _)) = read.await? else {
        return Ok(None);
    };
    let standing = footer(&body).with_context(|| format!("go on behind {key}"))?;
    if standing.last_offset < standing.first_offset {
        return Err(anyhow!(
            "go on behind {key}: its footer ends before it begins"
        ));
    }
    if standing.first_event_id != ours.first_event_id {
        // The topic was made anew under its old name: dropping its records would lose them silently.
        let text = format!(
            "{key} holds readings of an older topic of this name; give the new one another name or landing"
        );
        return Err(anyhow!(Refused::new(text)));
    }
    Ok(Some(standing))
}
