//! The loader against a real Postgres, over a landing directory and over S3.

mod deletions;
mod faults;
mod flow;
mod hazards;
mod kills;
mod recorded;
mod values;
mod views;
mod world;
