//! A Strava API of one athlete: paging, limits, tokens and quirks of the real one, faults on demand.

mod activities;
mod answer;
mod api;
mod clock;
mod connection;
pub mod control;
mod control_routes;
pub mod faults;
mod gate;
pub mod generate;
pub mod oauth;
mod payload;
mod quota;
mod saved;
mod simulator;

pub use control::{Control, Request};
pub use faults::{Fault, Kind};
pub use generate::Generated;
pub use payload::Payload;
pub use quota::{Limit, Limits, Window};
pub use simulator::{Athlete, Options, Simulator};

/// The athlete's name, in every profile: no log may hold it.
pub const PLANTED_FIRST_NAME: &str = "Plantedfirst";
pub const PLANTED_LAST_NAME: &str = "Plantedlast";
