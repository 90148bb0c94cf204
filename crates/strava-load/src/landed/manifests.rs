//! Streams of athletes: what their manifests promise and the table does not have.

use std::collections::{BTreeMap, HashSet};

use anyhow::anyhow;
use common::{
    landing::{Manifest, Stream},
    storage::Storage,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Landed, Lineage, Pending, PendingFile};
use crate::loads::Known;

/// How many manifests are read at a time.
const READERS: usize = 8;
const MANIFEST: &str = ".manifest.json";

impl Landed {
    pub(super) fn manifests(&self) -> impl Iterator<Item = &String> {
        self.objects.keys().filter(|key| key.ends_with(MANIFEST))
    }

    pub(super) async fn pending_manifests(
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
        let unread = self
            .manifests()
            .filter(|key| !known.manifests.contains(*key) && !damaged.contains_key(*key));
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
                if !known.files.contains_key(&identity) && taken.insert(identity) {
                    pending.files.push(PendingFile {
                        file: part.into(),
                        voucher: key.clone(),
                        lineage: Lineage {
                            athlete_id: Some(manifest.athlete_id.clone()),
                            origin: manifest.origin.as_str().to_owned(),
                        },
                    });
                }
            }
            pending.manifests.push(key);
        }
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
