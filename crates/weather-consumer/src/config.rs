//! The command line of `weather-consumer`; `--help` is its reference.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use clap::{Args, Parser, Subcommand};
use common::{
    kafka::KafkaArgs,
    landing::RunId,
    storage::LandingUrl,
    task::{LogArgs, Refused, RunArgs, Settings, duration},
};
use secrecy::SecretString;

use crate::{
    collection::Address,
    consume::Limits,
    dead_letters::{Reason, Selection},
    report::Sink,
    topic::Membership,
};

/// Reads weather readings from Kafka and stores them in MongoDB and in the landing, each exactly once.
#[derive(Debug, Parser)]
#[command(name = "weather-consumer", version, max_term_width = 100)]
pub struct Config {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store readings until stopped
    Run(Box<Run>),
    /// Look at the records that could not be stored, or send them to their topic again
    #[command(subcommand)]
    DeadLetters(Letters),
    /// Say whether broker, topic, MongoDB and landing are there and let us in; change nothing
    Check(Box<Check>),
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    pub sinks: SinkArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Rows of one landed file
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_rows: u32,
    /// Memory of all open files; the largest is closed first
    #[arg(long, default_value = "32MiB", value_parser = bytes)]
    max_bytes: usize,
    /// Age at which an open file is landed, also while nothing arrives
    #[arg(long, default_value = "15m", value_parser = duration)]
    max_age: Duration,
    /// How long the group waits for a member that says nothing
    #[arg(long, default_value = "45s", value_parser = duration)]
    session_timeout: Duration,
    /// A name that stays over restarts: the group keeps its partitions for it meanwhile
    #[arg(long, env = "KAFKA_GROUP_INSTANCE_ID", value_name = "NAME")]
    group_instance_id: Option<String>,
    /// End with exit 1 after so long with work and without progress; a known outage does not count
    #[arg(long, default_value = "2m", value_parser = duration)]
    stall_timeout: Duration,
    /// For finishing what is in hand when stopped, or when partitions move
    #[arg(long, default_value = "20s", value_parser = duration)]
    drain_timeout: Duration,
    /// End with exit 0 once all that the topic held at the start is stored; --max-age says how soon files land
    #[arg(long)]
    pub until_caught_up: bool,
    /// Let MongoDB delete readings so long after their slot [default: never]
    #[arg(long, value_parser = duration)]
    pub expire_after: Option<Duration>,
    /// Serve /metrics, /healthz and /readyz here [default: not served]
    #[arg(long, env = "LISTEN_ADDR", value_name = "HOST:PORT")]
    pub listen_addr: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub enum Letters {
    /// Print them as JSON lines, without their values
    List(Box<ListLetters>),
    /// Send those that were not replayed yet to the topic that they are from
    Replay(Box<ReplayLetters>),
}

#[derive(Debug, Args)]
pub struct ListLetters {
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    group: GroupArgs,
}

#[derive(Debug, Args)]
pub struct ReplayLetters {
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    group: GroupArgs,
    #[command(flatten)]
    pub run: RunArgs,
    /// Only those with this reason
    #[arg(long)]
    reason: Option<Reason>,
    /// At most so many
    #[arg(long)]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    pub sinks: SinkArgs,
    /// As one line of JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct TopicArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// The topic of the readings
    #[arg(long = "topic", env = "WEATHER_TOPIC", value_name = "TOPIC")]
    pub topic: String,
    /// Where records go that cannot be stored [default: the topic and .dead-letters]
    #[arg(long = "dlq-topic", env = "WEATHER_DLQ_TOPIC", value_name = "TOPIC")]
    dead_letters: Option<String>,
}

/// The group of a consumer, as its sinks name it.
#[derive(Debug, Args)]
pub struct GroupArgs {
    /// Where readings are stored
    #[arg(
        long = "sink",
        value_enum,
        value_delimiter = ',',
        default_value = "mongodb,landing"
    )]
    sinks: Vec<Sink>,
    /// The consumer group [default: weather-consumer. and the sinks]
    #[arg(long = "group-id", env = "KAFKA_GROUP_ID", value_name = "GROUP")]
    group: Option<String>,
}

#[derive(Debug, Args)]
pub struct SinkArgs {
    #[command(flatten)]
    group: GroupArgs,
    /// s3://bucket/prefix or file:///absolute/dir, for the sink landing
    #[arg(long, env = "LANDING_URL", value_name = "URL")]
    landing_url: Option<LandingUrl>,
    /// Address of the server, for the sink mongodb
    #[arg(
        long,
        env = "MONGODB_URI",
        value_name = "SECRET",
        hide_env_values = true
    )]
    mongodb_uri: Option<SecretString>,
    #[arg(long, env = "MONGODB_DATABASE", value_name = "NAME")]
    mongodb_database: Option<String>,
    #[arg(long, env = "MONGODB_COLLECTION", value_name = "NAME")]
    mongodb_collection: Option<String>,
}

impl Run {
    pub fn limits(&self) -> Limits {
        Limits {
            max_rows: self.max_rows as usize,
            max_bytes: self.max_bytes,
            max_age: self.max_age,
            drain: self.drain_timeout,
            stall: self.stall_timeout,
        }
    }

    pub fn membership(&self) -> Membership {
        Membership {
            group: self.sinks.group.name(),
            instance: self
                .group_instance_id
                .clone()
                .filter(|name| !name.is_empty()),
            session_timeout: self.session_timeout,
        }
    }
}

impl ListLetters {
    pub fn group(&self) -> String {
        format!("{}.dead-letters", self.group.name())
    }
}

impl ReplayLetters {
    pub fn group(&self) -> String {
        format!("{}.dead-letters", self.group.name())
    }

    pub fn selection(&self) -> Selection {
        Selection {
            reason: self.reason,
            limit: self.limit,
        }
    }
}

impl TopicArgs {
    pub fn dead_letters(&self) -> String {
        let given = self.dead_letters.clone().filter(|name| !name.is_empty());
        given.unwrap_or_else(|| format!("{}.dead-letters", self.topic))
    }
}

impl GroupArgs {
    fn sinks(&self) -> BTreeSet<Sink> {
        self.sinks.iter().copied().collect()
    }

    fn name(&self) -> String {
        let given = self.group.clone().filter(|name| !name.is_empty());
        given.unwrap_or_else(|| {
            let sinks: Vec<_> = self.sinks().into_iter().map(Sink::as_str).collect();
            format!("weather-consumer.{}", sinks.join(","))
        })
    }
}

impl SinkArgs {
    /// The landing's address, none where it is no sink.
    pub fn landing(&self) -> Result<Option<&LandingUrl>, Refused> {
        if !self.group.sinks().contains(&Sink::Landing) {
            return Ok(None);
        }
        let missing = || Refused::new("the sink landing needs LANDING_URL (or --landing-url)");
        self.landing_url.as_ref().ok_or_else(missing).map(Some)
    }

    /// MongoDB's address, none where it is no sink.
    pub fn mongodb(&self) -> Result<Option<Address>, Refused> {
        if !self.group.sinks().contains(&Sink::Mongodb) {
            return Ok(None);
        }
        let missing = |name: &str| Refused::new(format!("the sink mongodb needs {name}"));
        let named = |name: &str, value: &Option<String>| {
            value
                .clone()
                .filter(|value| !value.is_empty())
                .ok_or_else(|| missing(name))
        };
        Ok(Some(Address {
            uri: self
                .mongodb_uri
                .clone()
                .ok_or_else(|| missing("MONGODB_URI"))?,
            database: named("MONGODB_DATABASE", &self.mongodb_database)?,
            collection: named("MONGODB_COLLECTION", &self.mongodb_collection)?,
        }))
    }
}

impl Settings for Config {
    fn log(&self) -> &LogArgs {
        &self.log
    }

    fn run_id(&self) -> Option<&RunId> {
        match &self.command {
            Command::Run(run) => Some(&run.run.run_id),
            Command::DeadLetters(Letters::Replay(replay)) => Some(&replay.run.run_id),
            Command::DeadLetters(Letters::List(_)) | Command::Check(_) => None,
        }
    }

    fn command(&self) -> &'static str {
        match &self.command {
            Command::Run(_) => "run",
            Command::DeadLetters(Letters::List(_)) => "dead-letters list",
            Command::DeadLetters(Letters::Replay(_)) => "dead-letters replay",
            Command::Check(_) => "check",
        }
    }
}

fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("`{text}` is no size such as 32MiB")),
    };
    let size = digits
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    size.filter(|size| *size >= 1 << 20)
        .ok_or_else(|| format!("`{text}` is no size from 1MiB up"))
}
