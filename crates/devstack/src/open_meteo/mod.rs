//! An Open-Meteo API: weather made from place and time, the real one's weights, windows and quirks, faults on demand.

mod answer;
mod api;
mod clock;
mod control;
mod faults;
mod limits;
mod model;
mod query;
mod simulator;
#[cfg(test)]
mod tests;
mod variable;
mod windows;

pub use clock::Clock;
pub use control::{Control, Request};
pub use faults::{Fault, Kind};
pub use limits::{Limits, Usage, Window};
pub use simulator::{Host, Options, Simulator};
