//! Where landed objects and state lie: a bucket or a directory, with the same promises.

mod directory;
mod s3;
mod url;

use std::path::Path;

use anyhow::bail;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::AsyncRead;

pub use directory::Directory;
pub use s3::Bucket;
pub use url::{InvalidLandingUrl, LandingUrl};

/// A stream of an object's bytes.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// Which content an object has: equal versions mean that nobody wrote in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

/// How a [`Storage::put_if_absent`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object is there now.
    Created,
    /// It was there before, and is untouched.
    Exists,
}

/// How a [`Storage::replace`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The object has the new content, under this version.
    Done(Version),
    /// Somebody else wrote in between, and the object is untouched.
    Changed,
}

/// What a list says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The full key below the landing URL.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, by the storage's clock.
    pub modified: Timestamp,
}

/// A place for objects. Keys are relative to its [`LandingUrl`], with `/` between their parts.
///
/// Every method fails, after bounded retries, with an error that names what was attempted and where;
/// it holds [`Refused`](crate::task::Refused) when the place is missing or the credentials are refused.
#[derive(Clone, Debug)]
pub enum Storage {
    /// A bucket of S3, or of what speaks its protocol.
    S3(Bucket),
    /// A directory of this machine.
    Directory(Directory),
}

/// Runs the same method on whichever storage it is.
macro_rules! on {
    ($storage:expr, $inner:ident => $call:expr) => {
        match $storage {
            Storage::S3($inner) => $call,
            Storage::Directory($inner) => $call,
        }
    };
}

impl Storage {
    /// Opens a storage. Nothing is asked of it yet; [`check`](Self::check) does that.
    ///
    /// # Errors
    /// [`Refused`](crate::task::Refused) when AWS settings lack a region.
    pub async fn open(url: &LandingUrl) -> anyhow::Result<Self> {
        Ok(match url {
            LandingUrl::S3 { bucket, prefix } => Self::S3(Bucket::open(bucket, prefix).await?),
            LandingUrl::Directory(root) => Self::Directory(Directory::new(root)),
        })
    }

    /// Whether the bucket or directory is there and can be listed.
    pub async fn check(&self) -> anyhow::Result<()> {
        on!(self, storage => storage.check().await)
    }

    /// The whole of a small object and its version; none where there is no such object.
    pub async fn get(&self, key: &str) -> anyhow::Result<Option<(Bytes, Version)>> {
        check_key(key)?;
        on!(self, storage => storage.get(key).await)
    }

    /// An object as a stream; none where there is no such object.
    pub async fn read(&self, key: &str) -> anyhow::Result<Option<Reader>> {
        check_key(key)?;
        on!(self, storage => storage.read(key).await)
    }

    /// Writes an object where there is none. It is whole or not there at all, and of two writers
    /// one wins.
    pub async fn put_if_absent(&self, key: &str, body: Bytes) -> anyhow::Result<Written> {
        check_key(key)?;
        on!(self, storage => storage.put_if_absent(key, body).await)
    }

    /// The same from a file, streamed.
    pub async fn put_file_if_absent(&self, key: &str, file: &Path) -> anyhow::Result<Written> {
        check_key(key)?;
        on!(self, storage => storage.put_file_if_absent(key, file).await)
    }

    /// Writes an object where it still has the version `expected`, or where there is none if that is
    /// `None`.
    ///
    /// Where it has exactly this `body` already, that is [`Replaced::Done`] too: it may be this very
    /// write, whose answer was lost.
    pub async fn replace(
        &self,
        key: &str,
        body: Bytes,
        expected: Option<&Version>,
    ) -> anyhow::Result<Replaced> {
        check_key(key)?;
        let replaced = on!(self, storage => storage.replace(key, body.clone(), expected).await)?;
        if replaced == Replaced::Changed
            && let Some((current, version)) = self.get(key).await?
            && current == body
        {
            return Ok(Replaced::Done(version));
        }
        Ok(replaced)
    }

    /// All objects whose key begins with `prefix`, sorted by key.
    pub async fn list(&self, prefix: &str) -> anyhow::Result<Vec<ObjectMeta>> {
        check_prefix(prefix)?;
        let mut objects = on!(self, storage => storage.list(prefix).await)?;
        objects.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        Ok(objects)
    }

    /// The names of the folders right below `prefix` (empty, or ending in `/`), sorted.
    pub async fn list_folders(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        check_prefix(prefix)?;
        let mut folders = on!(self, storage => storage.list_folders(prefix).await)?;
        folders.sort_unstable();
        Ok(folders)
    }

    /// Removes an object; there being none is no error.
    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        check_key(key)?;
        on!(self, storage => storage.delete(key).await)
    }

    /// Removes every object whose key begins with `prefix`, in a versioned bucket every version of
    /// them, and says how many versions that were.
    pub async fn purge(&self, prefix: &str) -> anyhow::Result<u64> {
        check_prefix(prefix)?;
        on!(self, storage => storage.purge(prefix).await)
    }
}

/// A key stays below its storage, is the same in a bucket and in a directory, and is none of a
/// directory's own files.
fn check_key(key: &str) -> anyhow::Result<()> {
    if key.starts_with('.') || key.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        bail!(
            "use the key `{key}`: it begins with a dot, or a part of it is empty or nothing but dots"
        );
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> anyhow::Result<()> {
    if prefix.starts_with('/') || prefix.split('/').any(|part| part == "..") {
        bail!("use the prefix `{prefix}`: it leads out of the storage");
    }
    Ok(())
}
