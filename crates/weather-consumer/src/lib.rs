//! Kafka -> MongoDB and landing.
