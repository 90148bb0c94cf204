//! The manifest: what makes a run's parts visible, written last of all.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Origin, Part, RunId, Stream, check_version, keys};
use crate::storage::{ObjectMeta, Storage, Written};

/// The version that is written, and the highest that is understood.
const VERSION: u32 = 1;
const SUFFIX: &str = ".manifest.json";

/// The time that a run looked at: null where it is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "two ends of a span of time")]
pub struct Window {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// How many envelopes the parts hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub rows: u64,
    /// The tombstones among them.
    pub deleted: u64,
}

/// One run's parts of one stream, one athlete and one day's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the contract's own names, explained in the contract"
)]
pub struct Manifest {
    version: u32,
    pub stream: Stream,
    pub origin: Origin,
    pub athlete_id: String,
    pub run_id: RunId,
    /// From 1; [`put`](Self::put) takes the next free one.
    pub attempt: u32,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub window: Window,
    pub counts: Counts,
    pub parts: Vec<Part>,
}

impl Manifest {
    /// A manifest without parts yet, begun and finished at `started_at`.
    pub fn new(
        stream: Stream,
        origin: Origin,
        athlete_id: &str,
        run_id: &RunId,
        started_at: Timestamp,
    ) -> Self {
        Self {
            version: VERSION,
            stream,
            origin,
            athlete_id: athlete_id.to_owned(),
            run_id: run_id.clone(),
            attempt: 1,
            started_at,
            finished_at: started_at,
            window: Window::default(),
            counts: Counts::default(),
            parts: Vec::new(),
        }
    }

    /// `<run>.<attempt>.manifest.json` in the folder of the first part, else of the run's date.
    pub fn key(&self) -> String {
        let folder = self
            .parts
            .first()
            .and_then(|part| Some(&part.key[..=part.key.rfind('/')?]));
        let folder = folder.map_or_else(
            || keys::day_prefix(self.stream, &self.athlete_id, self.run_id.date()),
            ToOwned::to_owned,
        );
        format!(
            "{folder}{}.{}{SUFFIX}",
            self.run_id.key_form(),
            self.attempt
        )
    }

    /// Stores it under the next free attempt, and returns it with that attempt.
    ///
    /// Where an earlier attempt names the same parts already, that one is returned and nothing is
    /// written: a run that was killed behind its manifest comes again with nothing new.
    ///
    /// # Errors
    /// When the storage fails, or an earlier attempt cannot be read.
    pub async fn put(mut self, storage: &Storage) -> anyhow::Result<Self> {
        for attempt in 1.. {
            self.attempt = attempt;
            let key = self.key();
            let body = Bytes::from(serde_json::to_vec(&self).context("encode manifest")?);
            if storage.put_if_absent(&key, body).await? == Written::Created {
                return Ok(self);
            }
            let earlier = Self::read(storage, &key).await?;
            if earlier.parts == self.parts {
                return Ok(earlier);
            }
        }
        bail!(
            "write manifest of run {}: every attempt is taken",
            self.run_id
        )
    }

    /// Reads the manifest at `key`.
    ///
    /// # Errors
    /// When it is missing, no manifest, or of a newer version than this program knows.
    pub async fn read(storage: &Storage, key: &str) -> anyhow::Result<Self> {
        let (body, _) = storage
            .get(key)
            .await?
            .with_context(|| format!("read manifest {key}: it is gone"))?;
        Self::parse(&body).with_context(|| format!("read manifest {key}"))
    }

    fn parse(body: &[u8]) -> anyhow::Result<Self> {
        check_version(body, VERSION)?;
        serde_json::from_slice(body).context("it is no manifest")
    }
}

/// Where the manifests of a stream lie, of every athlete, sorted by key.
///
/// # Errors
/// When the storage cannot be listed.
pub async fn manifests(storage: &Storage, stream: Stream) -> anyhow::Result<Vec<ObjectMeta>> {
    let mut objects = storage.list(&keys::stream_prefix(stream)).await?;
    objects.retain(|object| object.key.ends_with(SUFFIX));
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(part: &str) -> Manifest {
        let run_id = "20261124T170000Z-x".parse().unwrap();
        let at = "2026-11-24T17:00:00Z".parse().unwrap();
        let key = format!(
            "{}{part}",
            keys::day_prefix(Stream::Gear, "42", "2026-11-23".parse().unwrap())
        );
        Manifest {
            parts: vec![Part {
                key,
                rows: 1,
                bytes: 2,
                sha256: "ab".into(),
            }],
            counts: Counts {
                rows: 1,
                deleted: 0,
            },
            ..Manifest::new(Stream::Gear, Origin::Api, "42", &run_id, at)
        }
    }

    #[test]
    fn it_reads_as_the_contract_says() {
        let key = "source=strava/type=gear/athlete=42/date=20261123/p";
        assert_eq!(
            serde_json::to_value(manifest("p")).unwrap(),
            json!({"version": 1, "stream": "gear", "origin": "api", "athlete_id": "42", "run_id": "20261124T170000Z-x",
                "attempt": 1, "started_at": "2026-11-24T17:00:00Z", "finished_at": "2026-11-24T17:00:00Z",
                "window": {"from": null, "to": null}, "counts": {"rows": 1, "deleted": 0},
                "parts": [{"key": key, "rows": 1, "bytes": 2, "sha256": "ab"}]})
        );
    }

    #[tokio::test]
    async fn an_attempt_is_taken_only_for_something_new() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display())
            .parse()
            .unwrap();
        let storage = Storage::open(&url).await.unwrap();
        let first = manifest("p").put(&storage).await.unwrap();
        let again = manifest("p").put(&storage).await.unwrap();
        let other = manifest("q").put(&storage).await.unwrap();
        assert_eq!((first.attempt, again.attempt, other.attempt), (1, 1, 2));
        let listed: Vec<_> = manifests(&storage, Stream::Gear)
            .await
            .unwrap()
            .into_iter()
            .map(|it| it.key)
            .collect();
        assert_eq!(listed, [first.key(), other.key()]);
        assert_eq!(Manifest::read(&storage, &other.key()).await.unwrap(), other);
        assert!(
            other
                .key()
                .ends_with("/date=20261123/20261124T170000Z-x.2.manifest.json")
        );
    }

    #[test]
    fn a_newer_version_is_refused_by_its_number() {
        let text = r#"{"version":2,"parts":"elsewhere"}"#;
        let error = format!("{:#}", Manifest::parse(text.as_bytes()).unwrap_err());
        assert!(error.contains("version 2, this program knows 1"), "{error}");
    }
}
