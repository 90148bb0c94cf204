//! Kafka -> MongoDB and landing: each reading stored exactly once, whatever dies in between.

pub mod caught_up;
pub mod check;
pub mod collection;
pub mod config;
pub mod consume;
pub mod dead_letters;
mod intake;
pub mod landing;
pub mod metrics;
pub mod orphans;
mod partition;
mod progress;
pub mod record;
pub mod report;
mod retry;
pub mod topic;
mod watchdog;
