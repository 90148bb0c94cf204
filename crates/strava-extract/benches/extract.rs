//! 200,000 generated activities through `strava-extract api` into a directory: its highest memory, and what a run
//! with nothing new costs. Strava is simulated in this process, the program is a process of its own.
//!
//! Reads `BENCH_ROWS`.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has nothing to say"
)]
#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use devstack::strava::{Athlete, Generated, Limits, Options, Simulator};
use tokio::process::Command;

const PEAK_MEGABYTES: f64 = 96.0;

#[tokio::main]
async fn main() {
    let rows = setting("BENCH_ROWS").map_or(200_000, |text| text.parse().unwrap());
    let athlete = Athlete::Generated(Generated {
        activities: Some(rows),
        ..Generated::default()
    });
    let strava = Simulator::start(Options {
        athlete,
        quota: Limits::generous(),
        ..Options::default()
    })
    .await
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("landing")).unwrap();

    let (first, first_peak) = extract(&strava, folder.path()).await;
    let (again, again_peak) = extract(&strava, folder.path()).await;
    println!(
        "strava-extract {first:.2} s  {:.0} rows/s  peak {first_peak:.0} MB; nothing new {again:.2} s, peak {again_peak:.0} MB",
        rows as f64 / first
    );
    let peak = first_peak.max(again_peak);
    let is_met = peak <= PEAK_MEGABYTES;
    println!(
        "{} peak memory of strava-extract, MB: {peak:.2}, at most {PEAK_MEGABYTES}",
        if is_met { "met   " } else { "missed" }
    );
    println!(
        "targets: {} met, {} missed",
        u8::from(is_met),
        u8::from(!is_met)
    );
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no Config")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// One run of the program; its seconds and its highest resident memory in megabytes.
async fn extract(strava: &Simulator, folder: &Path) -> (f64, f64) {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_strava-extract"))
        .arg("api")
        .env(
            "LANDING_URL",
            format!("file://{}/landing", folder.display()),
        )
        .env("STRAVA_API_URL", strava.api_url())
        .env("STRAVA_OAUTH_URL", strava.oauth_url())
        .env("STRAVA_CLIENT_ID", strava.client_id())
        .env("STRAVA_CLIENT_SECRET", strava.client_secret())
        .env("STRAVA_REFRESH_TOKEN", strava.refresh_token())
        .env("STRAVA_ATHLETE_ID", strava.athlete_id().to_string())
        .env(
            "STRAVA_TOKEN_STORE",
            format!("file://{}/token.json", folder.display()),
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id().unwrap()));
    let mut kilobytes = 0.0_f64;
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes = kilobytes.max(peak.unwrap_or_default());
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert!(ended.success(), "strava-extract failed: {ended}");
    (started.elapsed().as_secs_f64(), kilobytes * 1024.0 / 1e6)
}
