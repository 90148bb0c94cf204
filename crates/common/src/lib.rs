//! common

pub mod weather;
