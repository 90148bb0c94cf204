//! The stages, run as the real binary against a simulated Strava, over a directory and over S3.

mod api;
mod credentials;
mod edits;
mod export;
mod faults;
mod kills;
mod quota;
mod status;
mod world;
