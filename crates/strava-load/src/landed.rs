//! What landed and is not loaded yet: manifests, checked against what is really there.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use common::{
    landing::{Manifest, Origin, Part, Stream, keys, sha256_hex},
    storage::Storage,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::io::AsyncReadExt as _;

use crate::loads::Known;

/// How many manifests are read at a time.
const READERS: usize = 8;
const MANIFEST: &str = ".manifest.json";

/// The folder of a stream, as it is listed.
#[derive(Debug)]
pub struct Landed {
    /// Size by key.
    objects: BTreeMap<String, u64>,
}

/// What is to be loaded, in the order in which it was extracted.
#[derive(Debug, Default)]
pub struct Pending {
    pub parts: Vec<PendingPart>,
    /// Manifests of which nothing is left to load afterwards.
    pub manifests: Vec<String>,
    /// Tombstones that the manifests announce.
    pub tombstones: u64,
    /// Manifests that are left out, and why.
    pub damaged: BTreeMap<String, String>,
    /// Files that were loaded before.
    pub skipped: u64,
}

impl Pending {
    /// How many rows the manifests promise.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|pending| pending.part.rows).sum()
    }
}

/// A part to be read.
#[derive(Clone, Debug)]
pub struct PendingPart {
    pub part: Part,
    pub manifest: String,
    pub athlete_id: String,
    pub origin: Origin,
}

impl Landed {
    pub async fn list(storage: &Storage, stream: Stream) -> anyhow::Result<Landed> {
        let objects = storage.list(&keys::stream_prefix(stream)).await?;
        Ok(Landed {
            objects: objects
                .into_iter()
                .map(|object| (object.key, object.bytes))
                .collect(),
        })
    }

    pub fn has_manifests(&self) -> bool {
        self.objects.keys().any(|key| key.ends_with(MANIFEST))
    }

    /// What of it the table does not have; `damaged` names manifests that turned out so on reading.
    pub async fn pending(
        &self,
        storage: &Storage,
        stream: Stream,
        known: &Known,
        damaged: &BTreeMap<String, String>,
    ) -> anyhow::Result<Pending> {
        let mut pending = Pending {
            damaged: damaged.clone(),
            ..Pending::default()
        };
        let unread = self.objects.keys().filter(|key| {
            key.ends_with(MANIFEST)
                && !known.manifests.contains(*key)
                && !damaged.contains_key(*key)
        });
        let read = stream::iter(unread).map(async |key| match Manifest::read(storage, key).await {
            Err(error) if common::task::is_refused(&error) => Err(error),
            read => Ok((key.clone(), read)),
        });
        let mut manifests = Vec::new();
        let read: Vec<_> = read.buffered(READERS).try_collect().await?;
        for (key, manifest) in read {
            let usable = manifest.and_then(|manifest| {
                self.check(&manifest, stream)?;
                Ok(manifest)
            });
            match usable {
                Ok(manifest) => manifests.push((key, manifest)),
                Err(error) => drop(pending.damaged.insert(key, format!("{error:#}"))),
            }
        }
        manifests.sort_by(|(a, one), (b, other)| (one.finished_at, a).cmp(&(other.finished_at, b)));
        let mut taken = HashSet::new();
        for (key, manifest) in manifests {
            pending.tombstones += manifest.counts.deleted;
            for part in manifest.parts {
                let identity = (part.key.clone(), part.sha256.clone());
                if !known.parts.contains(&identity) && taken.insert(identity) {
                    pending.parts.push(PendingPart {
                        part,
                        manifest: key.clone(),
                        athlete_id: manifest.athlete_id.clone(),
                        origin: manifest.origin,
                    });
                }
            }
            pending.manifests.push(key);
        }
        pending.skipped = known
            .parts
            .iter()
            .filter(|(key, _)| self.objects.contains_key(key))
            .count() as u64;
        Ok(pending)
    }

    /// What a list can tell of a manifest's parts.
    fn check(&self, manifest: &Manifest, stream: Stream) -> anyhow::Result<()> {
        if manifest.stream != stream {
            return Err(anyhow!(
                "it is of stream {} and lies among {stream}",
                manifest.stream
            ));
        }
        for part in &manifest.parts {
            match self.objects.get(&part.key) {
                None => return Err(anyhow!("its part {} is missing", part.key)),
                Some(bytes) if *bytes != part.bytes => {
                    return Err(anyhow!(
                        "its part {} has {bytes} bytes, not {}",
                        part.key,
                        part.bytes
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// A part as it was read.
#[derive(Debug)]
pub enum Checked {
    Whole(Bytes),
    /// Not the bytes that the manifest promises.
    Damaged(String),
}

/// Reads a part whole (it is at most some MiB) and compares it with its manifest.
pub async fn read_part(storage: &Storage, part: &Part) -> anyhow::Result<Checked> {
    let Some(reader) = storage.read(&part.key).await? else {
        return Ok(Checked::Damaged(format!(
            "its part {} is missing",
            part.key
        )));
    };
    let mut body = Vec::with_capacity(part.bytes as usize + 1);
    let read = reader.take(part.bytes + 1).read_to_end(&mut body).await;
    read.with_context(|| format!("read {}", part.key))?;
    if body.len() as u64 != part.bytes {
        return Ok(Checked::Damaged(format!(
            "its part {} is not {} bytes long",
            part.key, part.bytes
        )));
    }
    if sha256_hex(&body) != part.sha256 {
        return Ok(Checked::Damaged(format!(
            "its part {} was altered: another sha256",
            part.key
        )));
    }
    Ok(Checked::Whole(Bytes::from(body)))
}
