//! weather-consumer
fn main() {}
