//! Strava's bulk archive: a zip or the directory that came out of one, its files at the root or in a folder.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use common::task::Refused;
use jiff::{Timestamp, civil, tz::TimeZone};
use zip::ZipArchive;

/// What marks the folder that is the archive's own.
const MARK: &str = "activities.csv";
/// How deep below the root that folder may lie: `export_<id>/`, or what a person put around it.
const DEEPEST: usize = 3;
/// No CSV of an export is that long. A small zip can hold one, and it would fill the memory.
const MAX_FILE_BYTES: u64 = 1024 * 1024 * 1024;

/// An archive whose own folder was found.
pub enum Archive {
    Directory {
        folder: PathBuf,
    },
    Zip {
        zip: Box<ZipArchive<BufReader<File>>>,
        folder: String,
        newest: Option<Timestamp>,
    },
}

impl Archive {
    /// Opens a zip or a directory and finds `activities.csv` in it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let about = path.display();
        let meta = std::fs::metadata(path).map_err(|error| {
            Refused::new(format!(
                "read {about}: {error}; give the path of Strava's archive"
            ))
        })?;
        if meta.is_dir() {
            Self::open_directory(path)
        } else {
            Self::open_zip(path)
        }
        .with_context(|| format!("open the archive {about}"))
    }

    fn open_directory(path: &Path) -> anyhow::Result<Self> {
        let mut found = Vec::new();
        find_in_directory(path, DEEPEST, &mut found)?;
        let folder = only_shallowest(found, |folder| folder.components().count())?;
        Ok(Self::Directory { folder })
    }

    fn open_zip(path: &Path) -> anyhow::Result<Self> {
        let file = BufReader::new(File::open(path)?);
        let mut zip = ZipArchive::new(file).map_err(|error| {
            Refused::new(format!(
                "it is neither a directory nor a zip that can be read: {error}"
            ))
        })?;
        let mut found = Vec::new();
        let mut newest = None;
        for index in 0..zip.len() {
            let Ok(member) = zip.by_index_raw(index) else {
                continue;
            };
            newest = newest.max(member.last_modified().and_then(dos_time));
            let Ok(name) = member.name() else { continue };
            if let Some(folder) = name.strip_suffix(MARK)
                && (folder.is_empty() || folder.ends_with('/'))
                && !folder.starts_with("__MACOSX/")
                && folder.matches('/').count() <= DEEPEST
            {
                if member.encrypted() {
                    bail!(Refused::new(
                        "it is encrypted: unpack it and give the path of the directory"
                    ));
                }
                found.push(folder.to_owned());
            }
        }
        let folder = only_shallowest(found, |folder| folder.matches('/').count())?;
        Ok(Self::Zip {
            zip: Box::new(zip),
            folder,
            newest,
        })
    }

    /// One of the archive's own files, as a stream; `None` where it is not there.
    pub fn read(&mut self, name: &str) -> anyhow::Result<Option<Box<dyn Read + '_>>> {
        let about = format!("read {name} in the archive");
        let reader: Box<dyn Read + '_> = match self {
            Self::Directory { folder } => match File::open(folder.join(name)) {
                Ok(file) => Box::new(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error).context(about),
            },
            Self::Zip { zip, folder, .. } => {
                let Some(index) = zip.index_for_name(&format!("{folder}{name}")) else {
                    return Ok(None);
                };
                Box::new(zip.by_index(index).context(about)?)
            }
        };
        Ok(Some(Box::new(Capped {
            reader,
            left: MAX_FILE_BYTES,
        })))
    }

    /// The newest time stamp of a member of a zip, which Strava sets. The files of a directory have
    /// the time of whatever unpacked, copied or cloned them, and say nothing.
    pub fn newest_member(&self) -> Option<Timestamp> {
        match self {
            Self::Directory { .. } => None,
            Self::Zip { newest, .. } => *newest,
        }
    }
}

/// Fails where a file is longer than it may be, instead of ending it there.
struct Capped<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("it is longer than {MAX_FILE_BYTES} bytes")))?;
        Ok(read)
    }
}

fn find_in_directory(folder: &Path, deeper: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if folder.join(MARK).is_file() {
        found.push(folder.to_owned());
        return Ok(());
    }
    if deeper > 0 {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            // Links are not followed: they may lead round in circles.
            if entry.file_type()?.is_dir() {
                find_in_directory(&entry.path(), deeper - 1, found)?;
            }
        }
    }
    Ok(())
}

fn only_shallowest<T>(found: Vec<T>, depth: impl Fn(&T) -> usize) -> anyhow::Result<T> {
    let Some(shallowest) = found.iter().map(&depth).min() else {
        bail!(Refused::new(format!(
            "there is no {MARK} in it: give the path of Strava's own archive, whole"
        )));
    };
    let mut at_top = found.into_iter().filter(|it| depth(it) == shallowest);
    match (at_top.next(), at_top.next()) {
        (Some(only), None) => Ok(only),
        _ => bail!(Refused::new(format!(
            "there is more than one {MARK} in it: give the path of one archive"
        ))),
    }
}

/// A zip has local times without a zone, to two seconds. Strava writes UTC.
fn dos_time(time: zip::DateTime) -> Option<Timestamp> {
    let part = |number: u8| i8::try_from(number).ok();
    let local = civil::DateTime::new(
        i16::try_from(time.year()).ok()?,
        part(time.month())?,
        part(time.day())?,
        part(time.hour())?,
        part(time.minute())?,
        part(time.second())?,
        0,
    );
    TimeZone::UTC.to_timestamp(local.ok()?).ok()
}
