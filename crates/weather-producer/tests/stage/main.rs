//! The stages against the Open-Meteo simulator and librdkafka's mock of a broker.

mod backfill;
mod kafka;
mod limits;
mod once;
mod program;
mod stream;
mod world;
