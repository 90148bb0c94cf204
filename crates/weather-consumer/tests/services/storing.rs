//! What is on the topic is in both sinks, once, whatever is run how often.

use mongodb::bson::doc;

use crate::{
    consumer::{Consumer, run},
    reading::{reading, record},
    world::{SOON, World, eventually},
};

#[test]
fn every_reading_is_in_both_sinks_and_the_closing_line_says_so() {
    let world = World::new("storing", 3);
    world.send_readings(0..1_000);
    let consumer = Consumer::start(&world, &[]);
    eventually("all documents", SOON, || {
        (world.count() == 1_000).then_some(())
    });
    let ended = consumer.stop();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.closing["status"], "succeeded");
    assert_eq!(ended.closing["complete"], true);
    assert_eq!(ended.closing["consumed"], 1_000);
    assert_eq!(ended.closing["stored"]["mongodb"], 1_000);
    assert_eq!(ended.closing["stored"]["landing"], 1_000);
    assert_eq!(ended.closing["files"], 3);
    assert_eq!(
        world.committed(),
        1_000,
        "stopped and drained, so all is committed"
    );
    world.assert_whole();
}

#[test]
fn reading_the_topic_twice_changes_nothing() {
    let world = World::new("twice", 2).in_bucket();
    world.send_readings(0..1_000);
    let first = Consumer::start(&world, &["--group-id", "first"]);
    eventually("all documents", SOON, || {
        (world.count() == 1_000).then_some(())
    });
    first.stop();
    let files: Vec<_> = world
        .files()
        .into_iter()
        .map(|(key, _, body)| (key, body))
        .collect();
    // A group that never committed begins at the first record again.
    let second = Consumer::start(&world, &["--group-id", "second"]);
    let seen = || {
        second
            .metric("weather_consumer_unchanged_total")
            .filter(|unchanged| *unchanged >= 1_000.0)
    };
    eventually("MongoDB was asked again", SOON, seen);
    let ended = second.stop();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.closing["stored"]["mongodb"], 0);
    assert_eq!(ended.closing["stored"]["landing"], 0);
    assert_eq!(ended.closing["unchanged"], 2_000);
    assert_eq!(
        files,
        world
            .files()
            .into_iter()
            .map(|(key, _, body)| (key, body))
            .collect::<Vec<_>>()
    );
    world.assert_whole();
}

#[test]
fn the_later_revision_wins_in_whatever_order_they_come() {
    let world = World::new("revisions", 1);
    let revisions = [2, 0, 3, 1];
    let records =
        (0..200).flat_map(|number| revisions.map(|revision| record(&reading(number, revision))));
    world.send(records);
    let consumer = Consumer::start(&world, &["--sink", "mongodb"]);
    world.until_committed(800);
    let ended = consumer.stop();
    assert_eq!(ended.closing["consumed"], 800);
    let (documents, _) = world.expected();
    assert_eq!(world.documents(), documents);
    assert!(
        documents
            .values()
            .all(|content| (content.temperature().unwrap().fract() - 0.3).abs() < 1e-9)
    );
}

#[test]
fn a_quiet_topic_lands_its_last_file_after_max_age() {
    let world = World::new("quiet", 2);
    world.send_readings(0..120);
    let consumer = Consumer::start(&world, &["--sink", "landing", "--max-age", "2s"]);
    eventually("the files of both partitions", SOON, || {
        (world.files().len() == 2).then_some(())
    });
    world.until_committed(120);
    let (_, rows) = world.expected();
    world.assert_landed(&rows);
    // Quiet again: the next file is for what comes next, and none was made meanwhile.
    world.send_readings(120..121);
    world.until_committed(121);
    assert_eq!(world.files().len(), 3);
    assert_eq!(consumer.stop().closing["files"], 3);
}

#[test]
fn files_are_closed_by_rows_and_by_memory_and_answer_for_every_offset() {
    let (by_rows, by_memory) = (["--max-rows", "1000"], ["--max-bytes", "1MiB"]);
    for (option, most, least) in [(by_rows, 1_000, 12), (by_memory, 6_241, 3)] {
        let world = World::new("limits", 2);
        world.send_readings(0..12_000);
        let consumer = Consumer::start(&world, &[&["--sink", "landing"], &option[..]].concat());
        let read = || consumer.metric("weather_consumer_records_total");
        eventually("all is read", SOON, || {
            read().filter(|read| *read >= 12_000.0)
        });
        // What is still open is below the limit, and lands now.
        consumer.stop();
        let (_, rows) = world.expected();
        world.assert_landed(&rows);
        let mut footers: Vec<_> = world
            .files()
            .into_iter()
            .map(|(_, footer, _)| footer)
            .collect();
        footers.sort_by_key(|footer| (footer.partition, footer.first_offset));
        assert!(footers.len() >= least && footers.iter().all(|footer| footer.row_count <= most));
        for pair in footers
            .windows(2)
            .filter(|pair| pair[0].partition == pair[1].partition)
        {
            assert_eq!(pair[0].last_offset + 1, pair[1].first_offset);
        }
    }
}

#[test]
fn the_indexes_are_made_and_an_expiry_can_change() {
    let world = World::new("indexes", 1);
    for expiry in ["30d", "10d"] {
        let days: i64 = expiry.trim_end_matches('d').parse().unwrap();
        let consumer = Consumer::start(
            &world,
            &[
                "--sink",
                "mongodb",
                "--expire-after",
                &format!("{}h", days * 24),
            ],
        );
        consumer.until_ready();
        consumer.stop();
        let indexes = world.command(doc! { "listIndexes": "readings" });
        let indexes = indexes
            .get_document("cursor")
            .unwrap()
            .get_array("firstBatch")
            .unwrap();
        let expiry = indexes
            .iter()
            .find_map(|index| index.as_document().unwrap().get("expireAfterSeconds"));
        let seconds = expiry
            .unwrap()
            .as_i64()
            .or_else(|| expiry.unwrap().as_i32().map(i64::from));
        assert_eq!(seconds, Some(days * 86_400));
        assert_eq!(indexes.len(), 3);
    }
}

#[test]
fn lag_staleness_and_readiness_are_told() {
    let world = World::new("told", 2);
    world.send_readings(0..500);
    let consumer = Consumer::start(&world, &["--sink", "landing", "--max-age", "1h"]);
    consumer.until_ready();
    assert!(consumer.is_healthy());
    // An open file is not stored yet, so it is lag.
    eventually("the lag of what is open", SOON, || {
        consumer
            .metric("weather_consumer_lag_records")
            .filter(|lag| *lag == 500.0)
    });
    let staleness = consumer
        .metric("weather_consumer_location_staleness_seconds")
        .unwrap();
    assert!(staleness > 0.0);
    assert_eq!(consumer.metric("weather_consumer_partitions"), Some(2.0));
    consumer.stop();
}

#[test]
fn it_is_not_ready_before_it_has_asked_anybody() {
    let world = World::new("starting", 1);
    for _ in 0..3 {
        let consumer = Consumer::start(&world, &[]);
        let mut answers = std::iter::repeat_with(|| consumer.waits_for());
        let first = answers.find_map(|answer| answer).unwrap();
        assert!(first.contains("kafka"), "{first:?}");
        assert_eq!(consumer.stop().code, Some(0));
    }
}

#[test]
fn what_is_missing_or_wrong_is_refused_before_anything_is_done() {
    let mut world = World::new("refused", 1);
    world.landing = "file:///nowhere/at/all".to_owned();
    let ended = run(&world, &["run", "--sink", "landing"]);
    assert_eq!(
        (ended.code, ended.closing["status"].as_str()),
        (Some(2), Some("failed"))
    );
    let world = World::new("refused", 1);
    for missing in [
        &["run", "--mongodb-collection", ""][..],
        &["run", "--sink", "somewhere"],
        &["run", "--max-rows", "0"],
    ] {
        assert_eq!(run(&world, missing).code, Some(2));
    }
}

#[test]
fn check_asks_and_changes_nothing() {
    let mut world = World::new("check", 1);
    let ended = run(&world, &["check"]);
    assert_eq!(ended.code, Some(0), "{:?}", ended.closing);
    assert_eq!(world.count(), 0);
    world.mongodb = "mongodb://127.0.0.1:9".to_owned();
    let away = run(&world, &["check", "--json"]);
    assert_eq!(away.code, Some(1));
    let failure = away.closing["error"].as_str().unwrap();
    assert!(failure.starts_with("mongodb: "), "{failure}");
    assert!(!failure.contains("kafka: "), "{failure}");
}
