//! The whole outside world on one machine, for development, the demo and the tests.

pub mod aws;
pub mod child;
pub mod config;
pub mod ecs;
pub mod exec;
pub mod kafka;
pub mod mongodb;
pub mod open_meteo;
pub mod postgres;
mod python;
pub mod state;
pub mod strava;
pub mod up;
pub mod world;
