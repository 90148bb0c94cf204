//! `make bench-weather`: the weather pair beside a bare loop and beside Kafka Connect with MongoDB's own
//! sink, on one broker and one MongoDB, in one run.
//!
//! Reads `BENCH_READINGS` (500,000), `BENCH_RUNS` (3) and `BENCH_SECONDS` (15, of the steady load).

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has nothing to say"
)]
#![expect(clippy::print_stdout, reason = "it prints its figures")]

mod measured;
mod program;
mod world;

use measured::{Stored, freshness, land, send, store};
use program::Program::{self, Bare, Connect, Ours};
use world::{World, setting};

/// What a figure is held against.
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

fn main() {
    let number = |name, default| setting(name).map_or(default, |text| text.parse().unwrap());
    let (readings, runs) = (number("BENCH_READINGS", 500_000), number("BENCH_RUNS", 3));
    let folder = tempfile::tempdir().unwrap();
    let (folder, world) = (folder.path(), World::open());
    println!("{readings} readings on 12 partitions, {runs} interleaved runs");
    world.fill("bench", readings);

    println!("taken to MongoDB:");
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        bare.push(store(&world, Bare, "bench", readings, folder));
        ours.push(store(&world, Ours, "bench", readings, folder));
    }
    let connect = store(&world, Connect, "bench", readings, folder);

    println!("from sent to stored, at 1,000 readings a second:");
    let fresh = |program: Program| freshness(&world, program, number("BENCH_SECONDS", 15), folder);
    fresh(Bare);
    // One run of each differs from the next by more than the programs from one another.
    let fresh: Vec<_> = (0..runs + 2).map(|_| [Ours, Connect].map(fresh)).collect();

    println!("taken to Parquet in a directory:");
    // More of them: start and end are measured with it.
    let many = readings * 4;
    world.fill("many", many);
    let landed: Vec<_> = (0..runs)
        .map(|_| land(&world, "many", many, folder))
        .collect();

    println!("sent to Kafka:");
    let sent: Vec<_> = (0..runs)
        .map(|_| ["bare", "ours"].map(|who| send(&world, who, readings)))
        .collect();

    let bare_of = |figure: fn(&Stored) -> f64| median(bare.iter().map(figure));
    let ours_of = |figure: fn(&Stored) -> f64| median(ours.iter().map(figure));
    let peak = ours.iter().map(|stored| stored.peak_megabytes);
    let peak = peak
        .chain(landed.iter().map(|(_, peak)| *peak))
        .fold(0.0, f64::max);
    let cpu: fn(&Stored) -> f64 = |stored| stored.cpu_seconds;
    let targets = [
        (
            "to MongoDB, times the bare loop",
            ours_of(|stored| stored.per_second) / bare_of(|stored| stored.per_second),
            Limit::AtLeast(0.95),
        ),
        (
            "CPU, times the bare loop",
            ours_of(cpu) / bare_of(cpu),
            Limit::AtMost(1.5),
        ),
        (
            "CPU, times Connect's",
            ours_of(cpu) / connect.cpu_seconds,
            Limit::AtMost(0.2),
        ),
        (
            "CPU of a reading once warm, times Connect's",
            ours_of(|stored| stored.warm_cpu_micros) / connect.warm_cpu_micros,
            Limit::AtMost(0.5),
        ),
        ("peak memory, MB", peak, Limit::AtMost(96.0)),
        (
            "start to first document, seconds",
            ours_of(|stored| stored.first),
            Limit::AtMost(0.5),
        ),
        (
            "freshness p50, times Connect's",
            median(fresh.iter().map(|[ours, _]| *ours))
                / median(fresh.iter().map(|[_, connect]| *connect)),
            Limit::AtMost(1.0),
        ),
        (
            "to Parquet, readings a second",
            median(landed.iter().map(|(per_second, _)| *per_second)),
            Limit::AtLeast(150_000.0),
        ),
        (
            "producer, times a bare idempotent one",
            median(sent.iter().map(|[bare, ours]| ours / bare)),
            Limit::AtLeast(0.5),
        ),
    ];
    let mut met = 0;
    for (name, value, limit) in &targets {
        let (holds, words, limit) = match limit {
            Limit::AtLeast(limit) => (value >= limit, "at least", limit),
            Limit::AtMost(limit) => (value <= limit, "at most", limit),
        };
        met += usize::from(holds);
        println!(
            "{} {name}: {value:.2}, {words} {limit}",
            if holds { "met   " } else { "missed" }
        );
    }
    println!("targets: {met} met, {} missed", targets.len() - met);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
