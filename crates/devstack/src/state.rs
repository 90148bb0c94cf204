//! The state folder of one devstack: locked while it runs, kept when it stops.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// An open state folder; the lock is the kernel's, so a killed devstack leaves none behind.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Makes and locks the folder.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("create state folder {}", folder.display()))?;
        let folder = folder
            .canonicalize()
            .with_context(|| format!("find state folder {}", folder.display()))?;
        let path = lock_path(&folder);
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "state folder {} is in use by the devstack with process id {}: stop it, or give \
                 this one another --state-dir",
                folder.display(),
                read_pid(&mut lock)
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", path.display()));
            }
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// The folder as an absolute path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with the running world's variables.
    pub fn environment(&self) -> PathBuf {
        environment(&self.folder)
    }

    /// A folder of one service below it, made where it is missing.
    pub fn of_service(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(folder)
    }
}

/// The process that has the folder open, if there is one.
pub fn running(folder: &Path) -> anyhow::Result<Option<i32>> {
    let path = lock_path(folder);
    let Ok(mut lock) = File::open(&path) else {
        return Ok(None);
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(read_pid(&mut lock).parse().ok()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("look at {}", path.display()))
        }
    }
}

/// Writes a file that only its owner may read, as a whole.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let what = || format!("write {}", path.display());
    let new = path.with_extension("new");
    _ = std::fs::remove_file(&new);
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .with_context(what)?;
    file.write_all(text.as_bytes()).with_context(what)?;
    std::fs::rename(&new, path).with_context(what)
}

/// See [`State::environment`].
pub fn environment(folder: &Path) -> PathBuf {
    folder.join("env")
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("lock")
}

fn read_pid(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}
