//! The consumer as a process, against a real broker, MongoDB, and landings of both kinds.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on says so by its panic, and what it measures on stderr"
)]

mod caught_up;
mod consumer;
mod content;
mod dead_letters;
mod kills;
mod landed;
mod members;
mod orphans;
mod outages;
mod proxy;
mod reading;
mod storing;
mod whole;
mod world;
