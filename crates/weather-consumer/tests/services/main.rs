//! The consumer as a process, against a real broker, MongoDB, and landings of both kinds.

mod consumer;
mod dead_letters;
mod kills;
mod members;
mod outages;
mod proxy;
mod storing;
mod world;
