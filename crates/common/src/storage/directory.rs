//! A directory that keeps a bucket's promises: whole objects, one winner, no overwrite unseen.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{ObjectMeta, Reader, Replaced, Version, Written};
use crate::{
    landing::{hex, sha256_hex},
    task::Refused,
};

/// Unfinished files lie here, out of every list like all that begins with a dot in the root.
const UNFINISHED: &str = ".unfinished";
/// Who holds this file's lock may replace and delete.
const LOCK: &str = ".lock";
/// An unfinished file of this age has no writer any more.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// How often a write is tried whose folder is being removed by a deletion.
const ATTEMPTS: usize = 10;

#[derive(Clone, Debug)]
/// A directory and all below it.
pub struct Directory {
    root: Arc<Path>,
}

impl Directory {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.into() }
    }

    pub(super) async fn check(&self) -> anyhow::Result<()> {
        self.blocking("list", "", |root| fs::read_dir(root).map(drop))
            .await
    }

    pub(super) async fn get(&self, key: &str) -> anyhow::Result<Option<(Bytes, Version)>> {
        let path = self.root.join(key);
        self.blocking("read", key, move |_| content(&path)).await
    }

    pub(super) async fn read(&self, key: &str) -> anyhow::Result<Option<Reader>> {
        let path = self.root.join(key);
        let file = self
            .blocking("read", key, move |_| found(File::open(path)))
            .await?;
        Ok(file.map(|file| Box::new(tokio::fs::File::from_std(file)) as Reader))
    }

    pub(super) async fn put_if_absent(&self, key: &str, body: Bytes) -> anyhow::Result<Written> {
        let path = self.root.join(key);
        self.blocking("write", key, move |root| {
            let unfinished = unfinished(root, |file| file.write_all(&body))?;
            publish(&unfinished, &path)
        })
        .await
    }

    pub(super) async fn put_file_if_absent(
        &self,
        key: &str,
        file: &Path,
    ) -> anyhow::Result<Written> {
        let path = self.root.join(key);
        let file = file.to_owned();
        self.blocking("write", key, move |root| {
            let mut source = File::open(&file)?;
            let unfinished = unfinished(root, |file| io::copy(&mut source, file).map(drop))?;
            publish(&unfinished, &path)
        })
        .await
    }

    pub(super) async fn replace(
        &self,
        key: &str,
        body: Bytes,
        expected: Option<&Version>,
    ) -> anyhow::Result<Replaced> {
        let path = self.root.join(key);
        let expected = expected.cloned();
        self.blocking("replace", key, move |root| {
            let _lock = lock(root)?;
            if version_of(&path)? != expected {
                return Ok(Replaced::Changed);
            }
            let unfinished = unfinished(root, |file| file.write_all(&body))?;
            let written = match expected {
                None => publish(&unfinished, &path)?,
                Some(_) => unfinished.rename(&path)?,
            };
            Ok(match written {
                Written::Created => Replaced::Done(version(&body)),
                Written::Exists => Replaced::Changed,
            })
        })
        .await
    }

    pub(super) async fn list(&self, prefix: &str) -> anyhow::Result<Vec<ObjectMeta>> {
        let wanted = prefix.to_owned();
        self.blocking("list", prefix, move |root| {
            let folder = wanted.rfind('/').map_or("", |slash| &wanted[..=slash]);
            let mut objects = Vec::new();
            walk(root, folder, &mut objects)?;
            objects
                .retain(|object| object.key.starts_with(&wanted) && !object.key.starts_with('.'));
            Ok(objects)
        })
        .await
    }

    pub(super) async fn list_folders(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let folder = prefix.to_owned();
        self.blocking("list", prefix, move |root| {
            let entries = entries(&root.join(folder))?
                .into_iter()
                .filter(|(_, entry)| entry.path().is_dir());
            Ok(entries
                .map(|(name, _)| name)
                .filter(|name| name != UNFINISHED)
                .collect())
        })
        .await
    }

    pub(super) async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let path = self.root.join(key);
        self.blocking("delete", key, move |root| {
            let _lock = lock(root)?;
            remove(root, &path).map(drop)
        })
        .await
    }

    pub(super) async fn purge(&self, prefix: &str) -> anyhow::Result<u64> {
        let objects = self.list(prefix).await?;
        let mut removed = 0;
        for object in objects {
            self.delete(&object.key).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Runs `work` on the root where blocking is allowed; its error names the attempt.
    async fn blocking<T: Send + 'static>(
        &self,
        attempt: &'static str,
        key: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let root = Arc::clone(&self.root);
        let context = || format!("{attempt} {}", self.root.join(key).display());
        let done = tokio::task::spawn_blocking(move || {
            if !root.is_dir() {
                return Err(anyhow!(Refused::new(format!(
                    "there is no directory {}: make it first",
                    root.display()
                ))));
            }
            Ok(work(&root)?)
        });
        done.await.with_context(context)?.with_context(context)
    }
}

/// A file that is not an object yet; removed unless it becomes one.
struct Unfinished(PathBuf);

impl Unfinished {
    fn rename(self, path: &Path) -> io::Result<Written> {
        fs::rename(&self.0, path)?;
        sync_folder(path)?;
        Ok(Written::Created)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Gone where it was renamed; what stays behind is swept later.
        fs::remove_file(&self.0).ok();
    }
}

fn unfinished(
    root: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<Unfinished> {
    let folder = root.join(UNFINISHED);
    fs::create_dir_all(&folder)?;
    sweep(&folder)?;
    let name = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
    let unfinished = Unfinished(folder.join(name));
    let mut file = File::create_new(&unfinished.0)?;
    fill(&mut file)?;
    file.sync_all()?;
    Ok(unfinished)
}

/// Removes what writers left behind that were killed.
fn sweep(folder: &Path) -> io::Result<()> {
    for (_, entry) in entries(folder)? {
        let modified = entry.metadata().and_then(|meta| meta.modified());
        let age = modified
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > ABANDONED_AFTER) {
            fs::remove_file(entry.path()).ok();
        }
    }
    Ok(())
}

/// Makes it the object at `path` unless there is one: a link is made or not, with nothing between.
fn publish(unfinished: &Unfinished, path: &Path) -> io::Result<Written> {
    for _ in 1..ATTEMPTS {
        match publish_once(unfinished, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    publish_once(unfinished, path)
}

fn publish_once(unfinished: &Unfinished, path: &Path) -> io::Result<Written> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::hard_link(&unfinished.0, path) {
        Ok(()) => sync_folder(path).map(|()| Written::Created),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Written::Exists),
        Err(error) => Err(error),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Held until it is dropped; other processes wait.
fn lock(root: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(root.join(LOCK))?;
    file.lock()?;
    Ok(file)
}

fn content(path: &Path) -> io::Result<Option<(Bytes, Version)>> {
    let Some(body) = found(fs::read(path))? else {
        return Ok(None);
    };
    let version = version(&body);
    Ok(Some((body.into(), version)))
}

/// The version of what lies there, without holding it: a ledger is many megabytes.
fn version_of(path: &Path) -> io::Result<Option<Version>> {
    let Some(mut file) = found(File::open(path))? else {
        return Ok(None);
    };
    let mut digest = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Some(Version(hex(&digest.finalize())))),
            length => digest.update(&piece[..length]),
        }
    }
}

fn version(body: &[u8]) -> Version {
    Version(sha256_hex(body))
}

/// Like a bucket, a directory knows no folders without objects: empty ones go too.
fn remove(root: &Path, path: &Path) -> io::Result<()> {
    found(fs::remove_file(path))?;
    let folders = path
        .ancestors()
        .skip(1)
        .take_while(|folder| *folder != root);
    for folder in folders {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

fn walk(root: &Path, folder: &str, objects: &mut Vec<ObjectMeta>) -> io::Result<()> {
    for (name, entry) in entries(&root.join(folder))? {
        let key = format!("{folder}{name}");
        // It may be deleted while this looks.
        let Some(meta) = found(fs::metadata(entry.path()))? else {
            continue;
        };
        if meta.is_dir() {
            walk(root, &format!("{key}/"), objects)?;
        } else {
            let modified = Timestamp::try_from(meta.modified()?).map_err(io::Error::other)?;
            objects.push(ObjectMeta {
                key,
                bytes: meta.len(),
                modified,
            });
        }
    }
    Ok(())
}

/// What lies in a folder; nothing where there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<(String, fs::DirEntry)>> {
    let Some(entries) = found(fs::read_dir(folder))? else {
        return Ok(Vec::new());
    };
    let mut named = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            named.push((name, entry));
        }
    }
    Ok(named)
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
