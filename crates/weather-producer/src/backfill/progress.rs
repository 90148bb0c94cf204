//! Which activities have their weather: `state/weather/backfill.json.zst`.

use std::collections::BTreeSet;
use std::io::Read as _;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use common::storage::{Replaced, Storage, Version};
use serde::{Deserialize, Serialize};

use super::plan::Want;

const KEY: &str = "state/weather/backfill.json.zst";
const VERSION: u64 = 1;
const LEVEL: i32 = 3;
/// Of a run that writes at the same time.
const ATTEMPTS: u32 = 8;
/// A million activities are a tenth of that.
const MAX_BYTES: u64 = 512 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u64,
    /// Hashes of the wants that are fulfilled: no id and no place of anybody.
    done: BTreeSet<String>,
}

/// The state as it was read or written last.
#[derive(Debug)]
pub(super) struct Progress {
    storage: Storage,
    version: Option<Version>,
    done: BTreeSet<String>,
}

impl Progress {
    pub(super) async fn open(storage: Storage) -> anyhow::Result<Self> {
        let mut progress = Self {
            storage,
            version: None,
            done: BTreeSet::new(),
        };
        progress.read().await?;
        Ok(progress)
    }

    pub(super) fn has(&self, want: &Want) -> bool {
        self.done.contains(&want.hash)
    }

    /// Remembers what is done, once Kafka has it.
    pub(super) async fn add(&mut self, done: &[Want]) -> anyhow::Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            self.done.extend(done.iter().map(|want| want.hash.clone()));
            let body = self.encode()?;
            match self
                .storage
                .replace(KEY, body, self.version.as_ref())
                .await
                .context("write the progress")?
            {
                Replaced::Done(version) => {
                    self.version = Some(version);
                    return Ok(());
                }
                // Another run: what it did stays done.
                Replaced::Changed => self.read().await?,
            }
        }
        bail!("write the progress {KEY}: other runs write it all the time")
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let Some((body, version)) = self.storage.get(KEY).await.context("read the progress")?
        else {
            self.version = None;
            return Ok(());
        };
        let state = decode(&body).with_context(|| format!("read the progress {KEY}"))?;
        self.done.extend(state.done);
        self.version = Some(version);
        Ok(())
    }

    fn encode(&self) -> anyhow::Result<Bytes> {
        let state = State {
            version: VERSION,
            done: self.done.clone(),
        };
        let json = serde_json::to_vec(&state).context("encode the progress")?;
        Ok(zstd::encode_all(json.as_slice(), LEVEL)
            .context("compress the progress")?
            .into())
    }
}

fn decode(body: &[u8]) -> anyhow::Result<State> {
    let mut json = Vec::new();
    let mut decoder = zstd::Decoder::new(body)
        .context("decompress")?
        .take(MAX_BYTES);
    decoder.read_to_end(&mut json).context("decompress")?;
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let Versioned { version } = serde_json::from_slice(&json).context("decode")?;
    if version > VERSION {
        bail!(
            "it has version {version} and this program knows up to {VERSION}: use the newer program"
        );
    }
    serde_json::from_slice(&json).context("decode")
}

#[cfg(test)]
mod tests {
    use common::weather::Source;

    use super::*;

    fn want(hash: &str) -> Want {
        let at = "2026-10-03T12:00:00Z".parse().unwrap();
        Want {
            location: 0,
            source: Source::Archive,
            from: at,
            to: at,
            hash: hash.into(),
        }
    }

    async fn open(folder: &std::path::Path) -> anyhow::Result<Progress> {
        let url = format!("file://{}", folder.display()).parse().unwrap();
        Progress::open(Storage::open(&url).await?).await
    }

    #[tokio::test]
    async fn two_runs_at_once_lose_nothing_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let (mut one, mut other) = (
            open(folder.path()).await.unwrap(),
            open(folder.path()).await.unwrap(),
        );
        one.add(&[want("a")]).await.unwrap();
        other.add(&[want("b")]).await.unwrap();
        one.add(&[want("c")]).await.unwrap();
        let read = open(folder.path()).await.unwrap();
        assert!(read.has(&want("a")) && read.has(&want("b")) && read.has(&want("c")));
        assert!(!read.has(&want("moved")));
    }

    #[tokio::test]
    async fn a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEY);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(
            &path,
            zstd::encode_all(&br#"{"version":2,"all":"new"}"#[..], 3).unwrap(),
        )
        .unwrap();
        let refused = open(folder.path()).await.unwrap_err();
        assert!(format!("{refused:#}").contains("version 2"), "{refused:#}");
    }
}
