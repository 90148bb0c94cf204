//! weather-producer
