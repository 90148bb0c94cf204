//! What a stage test runs in: a Strava of its own, a landing place of its own, the real binary.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Output,
};

use common::{
    landing::{Envelope, Manifest, Stream, manifests, sha256_hex},
    storage::{LandingUrl, Storage},
};
use devstack::strava::{
    Athlete, Generated, Limits, Options, PLANTED_FIRST_NAME, PLANTED_LAST_NAME, Simulator,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// The beginning of every token and secret that the simulator knows.
const PLANTED: &str = "planted-";

/// Where a test lands.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Directory,
    S3,
}

pub(crate) struct World {
    pub(crate) strava: Simulator,
    pub(crate) storage: Storage,
    pub(crate) folder: TempDir,
    pub(crate) variables: BTreeMap<&'static str, String>,
}

/// How a run of the binary ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    /// The closing line.
    pub(crate) line: Value,
    /// All of stdout and stderr.
    pub(crate) log: String,
}

/// A row that a manifest makes visible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) stream: String,
    pub(crate) id: String,
    pub(crate) origin: String,
    pub(crate) hash: String,
    pub(crate) deleted: bool,
    pub(crate) payload: String,
    pub(crate) fetched_at: jiff::Timestamp,
}

impl Row {
    /// What two runs of the same work have in common.
    pub(crate) fn identity(&self) -> (&str, &str, &str, &str, bool) {
        (
            &self.stream,
            &self.id,
            &self.origin,
            &self.hash,
            self.deleted,
        )
    }
}

/// An athlete of that many activities, without a limit in the way.
pub(crate) fn generated(activities: usize) -> Options {
    Options {
        athlete: Athlete::Generated(Generated {
            activities: Some(activities),
            ..Generated::default()
        }),
        quota: Limits::generous(),
        ..Options::default()
    }
}

/// Below the repository's sibling with real input; `None`, said loudly, where that is absent.
pub(crate) fn shared_data(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/strava")
        .join(path);
    if path.exists() {
        return Some(path);
    }
    #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
    {
        eprintln!("skipped: there is no ../shared/data/strava beside the repository");
    }
    None
}

impl World {
    pub(crate) async fn new(place: Place, options: Options) -> Self {
        let folder = TempDir::new().unwrap();
        let landing_url = match place {
            Place::Directory => {
                let landing = folder.path().join("landing");
                std::fs::create_dir(&landing).unwrap();
                format!("file://{}", landing.display())
            }
            Place::S3 => {
                let bucket = variable("DEVSTACK_BUCKET");
                format!("s3://{bucket}/strava-extract-{:016x}", fastrand::u64(..))
            }
        };
        let url: LandingUrl = landing_url.parse().unwrap();
        let storage = Storage::open(&url).await.unwrap();
        let strava = Simulator::start(options).await.unwrap();
        let token_store = format!(
            "file://{}/token-{{athlete_id}}.json",
            folder.path().display()
        );
        let variables = BTreeMap::from([
            ("LANDING_URL", landing_url),
            ("STRAVA_API_URL", strava.api_url()),
            ("STRAVA_OAUTH_URL", strava.oauth_url()),
            ("STRAVA_CLIENT_ID", strava.client_id().to_owned()),
            ("STRAVA_CLIENT_SECRET", strava.client_secret().to_owned()),
            ("STRAVA_REFRESH_TOKEN", strava.refresh_token()),
            ("STRAVA_ATHLETE_ID", strava.athlete_id().to_string()),
            ("STRAVA_TOKEN_STORE", token_store),
            ("LOG_FORMAT", "json".to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ]);
        Self {
            strava,
            storage,
            folder,
            variables,
        }
    }

    pub(crate) fn athlete_id(&self) -> String {
        self.strava.athlete_id().to_string()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strava-extract"));
        command
            .args(arguments)
            .envs(&self.variables)
            .kill_on_drop(true);
        command
    }

    /// Starts the binary, to be killed.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let silent = std::process::Stdio::null;
        self.command(arguments)
            .stdout(silent())
            .stderr(silent())
            .spawn()
            .unwrap()
    }

    /// Runs the binary to its end. No log may hold a token, a name or a coordinate.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        Run::of(
            self.command(arguments).output().await.unwrap(),
            &self.planted(),
        )
    }

    /// Runs `api` and expects it to succeed.
    pub(crate) async fn api(&self) -> Run {
        let run = self.run(&["api"]).await;
        assert_eq!(run.code, Some(0), "{}", run.log);
        run
    }

    fn planted(&self) -> Vec<String> {
        let mut planted = [PLANTED, PLANTED_FIRST_NAME, PLANTED_LAST_NAME]
            .map(str::to_owned)
            .to_vec();
        for summary in self.strava.control().summaries().iter().take(50) {
            let summary: Value = serde_json::from_str(summary).unwrap();
            planted.extend(
                summary["start_latlng"][0]
                    .as_f64()
                    .map(|latitude| latitude.to_string()),
            );
        }
        planted
    }

    /// Every row that a manifest makes visible, checked against what the manifest says of its parts.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for stream in Stream::ALL {
            for object in manifests(&self.storage, stream).await.unwrap() {
                let manifest = Manifest::read(&self.storage, &object.key).await.unwrap();
                let mut in_manifest = 0;
                for part in &manifest.parts {
                    let (body, _) = self
                        .storage
                        .get(&part.key)
                        .await
                        .unwrap()
                        .expect("a part is missing");
                    assert_eq!(
                        (body.len() as u64, sha256_hex(&body)),
                        (part.bytes, part.sha256.clone())
                    );
                    let text = zstd::decode_all(&*body).unwrap();
                    let before = rows.len();
                    for line in String::from_utf8(text).unwrap().lines() {
                        rows.push(row(&serde_json::from_str(line).unwrap()));
                    }
                    assert_eq!((rows.len() - before) as u64, part.rows);
                    in_manifest += part.rows;
                }
                assert_eq!(in_manifest, manifest.counts.rows);
                assert!(in_manifest > 0, "a manifest without rows");
            }
        }
        rows.sort();
        rows
    }

    /// The rows of the stream `activities`.
    pub(crate) async fn activities(&self) -> Vec<Row> {
        let mut rows = self.rows().await;
        rows.retain(|row| row.stream == "activities");
        rows
    }

    /// Every object below `source=`.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let objects = self.storage.list("source=").await.unwrap();
        objects.into_iter().map(|object| object.key).collect()
    }

    /// How often a path that begins like this was asked for.
    pub(crate) fn requests(&self, beginning: &str) -> usize {
        let requests = self.strava.control().requests();
        requests
            .iter()
            .filter(|request| request.path.starts_with(beginning))
            .count()
    }
}

fn row(envelope: &Envelope<'_>) -> Row {
    assert_eq!(envelope.hash, common::landing::hash(envelope.payload));
    Row {
        stream: envelope.stream.to_string(),
        id: envelope.id.to_string(),
        origin: envelope.origin.to_string(),
        hash: envelope.hash.to_string(),
        deleted: envelope.deleted,
        payload: envelope.payload.get().to_owned(),
        fetched_at: envelope.fetched_at,
    }
}

impl Run {
    fn of(output: Output, planted: &[String]) -> Self {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let log = stdout.clone() + &String::from_utf8_lossy(&output.stderr);
        for secret in planted {
            assert!(
                !log.contains(secret.as_str()),
                "the log holds {secret}: {log}"
            );
        }
        let line = stdout
            .lines()
            .last()
            .and_then(|line| serde_json::from_str(line).ok())
            .unwrap_or_default();
        Self {
            code: output.status.code(),
            line,
            log,
        }
    }

    /// A count of the stream `activities`.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.line["streams"]["activities"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name}: {}", self.log))
    }

    /// Ended with that code and a text that holds these.
    pub(crate) fn failed_with(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.log);
        let error = self.line["error"].as_str().unwrap_or_default();
        for text in texts {
            assert!(error.contains(text), "no {text:?} in: {error}");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test has no Config")]
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test-rust`"))
}

/// Each of these tests over a directory and over S3.
macro_rules! over_both {
    ($($name:ident),* $(,)?) => {
        mod directory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                Box::pin(super::$name(crate::world::Place::Directory)).await;
            })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                Box::pin(super::$name(crate::world::Place::S3)).await;
            })*
        }
    };
}
pub(crate) use over_both;

#[expect(clippy::disallowed_methods, reason = "a test has no Config")]
pub(crate) fn variable_or(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}
