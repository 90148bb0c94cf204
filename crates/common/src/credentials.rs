//! Strava's rotating token, kept in SSM Parameter Store or in a file of mode 0600.

mod file;
mod ssm;

use std::{borrow::Cow, fmt, path::PathBuf, str::FromStr};

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::{landing::check_version, task::Refused};

/// The version that is written, and the highest that is understood.
const VERSION: u32 = 1;
/// Stands for the athlete's id in the address of a store.
const ATHLETE_ID: &str = "{athlete_id}";

/// Strava's access to one athlete.
#[derive(Clone, Debug)]
pub struct Token {
    /// Sent with every request until it expires.
    pub access_token: SecretString,
    /// Exchanged for the next token; an exchange may make it useless.
    pub refresh_token: SecretString,
    /// When `access_token` ends.
    pub expires_at: Timestamp,
    /// What the athlete granted, as Strava lists it.
    pub scope: String,
    /// Whose it is.
    pub athlete_id: String,
}

/// Which content of the store was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenVersion {
    /// The parameter's version.
    Ssm(i64),
    /// The file's content, hashed.
    File(String),
}

/// Where a token is kept: `ssm:///name/of/parameter` or `file:///path`, with `{athlete_id}` for the
/// athlete's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenStore {
    /// A SecureString.
    Ssm(String),
    /// A file that its owner alone may read.
    File(PathBuf),
}

/// A text that is no address of a token store.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither ssm:///name/of/parameter nor file:///path")]
pub struct InvalidTokenStore(String);

impl TokenStore {
    /// Whether the address is one for each athlete, and so needs [`for_athlete`](Self::for_athlete).
    pub fn is_per_athlete(&self) -> bool {
        self.address().contains(ATHLETE_ID)
    }

    /// The store of this athlete.
    pub fn for_athlete(&self, athlete_id: &str) -> Self {
        let address = self.address().replace(ATHLETE_ID, athlete_id);
        match self {
            Self::Ssm(_) => Self::Ssm(address),
            Self::File(_) => Self::File(address.into()),
        }
    }

    /// The stored token and its version; none where nothing is stored yet.
    ///
    /// # Errors
    /// When the store cannot be read or holds something else; [`Refused`] when it refuses the
    /// credentials, when the file is open to others, or when the athlete's id is not filled in.
    pub async fn read(&self) -> anyhow::Result<Option<(Token, TokenVersion)>> {
        let context = || format!("read token from {self}");
        self.check_address().with_context(context)?;
        let stored = match self {
            Self::Ssm(name) => ssm::read(name)
                .await?
                .map(|(text, version)| (text, TokenVersion::Ssm(version))),
            Self::File(path) => file::read(path.clone()).await.with_context(context)?,
        };
        let Some((text, version)) = stored else {
            return Ok(None);
        };
        Ok(Some((
            decode(text.expose_secret()).with_context(context)?,
            version,
        )))
    }

    /// Stores `token` in the place of what was read as `expected` (`None`: nothing was there).
    ///
    /// A file is compared and swapped under its lock. SSM knows no such thing: hold the lease
    /// `keys::token_lease`, read once you hold it, and check it right before this.
    ///
    /// # Errors
    /// When somebody else wrote in between: the file is untouched then; a parameter has both
    /// versions, and the one of this call is the newest. Else as [`read`](Self::read).
    pub async fn write(
        &self,
        token: &Token,
        expected: Option<&TokenVersion>,
    ) -> anyhow::Result<TokenVersion> {
        let context = || format!("store token in {self}");
        self.check_address().with_context(context)?;
        let text = encode(token)?;
        match (self, expected) {
            (Self::Ssm(name), None) => ssm::write(name, &text, 0).await,
            (Self::Ssm(name), Some(TokenVersion::Ssm(version))) => {
                ssm::write(name, &text, *version).await
            }
            (Self::File(path), None) => file::write(path.clone(), text, None)
                .await
                .with_context(context),
            (Self::File(path), Some(TokenVersion::File(hash))) => {
                file::write(path.clone(), text, Some(hash.clone()))
                    .await
                    .with_context(context)
            }
            _ => Err(anyhow!("the version is one of another store")).with_context(context),
        }
    }

    /// Removes the token: what `auth revoke` and `purge` end with.
    ///
    /// # Errors
    /// As [`read`](Self::read); there being none is no error.
    pub async fn delete(&self) -> anyhow::Result<()> {
        let context = || format!("remove token from {self}");
        self.check_address().with_context(context)?;
        match self {
            Self::Ssm(name) => ssm::delete(name).await,
            Self::File(path) => file::delete(path.clone()).await.with_context(context),
        }
    }

    fn address(&self) -> Cow<'_, str> {
        match self {
            Self::Ssm(name) => name.into(),
            Self::File(path) => path.to_string_lossy(),
        }
    }

    fn check_address(&self) -> anyhow::Result<()> {
        if self.is_per_athlete() {
            bail!(Refused::new(
                "its address needs the athlete's id: set STRAVA_ATHLETE_ID"
            ));
        }
        Ok(())
    }
}

impl FromStr for TokenStore {
    type Err = InvalidTokenStore;

    fn from_str(text: &str) -> Result<Self, InvalidTokenStore> {
        let path = |scheme| {
            text.strip_prefix(scheme)
                .filter(|path| path.starts_with('/') && path.len() > 1)
        };
        match (path("ssm://"), path("file://")) {
            (Some(name), _) => Ok(Self::Ssm(name.to_owned())),
            (_, Some(path)) => Ok(Self::File(path.into())),
            _ => Err(InvalidTokenStore(text.to_owned())),
        }
    }
}

impl fmt::Display for TokenStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if matches!(self, Self::Ssm(_)) {
            "ssm"
        } else {
            "file"
        };
        write!(formatter, "{scheme}://{}", self.address())
    }
}

/// The JSON in the store.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    version: u32,
    access_token: &'a str,
    refresh_token: &'a str,
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    expires_at: Timestamp,
    scope: Cow<'a, str>,
    athlete_id: Cow<'a, str>,
}

fn encode(token: &Token) -> anyhow::Result<SecretString> {
    let stored = Stored {
        version: VERSION,
        access_token: token.access_token.expose_secret(),
        refresh_token: token.refresh_token.expose_secret(),
        expires_at: token.expires_at,
        scope: token.scope.as_str().into(),
        athlete_id: token.athlete_id.as_str().into(),
    };
    Ok(serde_json::to_string(&stored)
        .context("encode token")?
        .into())
}

/// serde's messages may quote a value of the wrong type: only the place is passed on.
fn decode(text: &str) -> anyhow::Result<Token> {
    check_version(text.as_bytes(), VERSION)?;
    let place = |error: serde_json::Error| {
        anyhow!(
            "it holds no token (line {}, column {})",
            error.line(),
            error.column()
        )
    };
    let stored: Stored<'_> = serde_json::from_str(text).map_err(place)?;
    Ok(Token {
        access_token: stored.access_token.into(),
        refresh_token: stored.refresh_token.into(),
        expires_at: stored.expires_at,
        scope: stored.scope.into_owned(),
        athlete_id: stored.athlete_id.into_owned(),
    })
}
