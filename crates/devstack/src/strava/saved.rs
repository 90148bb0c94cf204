//! What the simulator keeps from one run to the next, as one JSON file.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::SignedDuration;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::activities::Edits;
use super::oauth::Tokens;
use super::quota::Quota;
use super::simulator::Account;

const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    version: u32,
    /// First day of a generated athlete, so that a later day adds to the same past.
    pub(crate) first_day: Option<Date>,
    clock_moved_seconds: i64,
    pub(crate) tokens: Tokens,
    pub(crate) quota: Quota,
    pub(crate) inactive: bool,
    pub(crate) hidden: BTreeSet<i64>,
    pub(crate) edits: Edits,
}

impl Saved {
    pub(crate) fn of(account: &Account, moved_by: SignedDuration, first_day: Option<Date>) -> Self {
        Self {
            version: VERSION,
            first_day,
            clock_moved_seconds: moved_by.as_secs(),
            tokens: account.tokens.clone(),
            quota: account.quota.clone(),
            inactive: account.inactive,
            hidden: account.activities.hidden.clone(),
            edits: account.activities.edits().clone(),
        }
    }

    pub(crate) fn clock_moved_by(&self) -> SignedDuration {
        SignedDuration::from_secs(self.clock_moved_seconds)
    }

    /// What an earlier run kept, if there was one.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let what = || format!("read simulator state {}", path.display());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(what),
        };
        let saved: Self = serde_json::from_str(&text).with_context(what)?;
        if saved.version != VERSION {
            bail!(
                "{} has version {}, this devstack knows {VERSION}: remove it",
                path.display(),
                saved.version
            );
        }
        Ok(Some(saved))
    }

    /// Replaces the file as a whole, so that a kill leaves the old or the new one.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let what = || format!("keep simulator state {}", path.display());
        let text = serde_json::to_string(self).with_context(what)?;
        let new = path.with_extension("new");
        std::fs::write(&new, text).with_context(what)?;
        std::fs::rename(&new, path).with_context(what)
    }
}
