//! devstack from outside: the Strava simulator over HTTP, and the lives of its processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so there")]

mod client;
mod control;
mod faults;
mod lifetime;
mod paging;
mod refusals;
