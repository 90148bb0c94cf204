//! What storage, lease, manifest and token store promise, over a directory and over S3 and SSM alike.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod leases;
mod manifests;
mod places;
mod storages;
mod tokens;
mod versions;
