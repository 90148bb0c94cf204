//! The landing contract between what extracts and what loads: keys, envelope, parts, manifest, lease.

mod canonical;
mod envelope;
pub mod keys;
mod lease;
mod manifest;
mod part;
mod run_id;
mod stream;

pub use canonical::{canonical, hash, version_hash};
pub use envelope::Envelope;
pub use lease::Lease;
pub use manifest::{Counts, Manifest, Window, manifests};
pub use part::{FinishedPart, Part, PartWriter};
pub use run_id::RunId;
pub use stream::{Origin, Stream, UnknownName};

use anyhow::{anyhow, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// SHA-256 as 64 lower-case hex digits, the form of every checksum in the contract.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}

/// The `version` of a JSON object in landing or state, no higher than what the program `known`s.
///
/// # Errors
/// When it is higher, named, or there is none; nothing of the content is in the message.
pub fn check_version(json: &[u8], known: u32) -> anyhow::Result<u32> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(json).map_err(|error| {
        anyhow!(
            "it has no version (line {}, column {})",
            error.line(),
            error.column()
        )
    })?;
    if version > known {
        bail!("it is of version {version}, this program knows {known}: update the program");
    }
    Ok(version)
}
