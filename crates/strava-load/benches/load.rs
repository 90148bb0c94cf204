//! 200,000 generated activities through `strava-load sync`, beside a bare binary COPY of the same rows.
//!
//! Reads `DATABASE_URL` (an own database is made there), `BENCH_ACTIVITIES` (a file of activities, one a
//! line; without it `devstack generate` is asked, which must be built), `BENCH_ROWS` and `BENCH_RUNS`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has nothing to say"
)]
#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{
    database_url,
    landing::{Envelope, Manifest, Origin, PartWriter, RunId, Stream},
    storage::Storage,
};
use futures_util::{SinkExt as _, StreamExt as _};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use strava_load::warehouse;
use tokio_postgres::Client;

const TABLE: &str = "strava.ods_strava__activities";
const ATHLETE: &str = "94310077";

/// What is aimed for: name, limit, unit.
const WALL_RATIO: f64 = 2.0;
const PEAK_MEGABYTES: f64 = 96.0;
const AGAIN_SECONDS: f64 = 0.25;

#[tokio::main]
async fn main() {
    let rows: usize = setting("BENCH_ROWS").map_or(200_000, |text| text.parse().unwrap());
    let runs: usize = setting("BENCH_RUNS").map_or(3, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let database = database().await;
    let client = connect(&database).await;
    let (landing, mut ready) = (folder.path().join("landing"), folder.path().join("ready"));
    fs::create_dir(&landing).unwrap();
    let activities = activities(folder.path(), rows);
    land(&landing, &activities, rows, "20261124T000000Z-first").await;

    let (mut ours, mut floors, mut again, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
    for run in 1..=runs {
        let forget =
            "drop schema if exists strava cascade; drop schema if exists strava_load cascade";
        client.batch_execute(forget).await.unwrap();
        let (seconds, megabytes) = sync(&database, &landing);
        peak = peak.max(megabytes);
        if run == 1 {
            ready = copy_out(&client, ready).await;
        }
        let floor = copy_in(&database, &ready).await;
        let (nothing, _) = sync(&database, &landing);
        println!(
            "run {run}: strava-load {seconds:.2} s, bare COPY {floor:.2} s, {:.2} times; the same again {nothing:.3} s",
            seconds / floor
        );
        ours.push(seconds);
        floors.push(floor);
        again.push(nothing);
    }
    // The same content under another run's name: all of it is read, nothing is written.
    land(&landing, &activities, rows, "20261125T000000Z-second").await;
    let (unchanged, megabytes) = sync(&database, &landing);
    peak = peak.max(megabytes);

    let (ours, floor, again) = (median(ours), median(floors), median(again));
    let size = fs::metadata(&ready).unwrap().len() as f64 / 1e6;
    println!("{rows} activities, {size:.0} MB as binary COPY; medians of {runs} interleaved runs");
    println!(
        "bare COPY      {floor:.2} s  {:.0} rows/s",
        rows as f64 / floor
    );
    println!(
        "strava-load    {ours:.2} s  {:.0} rows/s  {:.2} times the floor  peak {peak:.0} MB",
        rows as f64 / ours,
        ours / floor
    );
    println!(
        "all unchanged  {unchanged:.2} s  {:.0} rows/s",
        rows as f64 / unchanged
    );
    println!("the same again {again:.3} s");
    let targets = [
        ("wall, times the floor", ours / floor, WALL_RATIO),
        ("peak memory of strava-load, MB", peak, PEAK_MEGABYTES),
        ("the same again, seconds", again, AGAIN_SECONDS),
    ];
    let met = targets
        .iter()
        .filter(|(_, value, limit)| value <= limit)
        .count();
    for (name, value, limit) in targets {
        println!(
            "{} {name}: {value:.2}, at most {limit}",
            if value <= limit { "met   " } else { "missed" }
        );
    }
    println!("targets: {met} met, {} missed", targets.len() - met);
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no Config")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn connect(url: &str) -> Client {
    let url = database_url::parse(&SecretString::from(url)).unwrap();
    warehouse::connect(&url, Duration::from_secs(600))
        .await
        .unwrap()
}

async fn database() -> String {
    let url = setting("DATABASE_URL").expect("DATABASE_URL is not set: run `make bench`");
    let mut url = url::Url::parse(&url).unwrap();
    let admin = connect(url.as_str()).await;
    admin
        .batch_execute("drop database if exists load_bench with (force)")
        .await
        .unwrap();
    admin
        .batch_execute("create database load_bench template template0 encoding 'UTF8'")
        .await
        .unwrap();
    url.set_path("load_bench");
    url.into()
}

/// A file of activities, made where none is given.
fn activities(folder: &Path, rows: usize) -> PathBuf {
    if let Some(path) = setting("BENCH_ACTIVITIES") {
        return path.into();
    }
    let path = folder.join("activities.ndjson");
    // target/release/deps/load-… -> target
    let target = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned();
    let devstack = ["release", "debug"].map(|profile| target.join(profile).join("devstack"));
    let devstack = devstack
        .iter()
        .find(|path| path.exists())
        .expect("build devstack, or set BENCH_ACTIVITIES");
    let made = Command::new(devstack)
        .args(["generate", "--activities", &rows.to_string()])
        .stdout(fs::File::create(&path).unwrap())
        .status()
        .unwrap();
    assert!(made.success(), "devstack generate failed");
    path
}

#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

async fn land(landing: &Path, activities: &Path, rows: usize, run: &str) {
    let storage = Storage::open(&format!("file://{}", landing.display()).parse().unwrap())
        .await
        .unwrap();
    let run_id: RunId = run.parse().unwrap();
    let now = Timestamp::now();
    let mut manifest = Manifest::new(Stream::Activities, Origin::Api, ATHLETE, &run_id, now);
    let new_part = || PartWriter::new(Stream::Activities, ATHLETE, &run_id).unwrap();
    let mut part = new_part();
    let mut lines = BufReader::new(fs::File::open(activities).unwrap())
        .lines()
        .take(rows)
        .peekable();
    while let Some(line) = lines.next() {
        let line = line.unwrap();
        let payload: &RawValue = serde_json::from_str(&line).unwrap();
        let Id { id } = serde_json::from_str(&line).unwrap();
        part.push(&Envelope::new(
            Stream::Activities,
            id.get(),
            ATHLETE,
            now,
            Origin::Api,
            payload,
        ))
        .unwrap();
        if part.is_full() || lines.peek().is_none() {
            let finished = std::mem::replace(&mut part, new_part()).finish().unwrap();
            storage
                .put_if_absent(&finished.part.key, finished.body)
                .await
                .unwrap();
            manifest.counts.rows += finished.part.rows;
            manifest.parts.push(finished.part);
        }
    }
    assert_eq!(
        manifest.counts.rows, rows as u64,
        "the file has fewer activities"
    );
    manifest.put(&storage).await.unwrap();
}

/// Runs the program itself; its seconds and its highest resident memory in megabytes.
fn sync(database: &str, landing: &Path) -> (f64, f64) {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_strava-load"))
        .args(["sync", "--streams", "activities"])
        .env("DATABASE_URL", database)
        .env("LANDING_URL", format!("file://{}", landing.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut kilobytes = 0.0_f64;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes = kilobytes.max(peak.unwrap_or_default());
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(ended.success(), "strava-load failed: {ended}");
    (started.elapsed().as_secs_f64(), kilobytes * 1024.0 / 1e6)
}

/// The loaded rows as the bytes that a COPY takes.
async fn copy_out(client: &Client, path: PathBuf) -> PathBuf {
    let rows = client
        .copy_out(&format!("copy {TABLE} to stdout (format binary)"))
        .await
        .unwrap();
    let mut rows = std::pin::pin!(rows);
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    while let Some(bytes) = rows.next().await {
        std::io::Write::write_all(&mut file, &bytes.unwrap()).unwrap();
    }
    path
}

/// Copies ready bytes into an ordinary table without a key; its seconds, the connection included.
async fn copy_in(database: &str, ready: &Path) -> f64 {
    let started = Instant::now();
    let client = connect(database).await;
    let create =
        format!("drop table if exists public.bare; create table public.bare (like {TABLE})");
    client.batch_execute(&create).await.unwrap();
    let mut sink = std::pin::pin!(
        client
            .copy_in("copy public.bare from stdin (format binary)")
            .await
            .unwrap()
    );
    let mut file = fs::File::open(ready).unwrap();
    loop {
        let mut piece = vec![0; 256 << 10];
        let length = file.read(&mut piece).unwrap();
        if length == 0 {
            break;
        }
        piece.truncate(length);
        sink.send(Bytes::from(piece)).await.unwrap();
    }
    sink.finish().await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    client
        .batch_execute("drop table public.bare")
        .await
        .unwrap();
    seconds
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
