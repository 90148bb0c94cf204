//! The lease: one writer of an athlete's state at a time, whoever dies.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{RunId, check_version};
use crate::{
    storage::{Replaced, Storage, Version},
    task::Stopped,
};

const VERSION: u32 = 1;
/// How long a lease holds without being renewed.
const HOLDS_FOR: Duration = Duration::from_secs(120);
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// How often a waiter looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    version: u32,
    owner: String,
    run_id: RunId,
    expires_at: Timestamp,
}

/// A held lease. It renews itself every 30 s until it is released or dropped.
///
/// Dropped without [`release`](Self::release), it is free for the same run at once and for anybody
/// else within two minutes.
#[derive(Debug)]
pub struct Lease {
    held: Arc<Held>,
    renewal: JoinHandle<()>,
}

#[derive(Debug)]
struct Held {
    storage: Storage,
    key: String,
    /// What was written last, and the version that it got.
    state: Mutex<(Holder, Version)>,
    lost: CancellationToken,
    released: CancellationToken,
}

impl Lease {
    /// Takes the lease at `key` for `owner` (who it is, for people) in the run `run_id`.
    ///
    /// What the same run holds is taken back at once, what another holds after it expired. Until
    /// then this waits, for `max_wait` at most.
    ///
    /// # Errors
    /// With the holder and the expiry when `max_wait` has passed; [`Stopped`] when `stop` is
    /// cancelled; when the storage fails or the lease is of a newer version.
    pub async fn acquire(
        storage: &Storage,
        key: &str,
        owner: &str,
        run_id: &RunId,
        max_wait: Duration,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let give_up = Instant::now() + max_wait;
        let mut told = false;
        loop {
            let found = read(storage, key).await?;
            let now = Timestamp::now();
            let (expected, holder) = match &found {
                None => (None, None),
                Some((holder, version)) => {
                    let free = holder.run_id == *run_id || holder.expires_at <= now;
                    (Some(version), (!free).then_some(holder))
                }
            };
            let Some(holder) = holder else {
                let mine = Holder {
                    version: VERSION,
                    owner: owner.to_owned(),
                    run_id: run_id.clone(),
                    expires_at: now + HOLDS_FOR,
                };
                match storage
                    .replace(key, body(&mine)?, expected)
                    .await
                    .context("take the lease")?
                {
                    Replaced::Done(version) => return Ok(Self::hold(storage, key, mine, version)),
                    Replaced::Changed => continue,
                }
            };
            if Instant::now() >= give_up {
                bail!(
                    "take the lease {key}: {} holds it in run {} until {}, and was waited for {} s",
                    holder.owner,
                    holder.run_id,
                    holder.expires_at,
                    max_wait.as_secs()
                );
            }
            if !std::mem::replace(&mut told, true) {
                info!(lease.owner = holder.owner, lease.run_id = %holder.run_id, lease.expires_at = %holder.expires_at, "waiting for the lease {key}");
            }
            tokio::select! {
                () = stop.cancelled() => return Err(anyhow::Error::new(Stopped).context(format!("wait for the lease {key}"))),
                () = tokio::time::sleep_until(give_up.min(Instant::now() + LOOK_EVERY)) => {}
            }
        }
    }

    fn hold(storage: &Storage, key: &str, holder: Holder, version: Version) -> Self {
        let held = Arc::new(Held {
            storage: storage.clone(),
            key: key.to_owned(),
            state: Mutex::new((holder, version)),
            lost: CancellationToken::new(),
            released: CancellationToken::new(),
        });
        let renewal = tokio::spawn(renew(Arc::clone(&held)));
        Self { held, renewal }
    }

    /// Whether it is still held: ask before every write that the lease is for.
    ///
    /// # Errors
    /// When another took it or it could not be renewed in time; what was about to be written must
    /// not be.
    pub fn check(&self) -> anyhow::Result<()> {
        self.held.check()
    }

    /// Gives it back, so that nobody waits for its end. A lease that was lost stays as it is.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn release(mut self) -> anyhow::Result<()> {
        // A renewal under way ends first, else it could come behind this.
        self.held.released.cancel();
        (&mut self.renewal)
            .await
            .context("end the lease's renewal")?;
        let (mut holder, version) = self.held.state();
        holder.expires_at = Timestamp::now();
        self.held
            .storage
            .replace(&self.held.key, body(&holder)?, Some(&version))
            .await
            .context("release the lease")?;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Held {
    fn state(&self) -> (Holder, Version) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn check(&self) -> anyhow::Result<()> {
        let expires_at = self.state().0.expires_at;
        if self.lost.is_cancelled() || Timestamp::now() >= expires_at {
            bail!(
                "the lease {} was lost: another run took it, or it could not be renewed before {expires_at}",
                self.key
            );
        }
        Ok(())
    }
}

/// Renews until the lease is lost. A storage that fails is asked again until the lease has run out.
async fn renew(held: Arc<Held>) {
    loop {
        tokio::select! {
            () = held.released.cancelled() => return,
            () = tokio::time::sleep(RENEW_EVERY) => {}
        }
        let (mut holder, version) = held.state();
        holder.expires_at = Timestamp::now() + HOLDS_FOR;
        let renewed = async {
            anyhow::Ok(
                held.storage
                    .replace(&held.key, body(&holder)?, Some(&version))
                    .await?,
            )
        };
        match renewed.await {
            Ok(Replaced::Done(version)) => {
                *held.state.lock().unwrap_or_else(PoisonError::into_inner) = (holder, version);
            }
            Ok(Replaced::Changed) => return held.lost.cancel(),
            Err(error) => warn!(
                error = format!("{error:#}"),
                "could not renew the lease {}", held.key
            ),
        }
        if held.check().is_err() {
            return held.lost.cancel();
        }
    }
}

async fn read(storage: &Storage, key: &str) -> anyhow::Result<Option<(Holder, Version)>> {
    let Some((body, version)) = storage.get(key).await.context("read the lease")? else {
        return Ok(None);
    };
    let context = || format!("read the lease {key}");
    check_version(&body, VERSION).with_context(context)?;
    let holder = serde_json::from_slice(&body).with_context(context)?;
    Ok(Some((holder, version)))
}

fn body(holder: &Holder) -> anyhow::Result<Bytes> {
    Ok(serde_json::to_vec(holder)
        .context("encode the lease")?
        .into())
}
