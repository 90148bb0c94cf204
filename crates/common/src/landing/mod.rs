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

use sha2::{Digest as _, Sha256};

/// SHA-256 as 64 lower-case hex digits, the form of every checksum in the contract.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
