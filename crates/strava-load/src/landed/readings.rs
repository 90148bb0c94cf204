//! Readings of the weather: each file is visible by itself, and never changes.

use std::collections::{BTreeMap, HashSet};

use super::{File, Landed, Lineage, Pending, PendingFile};
use crate::loads::Known;

const FILE: &str = ".parquet";

impl Landed {
    pub(super) fn readings(&self) -> impl Iterator<Item = (&String, &u64)> {
        self.objects.iter().filter(|(key, _)| key.ends_with(FILE))
    }

    /// In the order of each partition's offsets.
    pub(super) fn pending_readings(
        &self,
        known: &Known,
        damaged: &BTreeMap<String, String>,
    ) -> Pending {
        let loaded: HashSet<(&str, u64)> = known
            .files
            .iter()
            .map(|((key, _), bytes)| (key.as_str(), *bytes))
            .collect();
        let mut files: Vec<PendingFile> = self
            .readings()
            .filter(|(key, bytes)| {
                !loaded.contains(&(key.as_str(), **bytes)) && !damaged.contains_key(*key)
            })
            .map(|(key, bytes)| PendingFile {
                file: File {
                    key: key.clone(),
                    bytes: *bytes,
                    promise: None,
                },
                voucher: key.clone(),
                lineage: Lineage {
                    athlete_id: None,
                    origin: partition(key).to_owned(),
                },
            })
            .collect();
        files.sort_by(|one, other| name(&one.file.key).cmp(name(&other.file.key)));
        Pending {
            files,
            damaged: damaged.clone(),
            ..Pending::default()
        }
    }
}

/// `<topic>+<partition>+<offset>.parquet`.
fn name(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

/// `<topic>+<partition>`.
fn partition(key: &str) -> &str {
    name(key)
        .rsplit_once('+')
        .map_or(key, |(partition, _)| partition)
}
