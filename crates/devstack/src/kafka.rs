//! Apache Kafka, one broker on free loopback ports, its data kept in the state folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::Signal;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::child::{self, Server};
use crate::state::State;
use crate::world::free_port;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
/// The broker of a devstack that was killed needs a moment to go.
const ATTEMPTS: usize = 8;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Where `scripts/kafka-jars` puts them.
const JARS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/kafka");

/// One node quick to start, small, and as strict as a cluster: no topic by accident. The short
/// session lets it register again soon after it was stopped or killed.
const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
auto.create.topics.enable=false
";

/// The topic that the weather pair shares.
const TOPIC: &str = "weather-readings";

/// A broker that answers and is the one that was started.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    port: u16,
}

impl Kafka {
    /// Formats the data folder where there is none, and starts the broker.
    pub async fn start(state: &State) -> anyhow::Result<Self> {
        let folder = state.of_service("kafka")?;
        ensure!(
            !folder.as_os_str().as_encoded_bytes().contains(&b','),
            "Kafka takes a comma in {} for the end of a folder: choose another state folder",
            folder.display()
        );
        Self::start_in(&folder).await.context("start Kafka")
    }

    /// The same in any folder, for tests that take their broker away.
    pub async fn start_in(folder: &Path) -> anyhow::Result<Self> {
        let jars = jars()?;
        let mut attempt = 1;
        loop {
            match serve(folder, &jars).await {
                Err(error) if attempt < ATTEMPTS => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "Kafka did not start, trying again"
                    );
                    attempt += 1;
                    sleep(BETWEEN_ATTEMPTS).await;
                }
                outcome => return outcome,
            }
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("KAFKA_BOOTSTRAP_SERVERS", self.address()),
            ("WEATHER_TOPIC", TOPIC.to_owned()),
        ]
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }

    /// Waits until it answers, and makes sure that the answer is not another broker's.
    async fn ready(&mut self, cluster: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let answering = loop {
            self.server.check()?;
            let address = self.address();
            match tokio::task::spawn_blocking(move || cluster_id(&address)).await? {
                Ok(answering) => break answering,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("it did not answer within 60 s");
                }
                Err(_) => sleep(POLL).await,
            }
        };
        ensure!(
            answering == cluster,
            "another Kafka answers on {}: its cluster id is {answering}",
            self.address()
        );
        Ok(())
    }
}

async fn serve(folder: &Path, jars: &str) -> anyhow::Result<Kafka> {
    let (port, controller) = (free_port()?, free_port()?);
    let data = folder.join("data");
    let settings = folder.join("server.properties");
    let text = format!(
        "{SETTINGS}controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         log.dirs={}\n",
        data.display()
    );
    fs::write(&settings, text).with_context(|| format!("write {}", settings.display()))?;
    let cluster = match known_cluster(&data) {
        Some(cluster) => cluster,
        None => format(&data, &settings, jars).await?,
    };
    let mut command = java(jars);
    command
        .arg("kafka.Kafka")
        .arg(&settings)
        .current_dir(folder);
    let server = Server::start("Kafka", command, Signal::SIGTERM, &folder.join("log"))?;
    let mut kafka = Kafka { server, port };
    match kafka.ready(&cluster).await {
        Ok(()) => Ok(kafka),
        Err(error) => {
            // What went wrong is told; that it had to be stopped as well adds nothing.
            _ = kafka.stop().await;
            Err(error)
        }
    }
}

/// Makes the data folder under a random cluster id, by which the broker is known again.
async fn format(data: &Path, settings: &Path, jars: &str) -> anyhow::Result<String> {
    if data.exists() {
        fs::remove_dir_all(data)
            .with_context(|| format!("remove unfinished {}", data.display()))?;
    }
    let cluster = random_id();
    let output = java(jars)
        .args(["kafka.tools.StorageTool", "format", "-t", &cluster, "-c"])
        .arg(settings)
        .stdin(Stdio::null())
        .output()
        .await
        .context("format its data folder")?;
    ensure!(
        output.status.success(),
        "format its data folder: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(cluster)
}

/// Quick to start rather than quick for hours; it logs what is wrong and nothing else.
fn java(jars: &str) -> Command {
    let mut command = child::command("java", None, Signal::SIGTERM);
    command
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .args(["-cp", jars]);
    command
}

fn jars() -> anyhow::Result<String> {
    let folder = PathBuf::from(JARS);
    if !folder.join("stamp").is_file() {
        bail!("Kafka's jars are missing: run `make setup`, or scripts/kafka-jars");
    }
    let folder = folder.canonicalize().context("find Kafka's jars")?;
    Ok(format!("{}/*", folder.display()))
}

/// The cluster id of a data folder that is formatted.
fn known_cluster(data: &Path) -> Option<String> {
    let text = fs::read_to_string(data.join("meta.properties")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("cluster.id="));
    line.map(str::to_owned)
}

fn cluster_id(address: &str) -> anyhow::Result<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("log_level", "0")
        .create()
        .context("make a Kafka client")?;
    // It is asked for with the first metadata, which also says that the broker takes requests.
    consumer
        .fetch_metadata(None, Duration::from_secs(2))
        .context("ask the broker for its topics")?;
    let id = consumer.client().fetch_cluster_id(Duration::from_secs(2));
    id.context("the broker does not know its cluster yet")
}

/// As Kafka writes them: 16 bytes in base64 for URLs, not beginning with a dash.
fn random_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut id: Vec<u8> = (0..21).map(|_| DIGITS[fastrand::usize(..62)]).collect();
    // Only two of the last digit's six bits belong to the sixteenth byte.
    id.push(DIGITS[fastrand::usize(..4) * 16]);
    id.into_iter().map(char::from).collect()
}
