//! What storage, lease, manifest and token store promise, over a directory and over S3 and SSM alike.

mod leases;
mod manifests;
mod places;
mod storages;
mod tokens;
