//! devstack from outside: the Strava simulator over HTTP, and the lives of its processes.

mod client;
mod control;
mod faults;
mod lifetime;
mod paging;
mod refusals;
