//! What a test needs: a database of its own, a landing place, and lines to land there.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use common::{
    database_url,
    landing::{Manifest, Origin, Part, RunId, Stream, keys, sha256_hex},
    storage::{LandingUrl, Storage},
    task::Closing,
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use strava_load::{
    folder::Folder,
    load::{self, Request},
    rejects::{MaxRejects, OnTypeConflict},
    warehouse,
};
use tempfile::TempDir;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

pub(crate) const ATHLETE: &str = "42";
pub(crate) const TABLE: &str = "strava.ods_strava__activities";

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) database_url: String,
    pub(crate) landing_url: LandingUrl,
    pub(crate) storage: Storage,
    _folder: Option<TempDir>,
}

#[expect(clippy::disallowed_methods, reason = "tests have no Config")]
pub(crate) fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test-rust`"))
}

#[expect(clippy::disallowed_methods, reason = "tests have no Config")]
pub(crate) fn setting_or(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A path in the folder of recorded data; `None`, loudly, where it is not there.
pub(crate) fn recorded(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data")
        .join(path);
    let found = path.exists();
    if !found {
        eprintln!("skipped: {} is not there", path.display());
    }
    found.then_some(path)
}

pub(crate) async fn connect(url: &str) -> Client {
    let url = database_url::parse(&SecretString::from(url)).unwrap();
    warehouse::connect(&url, Duration::from_secs(60))
        .await
        .unwrap()
}

/// A new database of this name.
async fn database(name: &str) -> String {
    let mut url = url::Url::parse(&setting("DATABASE_URL")).unwrap();
    let admin = connect(url.as_str()).await;
    admin
        .batch_execute(&format!("drop database if exists \"{name}\" with (force)"))
        .await
        .unwrap();
    admin
        .batch_execute(&format!(
            "create database \"{name}\" template template0 encoding 'UTF8'"
        ))
        .await
        .unwrap();
    url.set_path(name);
    url.into()
}

impl World {
    /// A database and a landing directory.
    pub(crate) async fn new(test: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let landing_url = format!("file://{}", folder.path().display())
            .parse()
            .unwrap();
        World::at(test, landing_url, Some(folder)).await
    }

    /// A database and a prefix in the bucket of the devstack.
    pub(crate) async fn on_s3(test: &str) -> World {
        let url = format!(
            "s3://{}/{test}-{}",
            setting("DEVSTACK_BUCKET"),
            RunId::random()
        );
        World::at(test, url.parse().unwrap(), None).await
    }

    /// One of each.
    pub(crate) async fn both(test: &str) -> [World; 2] {
        [
            World::new(test).await,
            World::on_s3(&format!("{test}_s3")).await,
        ]
    }

    async fn at(test: &str, landing_url: LandingUrl, folder: Option<TempDir>) -> World {
        let database_url = database(&format!("load_{test}")).await;
        let client = connect(&database_url).await;
        let storage = Storage::open(&landing_url).await.unwrap();
        World {
            client,
            database_url,
            landing_url,
            storage,
            _folder: folder,
        }
    }

    /// Lands parts of lines under one manifest.
    pub(crate) async fn land(&self, run: &str, parts: &[Vec<String>]) -> Manifest {
        let mut stored = Vec::new();
        for lines in parts {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            stored.push((
                zstd::encode_all(text.as_bytes(), 3).unwrap(),
                lines.len() as u64,
            ));
        }
        self.land_stored(Stream::Activities, run, &stored).await
    }

    /// Lands parts as they are to be stored.
    pub(crate) async fn land_stored(
        &self,
        stream: Stream,
        run: &str,
        parts: &[(Vec<u8>, u64)],
    ) -> Manifest {
        let run_id: RunId = run.parse().unwrap();
        let mut manifest = Manifest::new(stream, Origin::Api, ATHLETE, &run_id, Timestamp::now());
        for (body, rows) in parts {
            let sha256 = sha256_hex(body);
            let key = keys::part(stream, ATHLETE, &run_id, &sha256);
            self.storage
                .put_if_absent(&key, Bytes::from(body.clone()))
                .await
                .unwrap();
            manifest.parts.push(Part {
                key,
                rows: *rows,
                bytes: body.len() as u64,
                sha256,
            });
            manifest.counts.rows += rows;
        }
        manifest.finished_at = Timestamp::now();
        manifest.put(&self.storage).await.unwrap()
    }

    pub(crate) fn request(&self) -> Request {
        Request {
            folders: Folder::all(),
            run_id: RunId::random(),
            max_rejects: MaxRejects::Usual,
            on_type_conflict: OnTypeConflict::Reject,
            hard_delete: false,
            dry_run: false,
        }
    }

    /// A load that must succeed; the counts of the activities.
    pub(crate) async fn sync(&self) -> Value {
        self.synced(TABLE).await
    }

    /// A load that must succeed; the counts of a table.
    pub(crate) async fn synced(&self, table: &str) -> Value {
        let closing = self.try_sync(&self.request()).await.unwrap();
        assert!(closing.failure.is_none(), "{:#}", closing.failure.unwrap());
        closing.counts["tables"][table].clone()
    }

    pub(crate) async fn try_sync(&self, request: &Request) -> anyhow::Result<Closing> {
        load::run(
            &self.client,
            &self.storage,
            request,
            &CancellationToken::new(),
        )
        .await
    }

    /// A load that must fail; what it says.
    pub(crate) async fn failed_sync(&self, request: &Request) -> String {
        match self.try_sync(request).await {
            Err(error) => format!("{error:#}"),
            Ok(closing) => format!("{:#}", closing.failure.expect("the load did not fail")),
        }
    }

    /// The single value of a query, as text.
    pub(crate) async fn value(&self, sql: &str) -> Option<String> {
        value(&self.client, sql).await
    }

    pub(crate) async fn rows(&self) -> i64 {
        self.client
            .query_one(&format!("select count(*) from {TABLE}"), &[])
            .await
            .unwrap()
            .get(0)
    }

    /// Every value of the table but those that say when and from where it was loaded, and its types.
    pub(crate) async fn content(&self) -> String {
        content(&self.client, TABLE).await
    }
}

pub(crate) async fn value(client: &Client, sql: &str) -> Option<String> {
    let rows = client.query(&format!("select ({sql})::text"), &[]).await;
    rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"))[0].get(0)
}

pub(crate) async fn content(client: &Client, table: &str) -> String {
    let columns = format!(
        "select string_agg(quote_ident(attname), ', ' order by attname) || '|' || \
         string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attname) \
         from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped \
         and attname not in ('_fetched_at', '_load_id', '_loaded_at', '_source_file', '_source_row')"
    );
    let columns = value(client, &columns).await.unwrap();
    let (names, types) = columns.split_once('|').unwrap();
    let rows = format!(
        "select string_agg(line, E'\\n' order by line) from (select row({names})::text as line from {table}) as lines"
    );
    format!(
        "{types}\n{}",
        value(client, &rows).await.unwrap_or_default()
    )
}

/// A landed line of an activity.
pub(crate) fn line(id: u64, fetched_at: &str, payload: &str) -> String {
    envelope(&id.to_string(), fetched_at, "api", payload)
}

pub(crate) fn envelope(id: &str, fetched_at: &str, origin: &str, payload: &str) -> String {
    let hash = &sha256_hex(payload.as_bytes())[..32];
    format!(
        "{{\"stream\":\"activities\",\"id\":\"{id}\",\"athlete_id\":\"{ATHLETE}\",\"fetched_at\":\"{fetched_at}\",\
         \"origin\":\"{origin}\",\"hash\":\"{hash}\",\"version_hash\":\"{hash}\",\"deleted\":false,\"payload\":{payload}}}"
    )
}

pub(crate) fn tombstone(id: u64, fetched_at: &str) -> String {
    line(id, fetched_at, "null").replace("\"deleted\":false", "\"deleted\":true")
}

/// The n-th of some times.
pub(crate) fn at(n: u64) -> String {
    format!("2026-11-{:02}T{:02}:00:00Z", 1 + n / 24, n % 24)
}
