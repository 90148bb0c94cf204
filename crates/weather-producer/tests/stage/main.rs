//! The stages against the Open-Meteo simulator and librdkafka's mock of a broker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so there")]

mod backfill;
mod kafka;
mod limits;
mod once;
mod program;
mod stream;
mod world;
