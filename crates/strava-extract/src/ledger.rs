//! The ledger: what of an athlete is landed, what was set aside, and what a killed run left open.

use std::{
    collections::BTreeMap,
    fmt,
    io::{BufReader, BufWriter},
    str::FromStr,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use common::{
    landing::{Envelope, Manifest, Origin, Part, RunId, Stream, Window, keys},
    storage::{Replaced, Storage, Version},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// What is known of one athlete. An activity takes about 110 bytes in memory and 100 in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ledger {
    version: u32,
    pub athlete_id: String,
    /// When the last run ended that left nothing pending.
    pub completed_at: Option<Timestamp>,
    /// A walk through the list of activities that a limit cut short.
    pub walk: Option<Walk>,
    /// What the run at work has landed and no manifest names yet.
    pub open_run: Option<OpenRun>,
    /// What could not be read or fetched, with the reason.
    pub quarantine: Vec<Quarantined>,
    /// Landed records of the streams that are not by activity, by id.
    pub others: BTreeMap<Stream, BTreeMap<String, Landed>>,
    pub activities: BTreeMap<u64, Activity>,
}

/// What is landed of one activity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The summary as the API has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Landed>,
    /// The record of an export.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Exported>,
    /// The second in which its tombstone was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<i64>,
    /// Whether the walk at work has met it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub met: bool,
}

/// A landed payload by its hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    pub hash: Hash,
    /// Without counters.
    pub version: Hash,
}

/// A landed record of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    pub hash: Hash,
    /// The second that the archive is of: an older archive never wins.
    pub as_of: i64,
}

/// A walk that a limit cut short goes on below this second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    pub before: i64,
}

/// What was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    pub stream: Stream,
    pub origin: Origin,
    /// An activity's id, or `activities.csv record 17`. No content.
    pub what: String,
    pub reason: String,
    pub attempts: u32,
    pub since: Timestamp,
}

/// Parts without a manifest. Every later run writes it first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenRun {
    pub run_id: RunId,
    pub streams: BTreeMap<Stream, OpenStream>,
}

/// One stream of an open run: all that its manifest will say.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenStream {
    pub origin: Origin,
    pub started_at: Timestamp,
    pub window: Window,
    pub deleted: u64,
    pub parts: Vec<Part>,
}

/// The 32 hex digits of a hash in 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 16]);

/// The ledger and where it is kept. A write fails where another has written meanwhile.
#[derive(Debug)]
pub struct LedgerFile {
    storage: Storage,
    key: String,
    version: Option<Version>,
    /// Of what was read or written last.
    bytes: usize,
}

impl Ledger {
    /// Of an athlete of whom nothing is landed.
    pub fn new(athlete_id: &str) -> Self {
        Self {
            version: VERSION,
            athlete_id: athlete_id.to_owned(),
            completed_at: None,
            walk: None,
            open_run: None,
            quarantine: Vec::new(),
            others: BTreeMap::new(),
            activities: BTreeMap::new(),
        }
    }

    /// Activities that the API has listed and that are not known to be deleted.
    pub fn living(&self) -> impl Iterator<Item = (u64, &Activity)> {
        self.activities
            .iter()
            .filter(|(_, activity)| activity.is_living())
            .map(|(&id, activity)| (id, activity))
    }

    /// Sets something aside, in place of what was said of it before.
    pub fn set_aside(&mut self, quarantined: Quarantined) {
        self.take_back(quarantined.stream, quarantined.origin, &quarantined.what);
        self.quarantine.push(quarantined);
    }

    /// Takes something out of quarantine.
    pub fn take_back(&mut self, stream: Stream, origin: Origin, what: &str) {
        self.quarantine
            .retain(|it| (it.stream, it.origin, it.what.as_str()) != (stream, origin, what));
    }

    /// Why something is in quarantine, where it is.
    pub fn quarantined(&self, stream: Stream, origin: Origin, what: &str) -> Option<&Quarantined> {
        self.quarantine
            .iter()
            .find(|it| (it.stream, it.origin, it.what.as_str()) == (stream, origin, what))
    }

    fn read(body: &[u8]) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let lines = || anyhow::Ok(BufReader::new(zstd::Decoder::new(body)?));
        let ledger: anyhow::Result<Self> =
            lines().and_then(|text| Ok(serde_json::from_reader(text)?));
        // Looked at only where the ledger cannot be read: twice through it is twice the time.
        let version = match &ledger {
            Ok(ledger) => ledger.version,
            Err(_) => serde_json::from_reader::<_, Versioned>(lines()?).map_or(0, |it| it.version),
        };
        if version > VERSION {
            bail!(
                "it is of version {version} and this program knows {VERSION}: use a newer strava-extract"
            );
        }
        ledger
    }

    /// `about`: how many bytes it will take. A buffer that need not grow leaves no holes behind.
    fn write(&self, about: usize) -> anyhow::Result<Bytes> {
        let body = Vec::with_capacity(about + about / 8);
        let mut encoder = BufWriter::with_capacity(64 * 1024, zstd::Encoder::new(body, 1)?);
        serde_json::to_writer(&mut encoder, self)?;
        Ok(encoder
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .finish()?
            .into())
    }
}

impl LedgerFile {
    /// Opens the ledger of that athlete; an empty one where there is none yet.
    pub async fn open(storage: &Storage, athlete_id: &str) -> anyhow::Result<(Self, Ledger)> {
        let key = keys::ledger(athlete_id);
        let found = storage
            .get(&key)
            .await
            .with_context(|| format!("read the ledger {key}"))?;
        let bytes = found.as_ref().map_or(0, |(body, _)| body.len());
        let (ledger, version) = match found {
            Some((body, version)) => {
                let ledger =
                    Ledger::read(&body).with_context(|| format!("read the ledger {key}"))?;
                (ledger, Some(version))
            }
            None => (Ledger::new(athlete_id), None),
        };
        Ok((
            Self {
                storage: storage.clone(),
                key,
                version,
                bytes,
            },
            ledger,
        ))
    }

    /// Writes the ledger in place of the one that was read or written last.
    pub async fn save(&mut self, ledger: &Ledger) -> anyhow::Result<()> {
        let body = ledger.write(self.bytes).context("encode the ledger")?;
        self.bytes = body.len();
        let written = self
            .storage
            .replace(&self.key, body, self.version.as_ref())
            .await;
        match written.with_context(|| format!("write the ledger {}", self.key))? {
            Replaced::Done(version) => self.version = Some(version),
            Replaced::Changed => bail!(
                "write the ledger {}: another run has written it meanwhile",
                self.key
            ),
        }
        Ok(())
    }
}

impl OpenStream {
    /// The manifest that makes the parts visible.
    pub fn manifest(&self, stream: Stream, athlete_id: &str, run_id: &RunId) -> Manifest {
        let mut manifest = Manifest::new(stream, self.origin, athlete_id, run_id, self.started_at);
        manifest.finished_at = Timestamp::now();
        manifest.window = self.window;
        manifest.counts.rows = self.parts.iter().map(|part| part.rows).sum();
        manifest.counts.deleted = self.deleted;
        manifest.parts.clone_from(&self.parts);
        manifest
    }
}

impl Activity {
    /// Listed by the API and not known to be deleted.
    pub fn is_living(&self) -> bool {
        self.api.is_some() && self.deleted_at.is_none()
    }
}

impl Landed {
    /// The hashes of an envelope.
    pub fn of(envelope: &Envelope<'_>) -> anyhow::Result<Self> {
        Ok(Self {
            hash: envelope.hash.parse()?,
            version: envelope.version_hash.parse()?,
        })
    }
}

/// A text that is not 32 hex digits.
#[derive(Debug, thiserror::Error)]
#[error("a hash has 32 hex digits")]
pub struct NoHash;

impl FromStr for Hash {
    type Err = NoHash;

    fn from_str(text: &str) -> Result<Self, NoHash> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoHash);
        }
        u128::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| NoHash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Hash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 hex digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hash, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::{Activity, Exported, Hash, Landed, Ledger};

    fn hash(n: u64) -> Hash {
        common::landing::sha256_hex(&n.to_be_bytes())[..32]
            .parse()
            .unwrap()
    }

    #[test]
    fn an_activity_takes_at_most_300_bytes_in_the_file_and_in_memory() {
        const ACTIVITIES: u64 = 10_000;
        let mut ledger = Ledger::new("42");
        for n in 0..ACTIVITIES {
            let api = Some(Landed {
                hash: hash(n),
                version: hash(n + ACTIVITIES),
            });
            let export = Some(Exported {
                hash: hash(n + 2 * ACTIVITIES),
                as_of: 1_700_000_000,
            });
            ledger.activities.insert(
                20_000_000_000 + n * 977,
                Activity {
                    api,
                    export,
                    deleted_at: None,
                    met: true,
                },
            );
        }
        let stored = ledger.write(0).unwrap();
        assert!(
            stored.len() as u64 <= 300 * ACTIVITIES,
            "{} bytes",
            stored.len()
        );
        // A B-tree node is at least half full.
        assert!(2 * (size_of::<Activity>() + size_of::<u64>()) <= 300);
        assert_eq!(Ledger::read(&stored).unwrap().activities, ledger.activities);
    }

    #[test]
    fn a_newer_ledger_is_refused_by_its_version_whatever_else_is_in_it() {
        let newer = zstd::encode_all(
            br#"{"version":2,"activities":"somewhere else"}"#.as_slice(),
            1,
        )
        .unwrap();
        let error = format!("{:#}", Ledger::read(&newer).unwrap_err());
        assert!(
            error.contains("version 2") && error.contains("newer strava-extract"),
            "{error}"
        );
    }

    #[test]
    fn a_hash_is_its_own_text() {
        let text = "00f7f8fe98b5daf1f36ac2d78a74234e";
        assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
        assert!("+0f7f8fe98b5daf1f36ac2d78a74234".parse::<Hash>().is_err());
        assert!("xyz".parse::<Hash>().is_err());
    }
}
