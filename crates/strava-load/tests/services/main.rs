//! The loader against a real Postgres, over a landing directory and over S3.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by its panic, and what it skips or measures on stderr"
)]

mod deletions;
mod faults;
mod flow;
mod hazards;
mod kills;
mod readings;
mod recorded;
mod types;
mod values;
mod views;
mod world;
