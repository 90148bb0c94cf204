//! The programs that take readings from the topic to MongoDB, as processes that are measured from outside.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::world::{COLLECTION, World};

/// The unit of the CPU time in `/proc`, on every architecture of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Program {
    Bare,
    Ours,
    Connect,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare loop",
            Self::Ours => "weather-consumer",
            Self::Connect => "Kafka Connect",
        }
    }

    /// Starts it on a topic, as the only member of a new group.
    pub(crate) fn start(
        self,
        world: &World,
        topic: &str,
        database: &str,
        folder: &Path,
    ) -> Process {
        let mut command = match self {
            Self::Bare => Command::new(built("examples/bare_sink")),
            Self::Ours => {
                let mut command = ours();
                command.args(["run", "--sink", "mongodb"]);
                command
            }
            Self::Connect => connect(world, topic, database, folder),
        };
        command
            .env("KAFKA_BOOTSTRAP_SERVERS", &world.brokers)
            .env("KAFKA_GROUP_ID", database)
            .env("WEATHER_TOPIC", topic)
            .env("MONGODB_URI", &world.mongodb)
            .env("MONGODB_DATABASE", database)
            .env("MONGODB_COLLECTION", COLLECTION);
        Process::spawn(
            self.name(),
            command,
            &folder.join(format!("{database}.log")),
        )
    }
}

/// `weather-consumer` with the allocator's settings of its image: what is measured is what is deployed.
pub(crate) fn ours() -> Command {
    let image = include_str!("../../../../docker/Dockerfile");
    let settings = image.lines().find(|line| line.starts_with("ENV MALLOC_"));
    let settings = settings.expect("the image sets its allocator").split(' ');
    let mut command = Command::new(env!("CARGO_BIN_EXE_weather-consumer"));
    command.envs(settings.filter_map(|setting| setting.split_once('=')));
    command
}

/// Kafka Connect in its mode of one process, with the memory that its own script gives it.
fn connect(world: &World, topic: &str, database: &str, folder: &Path) -> Command {
    let worker = format!(
        "bootstrap.servers={}\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\n\
         value.converter.schemas.enable=false\n\
         offset.storage.file.filename={}\n\
         listeners=http://127.0.0.1:0\n",
        world.brokers,
        folder.join("offsets").display()
    );
    // Upserts under the event id, as ours does, which its converter has under another name; two tasks, for
    // the two writers of the others.
    let sink = format!(
        "name={database}\n\
         connector.class=com.mongodb.kafka.connect.MongoSinkConnector\n\
         tasks.max=2\n\
         topics={topic}\n\
         connection.uri={}\n\
         database={database}\n\
         collection={COLLECTION}\n\
         bulk.write.ordered=false\n\
         document.id.strategy=com.mongodb.kafka.connect.sink.processor.id.strategy.ProvidedInValueStrategy\n\
         transforms=id\n\
         transforms.id.type=org.apache.kafka.connect.transforms.ReplaceField$Value\n\
         transforms.id.renames=event_id:_id\n",
        world.mongodb
    );
    let (worker_file, sink_file) = (
        folder.join("worker.properties"),
        folder.join("sink.properties"),
    );
    fs::write(&worker_file, worker).unwrap();
    fs::write(&sink_file, sink).unwrap();
    let jars = target().join("connect");
    assert!(
        jars.join("stamp").is_file(),
        "Connect's jars are missing: run `scripts/kafka-jars connect`"
    );
    let mut command = Command::new("java");
    command
        .args([
            "-Xms256M",
            "-Xmx2G",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
        ])
        .arg(format!("{}/*", jars.display()))
        .arg("org.apache.kafka.connect.cli.ConnectStandalone")
        .args([worker_file, sink_file]);
    command
}

/// A program of this build: target/release/deps/weather-… -> target/release/NAME
pub(crate) fn built(name: &str) -> PathBuf {
    let path = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(2)
        .unwrap()
        .join(name);
    assert!(
        path.is_file(),
        "{} is not built: run `make bench-weather`",
        path.display()
    );
    path
}

fn target() -> PathBuf {
    std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned()
}

/// A running process, killed when it is dropped.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    pub(crate) started: Instant,
}

impl Process {
    pub(crate) fn spawn(name: &'static str, mut command: Command, log: &Path) -> Self {
        let file = fs::File::create(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        Self {
            name,
            started: Instant::now(),
            child: command
                .spawn()
                .unwrap_or_else(|error| panic!("start {name}: {error}")),
            log: log.to_owned(),
        }
    }

    /// Panics when it has ended, with what it said.
    pub(crate) fn assert_alive(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            panic!("{} has ended ({status}):\n{log}", self.name);
        }
    }

    /// Waits for a good end; gives its output and its peak in megabytes.
    pub(crate) fn end(mut self) -> (String, f64) {
        let mut peak = 0.0;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            peak = self.peak_megabytes().unwrap_or(peak);
            std::thread::sleep(Duration::from_millis(10));
        };
        let log = fs::read_to_string(&self.log).unwrap();
        assert!(status.success(), "{} failed ({status}):\n{log}", self.name);
        (log, peak)
    }

    /// User and system time so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which is in brackets: the 12th and the 13th.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields = fields.split_whitespace().skip(11).take(2);
        fields
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum::<f64>()
            / TICKS_PER_SECOND
    }

    /// Highest resident memory so far; none of a process that has just ended.
    pub(crate) fn peak_megabytes(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: f64 = peak.split_whitespace().next()?.parse().unwrap();
        Some(kilobytes * 1024.0 / 1e6)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
