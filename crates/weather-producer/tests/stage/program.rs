//! The program itself: exit codes, the closing line, signals, and being killed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use devstack::open_meteo::{Fault, Host, Kind, Window};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::world::{World, csv, readings};

struct Program<'a> {
    world: &'a World,
    folder: tempfile::TempDir,
}

impl<'a> Program<'a> {
    fn new(world: &'a World, csv: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("places.csv"), csv).unwrap();
        Self { world, folder }
    }

    fn command(&self, command: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_weather-producer"));
        let places: PathBuf = self.folder.path().join("places.csv");
        program
            .arg(command)
            .env_clear()
            .env("WEATHER_LOCATIONS", places)
            .env("WEATHER_TOPIC", super::world::TOPIC)
            .env(
                "KAFKA_BOOTSTRAP_SERVERS",
                self.world.cluster.bootstrap_servers(),
            )
            .env("OPEN_METEO_URL", self.world.simulator.forecast_url())
            .env("OPEN_METEO_ARCHIVE_URL", self.world.simulator.archive_url())
            .env(
                "OPEN_METEO_HISTORICAL_FORECAST_URL",
                self.world.simulator.historical_forecast_url(),
            )
            .env(
                "LANDING_URL",
                format!("file://{}", self.folder.path().display()),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        program
    }

    async fn run(&self, command: &str) -> Output {
        finish(self.command(command).spawn().unwrap()).await
    }
}

/// Off the runtime, which has the simulator to serve.
async fn finish(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap())
        .await
        .unwrap()
}

fn closing_line(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    serde_json::from_str(text.lines().last().expect("a closing line")).unwrap()
}

fn terminate(child: &Child) {
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_ends_with_its_counts_and_without_a_coordinate_in_its_logs() {
    let world = World::start_real().await;
    let program = Program::new(&world, &csv(8));
    let mut command = program.command("once");
    command
        .env("LOG_FORMAT", "json")
        .args(["--log-level", "debug"]);
    let output = finish(command.spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line = closing_line(&output);
    assert_eq!(
        (line["task"].as_str(), line["command"].as_str()),
        (Some("weather-producer"), Some("once"))
    );
    assert_eq!(
        (line["status"].as_str(), line["complete"].as_bool()),
        (Some("succeeded"), Some(true))
    );
    for (name, value) in [
        ("locations", 8),
        ("requests", 1),
        ("weight", 8),
        ("sent", 8),
        ("unchanged", 0),
        ("failed", 0),
    ] {
        assert_eq!(line[name].as_f64(), Some(f64::from(value)), "{name}");
    }
    let logs = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    for row in csv(8).lines().skip(1) {
        for cell in row.split(',').skip(2).take(2) {
            assert!(!logs.contains(cell), "{cell} in the logs");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_locations_file_is_exit_2_with_its_line() {
    let world = World::start_real().await;
    let double = csv(3) + "place-1,Again,1,2,\n";
    for (csv, reason) in [
        (
            double.as_str(),
            "line 5: the location_id place-1 is that of line 3 too",
        ),
        (
            "location_id,name,latitude,longitude,timezone\n",
            "line 2: no location",
        ),
        (
            "location_id,name,latitude,longitude,timezone\na,A,97,2,\n",
            "line 2: the latitude",
        ),
        ("", "line 1: no column location_id"),
    ] {
        let program = Program::new(&world, csv);
        for command in ["once", "stream"] {
            let output = program.run(command).await;
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let line = closing_line(&output);
            assert!(line["error"].as_str().unwrap().contains(reason), "{line}");
            assert_eq!(line["status"], "failed");
        }
    }
    assert!(world.control().requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_setting_is_exit_2() {
    let world = World::start_real().await;
    let program = Program::new(&world, &csv(1));
    for name in [
        "WEATHER_TOPIC",
        "KAFKA_BOOTSTRAP_SERVERS",
        "WEATHER_LOCATIONS",
    ] {
        let output = finish(program.command("once").env_remove(name).spawn().unwrap()).await;
        assert_eq!(output.status.code(), Some(2), "{name}");
    }
    let output = program.run("backfill").await;
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        closing_line(&output)["error"],
        "backfill needs DATABASE_URL or --places FILE"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_what_is_there_and_changes_nothing() {
    let world = World::start_real().await;
    let program = Program::new(&world, &csv(3));
    let output = program.run("check").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("ok: topic: weather has 4 partitions"),
        "{text}"
    );
    assert!(text.contains("ok: locations: 3 locations"), "{text}");
    assert!(world.topic().is_empty());
    let hosts = || {
        let requests = world.control().requests();
        requests.iter().map(|asked| asked.host).collect::<Vec<_>>()
    };
    let all = [Host::Forecast, Host::HistoricalForecast, Host::Archive];
    assert_eq!(hosts(), all, "backfill needs all three");
    for host in all {
        world.control().plan_fault(Fault {
            host: Some(host),
            ..Fault::always(Kind::Overloaded)
        });
        let output = program.run("check").await;
        assert_eq!(output.status.code(), Some(1), "{host:?}: {output:?}");
        world.control().clear_faults();
    }
    world.control().forget_requests();
    let mut without = program.command("check");
    let output = finish(without.env_remove("LANDING_URL").spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(hosts(), [Host::Forecast]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_wait_with_143_and_a_stream_with_0() {
    let world = World::start_real().await;
    let program = Program::new(&world, &csv(3));
    world.control().exhaust(Window::Minute);
    // Waits for the minute's end, unless it just ended.
    let child = program.command("once").spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    terminate(&child);
    let started = Instant::now();
    let output = finish(child).await;
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    assert!(started.elapsed() < Duration::from_secs(2));

    world.control().advance_clock(60);
    let child = program.command("stream").spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while world.topic().len() < 3 {
        assert!(Instant::now() < deadline, "no reading arrived");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    terminate(&child);
    let output = finish(child).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(closing_line(&output)["sent"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_shows_its_vitals() {
    let world = World::start_real().await;
    let program = Program::new(&world, &csv(3));
    world.control().plan_fault(Fault::always(Kind::Overloaded));
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let child = program
        .command("stream")
        .env("LISTEN_ADDR", address.to_string())
        .spawn()
        .unwrap();
    until(
        address,
        "/readyz",
        "open-meteo: Open-Meteo did not answer: The service is overloaded",
    )
    .await;
    until(address, "/healthz", "200 OK").await;
    world.control().clear_faults();
    until(address, "/readyz", "200 OK").await;
    until(address, "/metrics", "weather_producer_acknowledged_total 3").await;
    until(
        address,
        "/metrics",
        "weather_producer_location_slot_timestamp_seconds{location=\"place-1\"} ",
    )
    .await;
    until(
        address,
        "/metrics",
        "weather_producer_request_failures_total{kind=\"unavailable\"} ",
    )
    .await;
    terminate(&child);
    assert_eq!(finish(child).await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_ready_again_when_kafka_is_back_and_not_only_with_the_next_slot() {
    let world = World::start_real().await;
    let program = Program::new(&world, &csv(3));
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let child = program
        .command("stream")
        .args(["--slot", "24h"])
        .env("LISTEN_ADDR", address.to_string())
        .spawn()
        .unwrap();
    until(address, "/metrics", "weather_producer_acknowledged_total 3").await;
    world.cluster.broker_down(1).unwrap();
    until(address, "/readyz", "kafka: no broker answers").await;
    world.cluster.broker_up(1).unwrap();
    until(address, "/readyz", "200 OK").await;
    terminate(&child);
    assert_eq!(finish(child).await.status.code(), Some(0));
}

/// Asks until the answer has `text` in it.
async fn until(address: SocketAddr, path: &'static str, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = tokio::task::spawn_blocking(move || get(address, path))
            .await
            .unwrap();
        if answer
            .as_deref()
            .is_some_and(|answer| answer.contains(text))
        {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{path} never said {text}: {answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// `KILLS` times, 12 where nothing is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_a_stream_at_seeded_moments_and_no_reading_is_two_documents() {
    let kills = option_env_at_run("KILLS").unwrap_or(12);
    let world = World::start_real().await;
    let program = Program::new(&world, &csv(40));
    let mut random = fastrand::Rng::with_seed(11);
    // On a loaded machine everything takes longer: a kill comes within the time that a whole run needs.
    let started = Instant::now();
    assert_eq!(program.run("once").await.status.code(), Some(0));
    let whole = started.elapsed();
    for number in 0..kills {
        let before = world.topic().len();
        let mut child = program
            .command("stream")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if number % 3 == 0 {
            // Whatever else the machine does, some kills come after something was sent.
            let deadline = Instant::now() + Duration::from_secs(60);
            while world.topic().len() == before {
                assert!(Instant::now() < deadline, "nothing was sent");
            }
        } else {
            tokio::time::sleep(whole.mul_f64(0.2 + random.f64())).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Another slot, and no limit that is in the way.
        world.control().advance_clock(300);
    }
    let output = program.run("once").await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let seen = world.topic();
    let readings = readings(&seen);
    assert!(
        seen.len() > readings.len(),
        "nothing was sent again, although streams were killed after they had sent"
    );
    let slots: std::collections::BTreeSet<_> = readings.into_iter().map(|(_, slot)| slot).collect();
    assert!(slots.len() > 1, "{slots:?}");
    let last = slots.last().unwrap();
    assert_eq!(
        seen.iter()
            .filter(|seen| seen.slot == **last)
            .map(|seen| &seen.location_id)
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        40
    );
}

#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn option_env_at_run(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}
