//! The measurements: a topic taken to MongoDB, freshness under a steady load, Parquet, and the producer.

use std::{
    path::Path,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

use mongodb::bson::{Document, doc};
use serde_json::Value;

use crate::{
    program::{Process, Program, built, ours},
    world::{PARTITIONS, World, event_id},
};

fn by_id(number: u64) -> Document {
    doc! { "_id": event_id(number) }
}

/// So many readings are looked for while a topic is stored.
const MARKERS: u64 = 240;

/// How a topic was taken to MongoDB.
pub(crate) struct Stored {
    /// From the start of the process to the first document.
    pub(crate) first: f64,
    /// From the first document to the last.
    pub(crate) per_second: f64,
    pub(crate) cpu_seconds: f64,
    /// Of one reading in the second half of the topic.
    pub(crate) warm_cpu_micros: f64,
    pub(crate) peak_megabytes: f64,
}

/// Takes a topic of so many readings to an empty collection.
pub(crate) fn store(
    world: &World,
    program: Program,
    topic: &str,
    readings: u64,
    folder: &Path,
) -> Stored {
    let database = format!("stored_{:08x}", fastrand::u32(..));
    world.create_database(&database);
    let mut process = program.start(world, topic, &database, folder);
    world.until_stored(&database, &doc! {}, &mut || process.assert_alive());
    let first = process.started.elapsed().as_secs_f64();
    // Readings spread evenly over the topic and its partitions tell how far it is, at little cost to the server.
    let spread = (0..MARKERS)
        .map(|place| place * readings / MARKERS / PARTITIONS * PARTITIONS + place % PARTITIONS);
    let markers: Vec<String> = spread
        .chain(readings - PARTITIONS..readings)
        .map(event_id)
        .collect();
    let mut half = None;
    loop {
        process.assert_alive();
        let stored = world.count_of(&database, &markers);
        if stored == markers.len() {
            break;
        }
        if half.is_none() && stored * 2 >= markers.len() {
            let left = 1.0 - stored as f64 / markers.len() as f64;
            half = Some((process.cpu_seconds(), left * readings as f64));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = process.started.elapsed().as_secs_f64() - first;
    let (half, left) = half.expect("too few readings to see it halfway: more BENCH_READINGS");
    let stored = Stored {
        first,
        per_second: readings as f64 / seconds,
        cpu_seconds: process.cpu_seconds(),
        warm_cpu_micros: (process.cpu_seconds() - half) / left * 1e6,
        peak_megabytes: process.peak_megabytes().unwrap(),
    };
    // The last of one batch may come before the first of the other.
    let started = Instant::now();
    while world.count(&database) < readings {
        process.assert_alive();
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{} lost readings",
            program.name()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(process);
    world.drop_database(&database);
    println!(
        "  {:<16} {:>7.0} readings/s  first document {first:.2} s  CPU {:.1} s, once warm {:.1} us a reading  peak {:.0} MB",
        program.name(),
        stored.per_second,
        stored.cpu_seconds,
        stored.warm_cpu_micros,
        stored.peak_megabytes
    );
    stored
}

/// Milliseconds from the sending of a reading to its document, at 1,000 readings a second: the median.
/// Looked at for so many seconds, after as many in which a virtual machine may get warm.
pub(crate) fn freshness(world: &World, program: Program, seconds: u64, folder: &Path) -> f64 {
    let name = format!("fresh_{:08x}", fastrand::u32(..));
    world.create_topic(&name);
    world.create_database(&name);
    let mut process = program.start(world, &name, &name, folder);
    let sender = world.sender(&name, "0");
    (0..PARTITIONS).for_each(|number| sender.send(number));
    sender.flush();
    for number in 0..PARTITIONS {
        world.until_stored(&name, &by_id(number), &mut || process.assert_alive());
    }
    let mut waits = Vec::new();
    // Without a place in it: taken only while somebody waits for the next.
    let (sent, next) = mpsc::sync_channel::<(u64, Instant)>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let started = Instant::now();
            for number in PARTITIONS..PARTITIONS + seconds * 2_000 {
                let due = Duration::from_millis(number - PARTITIONS);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
                let now = Instant::now();
                sender.send(number);
                // Prime, so that every partition is looked at.
                if number > seconds * 1_000 && number % 23 == 0 {
                    _ = sent.try_send((number, now));
                }
            }
        });
        for (number, sent) in next {
            world.until_stored(&name, &by_id(number), &mut || process.assert_alive());
            waits.push(sent.elapsed().as_secs_f64() * 1e3);
        }
    });
    drop(process);
    world.drop_database(&name);
    waits.sort_by(f64::total_cmp);
    let (p50, p99) = (waits[waits.len() / 2], waits[waits.len() * 99 / 100]);
    println!(
        "  {:<16} p50 {p50:.2} ms  p99 {p99:.1} ms  of {} readings looked at",
        program.name(),
        waits.len()
    );
    p50
}

/// Readings a second into Parquet, from the start of the process to its end, and its peak in megabytes.
pub(crate) fn land(world: &World, topic: &str, readings: u64, folder: &Path) -> (f64, f64) {
    let landing = tempfile::tempdir_in(folder).unwrap();
    let mut command = ours();
    command
        .args([
            "run",
            "--sink",
            "landing",
            "--until-caught-up",
            "--max-age",
            "1s",
        ])
        .env("KAFKA_BOOTSTRAP_SERVERS", &world.brokers)
        .env(
            "KAFKA_GROUP_ID",
            format!("landed-{:08x}", fastrand::u32(..)),
        )
        .env("WEATHER_TOPIC", topic)
        .env(
            "LANDING_URL",
            format!("file://{}", landing.path().display()),
        );
    let process = Process::spawn("weather-consumer", command, &folder.join("landing.log"));
    let started = process.started;
    let (output, peak) = process.end();
    let seconds = started.elapsed().as_secs_f64();
    let closing: Value = serde_json::from_str(output.lines().last().unwrap_or_default()).unwrap();
    assert_eq!(closing["stored"]["landing"], readings, "{closing}");
    let per_second = readings as f64 / seconds;
    println!(
        "  weather-consumer {per_second:>7.0} readings/s into {} files, {seconds:.1} s with start and end  peak {peak:.0} MB",
        closing["files"]
    );
    (per_second, peak)
}

/// Messages a second that `weather-producer`'s side of the topic sends, or a bare producer.
pub(crate) fn send(world: &World, who: &str, messages: u64) -> f64 {
    let output = Command::new(built("examples/flood"))
        .args([who, &messages.to_string()])
        .env("KAFKA_BOOTSTRAP_SERVERS", &world.brokers)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "flood {who}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let per_second = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    println!("  {who:<16} {per_second:>7.0} messages/s");
    per_second
}
