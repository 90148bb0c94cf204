//! What the producer counts, and the far sides that `/readyz` speaks of.

use common::vitals::{Kind, Metric};

pub const READY_OPEN_METEO: &str = "open-meteo";
pub const READY_KAFKA: &str = "kafka";

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal $help:literal;)*) => {
        $(pub const $constant: Metric = Metric { name: $name, kind: Kind::$kind, help: $help };)*
        /// All of them, in the order in which they are shown.
        pub const METRICS: &[Metric] = &[$($constant,)*];
    };
}

metrics! {
    REQUESTS = Counter "weather_producer_requests_total" "Requests to Open-Meteo, by source.";
    REQUEST_FAILURES = Counter "weather_producer_request_failures_total" "Requests that failed, by kind.";
    WEIGHT = Counter "weather_producer_weight_total" "What the requests cost, in Open-Meteo's calls.";
    BUDGET_USED = Gauge "weather_producer_budget_used" "Calls used of the running window, by window.";
    SENT = Counter "weather_producer_sent_total" "Readings handed to Kafka.";
    ACKNOWLEDGED = Counter "weather_producer_acknowledged_total" "Readings that Kafka has.";
    UNCHANGED = Counter "weather_producer_unchanged_total" "Readings that were sent before, word for word.";
    FAILED = Counter "weather_producer_failed_total" "Readings that the service or Kafka refused.";
    MISSED = Counter "weather_producer_missed_total" "Readings of slots that ended before there was an answer.";
    WAITING = Gauge "weather_producer_waiting" "Readings that wait for Kafka.";
    RECREATED = Counter "weather_producer_recreated_total" "Kafka producers that a fatal error ended.";
    LOCATION_SLOT = Gauge "weather_producer_location_slot_timestamp_seconds" "Start of the newest slot sent, by location.";
}
