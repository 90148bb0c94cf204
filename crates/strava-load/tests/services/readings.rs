//! Parquet files of readings, as `weather-consumer` lands them.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use bytes::Bytes;
use common::landing::keys;
use jiff::civil::date;
use parquet::{
    arrow::ArrowWriter,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use serde_json::json;

use crate::world::World;

const TABLE: &str = "weather.ods_weather__readings";
/// 2026-11-01T00:00:00Z.
const MIDNIGHT: i64 = 1_793_491_200_000;

/// A reading: which one, when it was fetched (minutes after midnight), and how warm it was.
type Reading<'a> = (&'a str, i64, Option<f64>);

fn batch(readings: &[Reading<'_>], offset: i64) -> RecordBatch {
    let texts = |of: &dyn Fn(&Reading<'_>) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(readings.iter().map(of)))
    };
    let times = |of: &dyn Fn(&Reading<'_>) -> i64| -> ArrayRef {
        let array = TimestampMillisecondArray::from_iter_values(readings.iter().map(of));
        Arc::new(array.with_timezone("UTC"))
    };
    let warmth: Float64Array = readings.iter().map(|reading| reading.2).collect();
    let count = readings.len() as i64;
    RecordBatch::try_from_iter([
        ("event_id", texts(&|reading| reading.0.to_owned())),
        ("source", texts(&|_| "forecast".to_owned())),
        ("location_id", texts(&|_| "home".to_owned())),
        ("slot", times(&|_| MIDNIGHT)),
        (
            "slot_seconds",
            Arc::new(Int32Array::from(vec![900; readings.len()])) as ArrayRef,
        ),
        (
            "fetched_at",
            times(&|reading| MIDNIGHT + reading.1 * 60_000),
        ),
        ("temperature_celsius", Arc::new(warmth)),
        (
            "_offset",
            Arc::new(Int64Array::from_iter_values(offset..offset + count)),
        ),
    ])
    .unwrap()
}

/// A file of the readings, whose footer promises so many rows.
fn file(readings: &[Reading<'_>], offset: i64, promised: usize) -> Vec<u8> {
    let entry = KeyValue::new("row_count".to_owned(), promised.to_string());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![entry]));
    let batch = batch(readings, offset);
    let mut body = Vec::new();
    let mut writer =
        ArrowWriter::try_new(&mut body, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    body
}

async fn put(world: &World, offset: i64, body: Vec<u8>) -> String {
    let key = keys::weather(date(2026, 11, 1), "weather", 0, offset);
    let put = world.storage.put_if_absent(&key, Bytes::from(body)).await;
    put.unwrap();
    key
}

async fn land(world: &World, offset: i64, readings: &[Reading<'_>]) -> String {
    put(world, offset, file(readings, offset, readings.len())).await
}

async fn warmth(world: &World) -> String {
    let sql = format!(
        "select string_agg(event_id || ' ' || coalesce(temperature_celsius::text, 'null'), ', ' order by event_id) from {TABLE}"
    );
    world.value(&sql).await.unwrap()
}

#[tokio::test]
async fn readings_are_in_their_table_in_the_types_of_the_file() {
    for world in World::both("readings").await {
        land(&world, 10, &[("a", 1, Some(12.25)), ("b", 1, None)]).await;
        let counts = world.synced(TABLE).await;
        assert_eq!(
            (&counts["files"], &counts["inserted"], &counts["rejected"]),
            (&json!(1), &json!(2), &json!(0))
        );
        let row = format!(
            "select row(_stream, _id, _athlete_id, _fetched_at, _origin, _deleted, _source_row, slot, slot_seconds, \
             fetched_at, temperature_celsius, _offset) from {TABLE} where _id = 'a'"
        );
        assert_eq!(
            world.value(&row).await.unwrap(),
            "(weather,a,,\"2026-11-01 00:01:00+00\",forecast,f,1,\"2026-11-01 00:00:00+00\",900,\
             \"2026-11-01 00:01:00+00\",12.25,10)"
        );
        assert_eq!(warmth(&world).await, "a 12.25, b null");
    }
}

#[tokio::test]
async fn readings_loaded_or_landed_twice_write_nothing() {
    let world = World::new("readings_twice").await;
    land(&world, 0, &[("a", 1, Some(1.0)), ("b", 1, Some(2.0))]).await;
    world.synced(TABLE).await;
    let xmin =
        format!("select string_agg(xmin::text || ctid::text, ',' order by _id) from {TABLE}");
    let before = world.value(&xmin).await;
    let again = world.synced(TABLE).await;
    assert_eq!(
        (&again["files"], &again["skipped_files"]),
        (&json!(0), &json!(1))
    );
    // A replay has the same weather at other offsets, fetched later.
    land(&world, 7, &[("b", 30, Some(2.0)), ("a", 30, Some(1.0))]).await;
    let replayed = world.synced(TABLE).await;
    assert_eq!(
        (&replayed["files"], &replayed["unchanged"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(world.value(&xmin).await, before);
}

#[tokio::test]
async fn the_later_word_on_a_reading_stands_whatever_the_order_of_loading() {
    let (early, late) = ([("a", 1, Some(1.0))], [("a", 20, Some(5.0))]);
    for (name, first, second) in [("forth", early, late), ("back", late, early)] {
        let world = World::new(&format!("readings_{name}")).await;
        land(&world, 0, &first).await;
        world.synced(TABLE).await;
        land(&world, 1, &second).await;
        world.synced(TABLE).await;
        assert_eq!(warmth(&world).await, "a 5", "{name}");
    }
}

#[tokio::test]
async fn a_word_that_comes_between_two_equal_ones_does_not_stand() {
    let world = World::new("readings_between").await;
    land(&world, 0, &[("a", 1, Some(1.0))]).await;
    land(&world, 2, &[("a", 20, Some(1.0))]).await;
    world.synced(TABLE).await;
    land(&world, 1, &[("a", 10, Some(5.0))]).await;
    world.synced(TABLE).await;
    assert_eq!(warmth(&world).await, "a 1");
}

#[tokio::test]
async fn many_small_files_are_one_transaction() {
    let world = World::new("readings_small").await;
    for offset in 0..40 {
        let id = format!("{offset:02}");
        land(&world, offset, &[(&id, 1, Some(0.5))]).await;
    }
    let counts = world.synced(TABLE).await;
    assert_eq!(
        (&counts["files"], &counts["inserted"]),
        (&json!(40), &json!(40))
    );
    let transactions = format!("select count(distinct xmin::text) from {TABLE}");
    assert_eq!(world.value(&transactions).await.unwrap(), "1");
}

#[tokio::test]
async fn a_reading_that_postgres_cannot_hold_is_set_aside_with_its_row() {
    let world = World::new("readings_nul").await;
    let key = land(&world, 0, &[("a", 1, Some(1.0)), ("b\0", 1, Some(2.0))]).await;
    let counts = world.synced(TABLE).await;
    assert_eq!(
        (&counts["inserted"], &counts["rejected"]),
        (&json!(1), &json!(1))
    );
    let reject = "select row(source_key, source_row, reason, raw::jsonb ->> 'location_id') from strava_load.rejects";
    // The raw text itself has the escape, which jsonb refuses: it is read as text.
    let reject = reject.replace("raw::jsonb ->> 'location_id'", "raw like '%\"home\"%'");
    assert_eq!(
        world.value(&reject).await.unwrap(),
        format!("({key},2,nul,t)")
    );
}

#[tokio::test]
async fn a_file_that_is_not_what_it_says_is_left_out_and_named_and_the_others_load() {
    let good = [("a", 1, Some(1.0))];
    let whole = file(&good, 1, 1);
    let torn = whole[..whole.len() - 9].to_vec();
    for (name, body) in [("torn", torn), ("short", file(&good, 1, 2))] {
        let world = World::new(&format!("readings_{name}")).await;
        land(&world, 0, &[("b", 1, Some(2.0))]).await;
        let bad = put(&world, 1, body).await;
        let said = world.failed_sync(&world.request()).await;
        assert!(said.contains(&bad) && said.contains("left out"), "{said}");
        assert_eq!(warmth(&world).await, "b 2", "{name}");
    }
}
