//! What only a real broker and a real Postgres can show: run by `make test-rust`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod activities;
mod topic;

/// A variable of the devstack's world.
#[expect(clippy::disallowed_methods, reason = "a test has no Config")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test-rust`"))
}
