//! devstack

pub mod open_meteo;
