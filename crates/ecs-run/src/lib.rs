//! Runs one task of `iac/tasks.json` on ECS, follows its log and brings back its exit code.

pub mod cluster;
pub mod config;
pub mod log;
pub mod run;
pub mod tasks;
