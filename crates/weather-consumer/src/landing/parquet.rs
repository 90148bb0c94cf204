//! Rows as a Parquet file, and what its footer says of the offsets in it.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use anyhow::{Context as _, anyhow};
use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use common::weather::{VALUES, VERSION};
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    file::{
        metadata::{KeyValue, ParquetMetaDataReader},
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::rows::{Row, Rows, WEATHER_CODE};

/// Rows that are turned into columns at once: never a whole file, whose columns need twice its memory.
const PART_ROWS: usize = 8_192;
/// zstd takes memory by the length of a page, for each column.
const PAGE_BYTES: usize = 64 * 1024;

/// The footer's own words. Whoever reads the landing knows by them what a file answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    pub topic: String,
    pub partition: i32,
    /// Offsets consumed for this file, both included; what is missing between the rows went to the
    /// dead-letter topic, or was no record.
    pub first_offset: i64,
    pub last_offset: i64,
    pub row_count: u64,
    /// Event id of the first row: another one under the same name is another topic's.
    pub first_event_id: String,
}

/// One file of these rows, the same bytes for the same rows.
pub fn encode(rows: &Rows, footer: &Footer) -> anyhow::Result<Bytes> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_created_by("weather-consumer".to_owned())
        .set_data_page_size_limit(PAGE_BYTES)
        .set_dictionary_page_size_limit(PAGE_BYTES)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_dictionary_enabled(ColumnPath::from("event_id"), false)
        .set_column_dictionary_enabled(ColumnPath::from("_offset"), false)
        .set_key_value_metadata(Some(footer.entries()))
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut parts = (0..rows.len()).step_by(PART_ROWS);
    let mut next = || {
        parts
            .next()
            .map(|first| part(rows, first, &footer.topic, footer.partition))
    };
    let first = next().context("a file needs a row")??;
    let mut body = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut body, first.schema(), options)?;
    writer.write(&first)?;
    drop(first);
    while let Some(part) = next() {
        writer.write(&part?)?;
    }
    writer.close()?;
    Ok(body.into())
}

/// What the footer of a landed file says.
///
/// # Errors
/// It is no Parquet file, or none of ours.
pub fn footer(body: &Bytes) -> anyhow::Result<Footer> {
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(body)
        .context("read its footer")?;
    let entries = metadata
        .file_metadata()
        .key_value_metadata()
        .map_or(&[][..], Vec::as_slice);
    let entries: HashMap<_, _> = entries
        .iter()
        .map(|entry| (entry.key.as_str(), entry.value.as_deref()))
        .collect();
    Footer::read(&entries).context("read its footer")
}

impl Footer {
    fn entries(&self) -> Vec<KeyValue> {
        let entry = |name: &str, value: String| KeyValue::new(name.to_owned(), value);
        vec![
            entry("version", VERSION.to_string()),
            entry("topic", self.topic.clone()),
            entry("partition", self.partition.to_string()),
            entry("first_offset", self.first_offset.to_string()),
            entry("last_offset", self.last_offset.to_string()),
            entry("row_count", self.row_count.to_string()),
            entry("first_event_id", self.first_event_id.clone()),
        ]
    }

    fn read(entries: &HashMap<&str, Option<&str>>) -> anyhow::Result<Self> {
        let text = |name: &str| {
            entries
                .get(name)
                .copied()
                .flatten()
                .ok_or_else(|| anyhow!("it has no {name}, so it is none of ours"))
        };
        fn number<N: FromStr>(text: &str) -> anyhow::Result<N> {
            text.parse().map_err(|_| anyhow!("`{text}` is no number"))
        }
        Ok(Self {
            topic: text("topic")?.to_owned(),
            partition: number(text("partition")?)?,
            first_offset: number(text("first_offset")?)?,
            last_offset: number(text("last_offset")?)?,
            row_count: number(text("row_count")?)?,
            first_event_id: text("first_event_id")?.to_owned(),
        })
    }
}

/// A part of the file, from this row on.
fn part(rows: &Rows, first: usize, topic: &str, partition: i32) -> anyhow::Result<RecordBatch> {
    let mut columns = Columns {
        rows,
        first,
        fields: Vec::new(),
        arrays: Vec::new(),
    };
    columns.numbers("version", |_| Some(VERSION as i32));
    columns.texts("event_id", Row::event_id);
    columns.shared_texts("location_id", |row| rows.text_of(row.location));
    columns.measurements("latitude", |row| row.latitude, false);
    columns.measurements("longitude", |row| row.longitude, false);
    columns.measurements("elevation_metres", |row| row.elevation, true);
    columns.times("slot", |row| Some(row.slot));
    columns.numbers("slot_seconds", |row| Some(i32::from(row.slot_seconds)));
    columns.shared_texts("source", |row| row.source.as_str());
    columns.shared_texts("model", |row| rows.text_of(row.model));
    columns.times("fetched_at", |row| Some(row.fetched_at));
    for (index, name) in VALUES.into_iter().enumerate() {
        if index == WEATHER_CODE {
            columns.numbers(name, |row| {
                Some(row.values[index])
                    .filter(|code| !code.is_nan())
                    .map(|code| code as i32)
            });
        } else {
            columns.measurements(name, |row| row.values[index], true);
        }
    }
    columns.shared_texts("_topic", |_| topic);
    columns.numbers("_partition", |_| Some(partition));
    let offsets = Int64Array::from_iter_values(columns.rows().map(|row| row.offset));
    columns.add("_offset", DataType::Int64, false, Arc::new(offsets));
    columns.times("_timestamp", |row| {
        Some(row.timestamp).filter(|millis| *millis != i64::MIN)
    });
    let schema = Arc::new(Schema::new(columns.fields));
    RecordBatch::try_new(schema, columns.arrays)
        .with_context(|| format!("make a table of the rows from {first} on"))
}

/// A table in the making, one column after the other.
struct Columns<'r> {
    rows: &'r Rows,
    first: usize,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'r> Columns<'r> {
    fn rows(&self) -> impl Iterator<Item = &'r Row> + use<'r> {
        self.rows.iter().skip(self.first).take(PART_ROWS)
    }

    fn add(&mut self, name: &str, data_type: DataType, nullable: bool, array: ArrayRef) {
        self.fields.push(Field::new(name, data_type, nullable));
        self.arrays.push(array);
    }

    fn texts(&mut self, name: &str, text: impl Fn(&Row) -> String) {
        let array = StringArray::from_iter_values(self.rows().map(text));
        self.add(name, DataType::Utf8, false, Arc::new(array));
    }

    fn shared_texts(&mut self, name: &str, text: impl Fn(&'r Row) -> &'r str) {
        let array = StringArray::from_iter_values(self.rows().map(text));
        self.add(name, DataType::Utf8, false, Arc::new(array));
    }

    fn measurements(&mut self, name: &str, value: impl Fn(&Row) -> f64, nullable: bool) {
        let array: Float64Array = self
            .rows()
            .map(|row| Some(value(row)).filter(|value| !value.is_nan()))
            .collect();
        self.add(name, DataType::Float64, nullable, Arc::new(array));
    }

    fn numbers(&mut self, name: &str, value: impl Fn(&Row) -> Option<i32>) {
        let array: Int32Array = self.rows().map(value).collect();
        self.add(name, DataType::Int32, true, Arc::new(array));
    }

    fn times(&mut self, name: &str, millis: impl Fn(&Row) -> Option<i64>) {
        let array: TimestampMillisecondArray = self.rows().map(millis).collect();
        let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        self.add(name, utc, true, Arc::new(array.with_timezone("UTC")));
    }
}
