//! What the consumer counts, and the far sides that `/readyz` speaks of.

use common::vitals::{Kind, Metric};

pub const READY_KAFKA: &str = "kafka";
pub const READY_MONGODB: &str = "mongodb";
pub const READY_LANDING: &str = "landing";
pub const READY_DEAD_LETTERS: &str = "dead_letters";
pub const READY_COMMITS: &str = "commits";

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal $help:literal;)*) => {
        $(pub const $constant: Metric = Metric { name: $name, kind: Kind::$kind, help: $help };)*
        /// All of them, in the order in which they are shown.
        pub const METRICS: &[Metric] = &[$($constant,)*];
    };
}

metrics! {
    CONSUMED = Counter "weather_consumer_records_total" "Records read from the topic.";
    STORED = Counter "weather_consumer_stored_total" "Readings stored, by sink.";
    UNCHANGED = Counter "weather_consumer_unchanged_total" "Readings that a sink had already, or a newer one, by sink.";
    DEAD_LETTERS = Counter "weather_consumer_dead_letters_total" "Records sent to the dead-letter topic, by reason and sink.";
    RETRIES = Counter "weather_consumer_retries_total" "Attempts that a far side failed, by sink.";
    BATCH_ROWS = Summary "weather_consumer_batch_rows" "Readings in one write or file, by sink.";
    FILE_BYTES = Summary "weather_consumer_file_bytes" "Bytes of one landed file.";
    LAG = Gauge "weather_consumer_lag_records" "Records between what is stored and the end of the partition.";
    STALENESS = Gauge "weather_consumer_location_staleness_seconds" "Age of the newest reading seen of a location.";
    HELD_BYTES = Gauge "weather_consumer_held_bytes" "Memory of the open files and of those being written.";
    PAUSED = Gauge "weather_consumer_paused" "1 while a far side is away and nothing is fetched.";
    PARTITIONS = Gauge "weather_consumer_partitions" "Partitions assigned.";
    UNREAD = Gauge "weather_consumer_unread_partitions" "Partitions that nobody in the group reads, as a static member saw it last.";
}
