//! What landed and is not loaded yet, compared with what is really there.

mod manifests;
mod readings;

use std::collections::BTreeMap;

use anyhow::Context as _;
use bytes::Bytes;
use common::{
    landing::{Part, sha256_hex},
    storage::Storage,
};
use tokio::io::AsyncReadExt as _;

use crate::{folder::Folder, loads::Known};

/// A folder of the landing bucket, as it is listed.
#[derive(Debug)]
pub struct Landed {
    folder: Folder,
    /// Size by key.
    objects: BTreeMap<String, u64>,
}

/// What is to be loaded, in the order in which it was extracted.
#[derive(Debug, Default)]
pub struct Pending {
    pub files: Vec<PendingFile>,
    /// Manifests of which nothing is left to load afterwards.
    pub manifests: Vec<String>,
    /// Tombstones that the manifests announce.
    pub tombstones: u64,
    /// What is left out, and why: manifests, or files that stand for themselves.
    pub damaged: BTreeMap<String, String>,
    /// Files that were loaded before.
    pub skipped: u64,
}

impl Pending {
    /// How many rows are promised; `None` where nobody promised.
    pub fn rows(&self) -> Option<u64> {
        let promised = |pending: &PendingFile| Some(pending.file.promise.as_ref()?.rows);
        self.files.iter().map(promised).sum()
    }
}

/// A file to be read.
#[derive(Clone, Debug)]
pub struct PendingFile {
    pub file: File,
    /// What makes it visible: its manifest, or it itself.
    pub voucher: String,
    pub lineage: Lineage,
}

/// An object of the landing bucket.
#[derive(Clone, Debug)]
pub struct File {
    pub key: String,
    pub bytes: u64,
    pub promise: Option<Promise>,
}

/// What a manifest says of a file.
#[derive(Clone, Debug)]
pub struct Promise {
    pub rows: u64,
    pub sha256: String,
}

/// Whose rows a file has: within one lineage a later file speaks of the same rows anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lineage {
    pub athlete_id: Option<String>,
    /// `api` or `export`; of readings topic and partition.
    pub origin: String,
}

impl From<Part> for File {
    fn from(part: Part) -> File {
        File {
            key: part.key,
            bytes: part.bytes,
            promise: Some(Promise {
                rows: part.rows,
                sha256: part.sha256,
            }),
        }
    }
}

impl Landed {
    pub async fn list(storage: &Storage, folder: Folder) -> anyhow::Result<Landed> {
        let objects = storage.list(&folder.prefix()).await?;
        Ok(Landed {
            folder,
            objects: objects
                .into_iter()
                .map(|object| (object.key, object.bytes))
                .collect(),
        })
    }

    /// Whether anything in it may be loaded.
    pub fn has_any(&self) -> bool {
        match self.folder {
            Folder::Stream(_) => self.manifests().next().is_some(),
            Folder::Weather => self.readings().next().is_some(),
        }
    }

    /// What of it the table does not have; `damaged` names what turned out so on reading.
    pub async fn pending(
        &self,
        storage: &Storage,
        known: &Known,
        damaged: &BTreeMap<String, String>,
    ) -> anyhow::Result<Pending> {
        let mut pending = match self.folder {
            Folder::Stream(stream) => {
                self.pending_manifests(storage, stream, known, damaged)
                    .await?
            }
            Folder::Weather => self.pending_readings(known, damaged),
        };
        let skipped = known
            .files
            .keys()
            .filter(|(key, _)| self.objects.contains_key(key));
        pending.skipped = skipped.count() as u64;
        Ok(pending)
    }
}

/// A file as it was read.
#[derive(Debug)]
pub enum Checked {
    Whole {
        body: Bytes,
        sha256: String,
    },
    /// Not the bytes that were promised.
    Damaged(String),
}

/// Reads a file whole (it is at most some MiB) and compares it with what was promised.
pub async fn read(storage: &Storage, file: &File) -> anyhow::Result<Checked> {
    let (key, bytes) = (&file.key, file.bytes);
    let Some(reader) = storage.read(key).await? else {
        return Ok(Checked::Damaged(format!("{key} is missing")));
    };
    let mut body = Vec::with_capacity(bytes as usize + 1);
    let read = reader.take(bytes + 1).read_to_end(&mut body).await;
    read.with_context(|| format!("read {key}"))?;
    if body.len() as u64 != bytes {
        return Ok(Checked::Damaged(format!("{key} is not {bytes} bytes long")));
    }
    let sha256 = sha256_hex(&body);
    let promised = file.promise.as_ref().map(|promise| &promise.sha256);
    if promised.is_some_and(|promised| *promised != sha256) {
        return Ok(Checked::Damaged(format!(
            "{key} was altered: another sha256"
        )));
    }
    Ok(Checked::Whole {
        body: Bytes::from(body),
        sha256,
    })
}
