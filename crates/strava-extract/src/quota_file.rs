//! The quota as the app's last run left it, for whoever plans the next one. Athletes share their app's
//! quota, so it lies beside them all. It binds nobody: a run asks the API and believes its answers.

use anyhow::Context as _;
use common::{
    landing::{check_version, keys},
    storage::{Replaced, Storage},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::quota::{Bucket, Quota};

const VERSION: u32 = 1;
const APPS: &str = "state/strava/";

/// What Strava said last, and when by its own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaFile {
    version: u32,
    told_at: Timestamp,
    overall: Option<Bucket>,
    read: Option<Bucket>,
}

/// Keeps what a run learnt, unless another run has kept something later.
///
/// # Errors
/// The landing bucket failed, or the file is of a newer version.
pub async fn keep(storage: &Storage, client_id: &str, quota: &Quota) -> anyhow::Result<()> {
    let Some((told_at, overall, read)) = quota.told() else {
        return Ok(());
    };
    let file = QuotaFile {
        version: VERSION,
        told_at,
        overall,
        read,
    };
    let key = keys::quota(client_id);
    let body = serde_json::to_vec(&file).context("write the quota")?;
    loop {
        let known = storage.get(&key).await?;
        if let Some((known, _)) = &known
            && parse(known, &key)?.told_at >= told_at
        {
            return Ok(());
        }
        let expected = known.as_ref().map(|(_, version)| version);
        match storage.replace(&key, body.clone().into(), expected).await? {
            Replaced::Done(_) => return Ok(()),
            Replaced::Changed => {} // another run of the same app was quicker
        }
    }
}

/// What was kept, by app.
///
/// # Errors
/// The landing bucket failed, or a file is of a newer version.
pub async fn all(storage: &Storage) -> anyhow::Result<Vec<(String, QuotaFile)>> {
    let folders = storage.list_folders(APPS).await.context("list the apps")?;
    let mut files = Vec::new();
    for folder in folders {
        let name = folder.trim_end_matches('/').rsplit('/').next();
        let Some(app) = name.and_then(|name| name.strip_prefix("app=")) else {
            continue;
        };
        let key = keys::quota(app);
        if let Some((body, _)) = storage.get(&key).await? {
            files.push((app.to_owned(), parse(&body, &key)?));
        }
    }
    Ok(files)
}

fn parse(body: &[u8], key: &str) -> anyhow::Result<QuotaFile> {
    check_version(body, VERSION).with_context(|| format!("read {key}"))?;
    serde_json::from_slice(body).with_context(|| format!("read {key}"))
}

impl QuotaFile {
    /// For a person: what was used of what, and when that was.
    pub fn text(&self, app: &str) -> String {
        let bucket = |name: &str, bucket: &Option<Bucket>| {
            let told = bucket.as_ref().map(|bucket| {
                let (quarter, day) = (bucket.quarter, bucket.day);
                format!(
                    "; {name}: {} of {} in the quarter of an hour, {} of {} on the day",
                    quarter.used, quarter.limit, day.used, day.limit
                )
            });
            told.unwrap_or_default()
        };
        format!(
            "app {app}: quota as of {}{}{}",
            self.told_at,
            bucket("all calls", &self.overall),
            bucket("reading calls", &self.read)
        )
    }
}
