//! Whose turn it is to refresh: of all who hold the same token, one at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use common::{
    credentials::TokenStore,
    landing::{Lease, RunId},
    storage::Storage,
    task::{Refused, Stopped},
};
use tokio_util::sync::CancellationToken;

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A refresh with all its tries takes no longer.
const LONGEST_REFRESH: Duration = Duration::from_secs(60);

/// Where those who refresh at the same time wait for each other. SSM cannot compare and swap, so
/// that its refresh holds a lease in the landing bucket; a file has a lock beside it.
pub struct Queue {
    pub storage: Storage,
    pub run_id: RunId,
    pub max_wait: Duration,
}

/// What is held while refreshing.
pub(crate) enum Turn {
    File(#[expect(dead_code, reason = "held for its lock, which ends with it")] File),
    Lease(Lease),
}

impl Queue {
    /// Waits for the turn at this store; `lease` is the key to use where there is no lock.
    pub(crate) async fn turn(
        &self,
        store: &TokenStore,
        lease: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<Turn> {
        match store {
            TokenStore::File(path) => self.lock_beside(path, stop).await.map(Turn::File),
            TokenStore::Ssm(_) => {
                let Self {
                    storage,
                    run_id,
                    max_wait,
                } = self;
                let owner = "strava-extract, refreshing a token";
                let lease = Lease::acquire(storage, lease, owner, run_id, *max_wait, stop).await?;
                Ok(Turn::Lease(lease))
            }
        }
    }

    /// The store's own lock is for the length of a read or write; this one, for that of a refresh.
    async fn lock_beside(&self, path: &Path, stop: &CancellationToken) -> anyhow::Result<File> {
        let mut name = path.as_os_str().to_owned();
        name.push(".refresh");
        let beside = Path::new(&name);
        let context = || format!("lock {}", beside.display());
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(beside);
        // A missing folder or a missing right does not come by itself.
        let file =
            file.map_err(|error| Refused::new(format!("{error}; look at STRAVA_TOKEN_STORE")));
        let file = file.with_context(context)?;
        let give_up = Instant::now() + self.max_wait.max(LONGEST_REFRESH);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(error).with_context(context),
                Err(TryLockError::WouldBlock) if Instant::now() >= give_up => {
                    anyhow::bail!(
                        "lock {}: another process refreshes and does not end",
                        beside.display()
                    )
                }
                Err(TryLockError::WouldBlock) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => anyhow::bail!(Stopped),
            }
        }
    }
}

impl Turn {
    /// Whether it is still ours: asked right before the store is written.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Lease(lease) => lease.check(),
        }
    }

    /// Lets the next one have it.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Lease(lease) => lease.release().await,
        }
    }
}
