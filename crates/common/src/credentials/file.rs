//! The token in a file of mode 0600, compared and swapped under a lock file beside it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};

use super::TokenVersion;
use crate::{landing::sha256_hex, task::Refused};

const OWNER_ONLY: u32 = 0o600;

pub(super) async fn read(path: PathBuf) -> anyhow::Result<Option<(SecretString, TokenVersion)>> {
    tokio::task::spawn_blocking(move || content(&path)).await?
}

pub(super) async fn write(
    path: PathBuf,
    text: SecretString,
    expected: Option<String>,
) -> anyhow::Result<TokenVersion> {
    tokio::task::spawn_blocking(move || swap(&path, &text, expected)).await?
}

pub(super) async fn delete(path: PathBuf) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        let _lock = lock(&path)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    })
    .await?
}

fn content(path: &Path) -> anyhow::Result<Option<(SecretString, TokenVersion)>> {
    let meta = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        meta => meta?,
    };
    if meta.permissions().mode() & 0o077 != 0 {
        bail!(Refused::new(format!(
            "others may read it: type `chmod 600 {}`",
            path.display()
        )));
    }
    let text = fs::read_to_string(path)?;
    let version = version(&text);
    Ok(Some((text.into(), version)))
}

fn swap(
    path: &Path,
    text: &SecretString,
    expected: Option<String>,
) -> anyhow::Result<TokenVersion> {
    let _lock = lock(path)?;
    if content(path)?.map(|(_, version)| version) != expected.map(TokenVersion::File) {
        bail!("another process wrote it since it was read; nothing was changed");
    }
    // Renamed into place, so that a crash leaves the one token or the other, whole.
    let unfinished = beside(path, "new");
    let mut file = owner_only().truncate(true).open(&unfinished)?;
    file.write_all(text.expose_secret().as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(version(text.expose_secret()))
}

/// Held until it is dropped. A file of its own, since the token's is replaced.
fn lock(path: &Path) -> anyhow::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        bail!(Refused::new(format!(
            "there is no directory {}: make it first",
            folder.display()
        )));
    }
    let file = owner_only()
        .open(beside(path, "lock"))
        .context("open its lock")?;
    file.lock().context("lock it")?;
    Ok(file)
}

fn owner_only() -> fs::OpenOptions {
    let mut options = File::options();
    options.create(true).write(true).mode(OWNER_ONLY);
    options
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn version(text: &str) -> TokenVersion {
    TokenVersion::File(sha256_hex(text.as_bytes()))
}
