//! Open-Meteo -> Kafka: the weather of places as it happens, and of activities that are past.

pub mod backfill;
pub mod budget;
pub mod check;
pub mod clock;
pub mod config;
pub mod locations;
pub mod metrics;
pub mod open_meteo;
pub mod produce;
pub mod record;
mod table;
pub mod topic;
