//! The places that the tests run over: each test has one to itself.

use std::path::PathBuf;

use common::storage::Storage;
use tempfile::TempDir;

/// A storage of its own, and what keeps it alive.
pub(crate) struct Place {
    pub(crate) storage: Storage,
    pub(crate) url: String,
    pub(crate) folder: Option<TempDir>,
}

pub(crate) async fn directory() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    Place {
        storage: open(&url).await,
        url,
        folder: Some(folder),
    }
}

pub(crate) async fn s3() -> Place {
    let url = format!("s3://{}/{}", variable("DEVSTACK_BUCKET"), unique("common"));
    Place {
        storage: open(&url).await,
        url,
        folder: None,
    }
}

pub(crate) async fn open(url: &str) -> Storage {
    Storage::open(&url.parse().unwrap()).await.unwrap()
}

/// A name that no other test has.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{:016x}", fastrand::u64(..))
}

/// Where a token may be kept, and the folder that keeps it alive.
pub(crate) fn token_folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token-{athlete_id}.json");
    (folder, path)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the development world tells its addresses by variables"
)]
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test-rust`, which starts S3 first")
    })
}

/// Stamps a list of async tests over both storages.
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod over_a_directory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() { super::$test(crate::places::directory().await).await; })*
        }
        mod over_s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() { super::$test(crate::places::s3().await).await; })*
        }
    };
}
pub(crate) use over_both;
