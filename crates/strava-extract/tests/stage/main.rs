//! The stages, run as the real binary against a simulated Strava, over a directory and over S3.

#![expect(
    clippy::unwrap_used,
    reason = "a test says by its panic what went wrong"
)]

mod api;
mod credentials;
mod edits;
mod export;
mod faults;
mod kills;
mod quota;
mod status;
mod world;
