//! Strava, by its API or by its bulk export, into the landing bucket.

pub mod activities_csv;
pub mod archive;
pub mod cells;
pub mod check;
pub mod config;
pub mod export;
pub mod export_activity;
pub mod extract;
mod fault;
pub mod landing_run;
pub mod ledger;
pub mod quota;
pub mod quota_file;
pub mod report;
pub mod status;
pub mod strava_api;
pub mod token;
pub mod turn;
pub mod vanished;
mod walk;
