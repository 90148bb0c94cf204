//! The command line and the environment of `weather-producer`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use common::{
    kafka::KafkaArgs,
    landing::RunId,
    storage::LandingUrl,
    task::{LogArgs, RunArgs, Settings, duration},
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::{budget::Limits, open_meteo, produce::Slots, topic::NewTopic};

/// Sends the weather of places to Kafka: as it happens, once, or for the hours of past activities.
#[derive(Debug, Parser)]
#[command(name = "weather-producer", version)]
pub struct Config {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send the running slot of every location at once, and then every slot, until stopped.
    Stream(StreamArgs),
    /// Send the running slot of every location, and end.
    Once(OnceArgs),
    /// Send the hours of past activities, at their places; goes on where the last run stopped.
    Backfill(BackfillArgs),
    /// Whether everything is there that the other commands need, changing nothing.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub struct OpenMeteoArgs {
    /// Host of forecasts and of what was measured lately, without a path [default: Open-Meteo's]
    #[arg(long, env = "OPEN_METEO_URL")]
    pub open_meteo_url: Option<Url>,
    /// Host of the reanalysis, without a path [default: Open-Meteo's]
    #[arg(long, env = "OPEN_METEO_ARCHIVE_URL")]
    pub open_meteo_archive_url: Option<Url>,
    /// Host of past forecasts, without a path [default: Open-Meteo's]
    #[arg(long, env = "OPEN_METEO_HISTORICAL_FORECAST_URL")]
    pub open_meteo_historical_forecast_url: Option<Url>,
    /// Key of a customer; the default hosts become the customers' and the limits fall away
    #[arg(long, env = "OPEN_METEO_API_KEY", hide_env_values = true, value_parser = secret)]
    pub open_meteo_api_key: Option<SecretString>,
    /// Calls in a minute, as Open-Meteo weighs them [default: 600 without a key]
    #[arg(long, value_parser = limit)]
    pub minute_limit: Option<f64>,
    /// Calls in an hour [default: 5000 without a key]
    #[arg(long, value_parser = limit)]
    pub hour_limit: Option<f64>,
    /// Calls in a day (UTC) [default: 10000 without a key]
    #[arg(long, value_parser = limit)]
    pub day_limit: Option<f64>,
    /// The most locations in one request
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub batch: u16,
    /// How often a request that fails for a passing reason is tried
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: u32,
}

impl OpenMeteoArgs {
    pub fn settings(&self) -> open_meteo::Settings {
        let key = self
            .open_meteo_api_key
            .clone()
            .filter(|key| !key.expose_secret().is_empty());
        let prefix = if key.is_some() { "customer-" } else { "" };
        let host = |given: &Option<Url>, name: &str| {
            let default = || format!("https://{prefix}{name}.open-meteo.com").parse();
            given
                .clone()
                .unwrap_or_else(|| default().expect("the hosts' names are part of this program"))
        };
        let default = if key.is_some() {
            Limits::NONE
        } else {
            Limits::FREE
        };
        open_meteo::Settings {
            forecast_url: host(&self.open_meteo_url, "api"),
            archive_url: host(&self.open_meteo_archive_url, "archive-api"),
            historical_forecast_url: host(
                &self.open_meteo_historical_forecast_url,
                "historical-forecast-api",
            ),
            api_key: key,
            limits: Limits {
                minute: self.minute_limit.unwrap_or(default.minute),
                hour: self.hour_limit.unwrap_or(default.hour),
                day: self.day_limit.unwrap_or(default.day),
            },
        }
    }
}

#[derive(Debug, Args)]
pub struct TopicArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// Where readings go; made where it is missing
    #[arg(long, env = "WEATHER_TOPIC")]
    pub weather_topic: String,
    /// Partitions of a topic that is made
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// Copies of a topic that is made [default: the broker's]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub replication_factor: Option<i32>,
    /// How long a topic that is made keeps readings: unlimited, or a duration such as 30d
    #[arg(long, default_value = "unlimited", value_parser = retention)]
    pub retention: Retention,
    /// How long to wait at the end for Kafka to take everything [default: 2m, of stream 20s]
    #[arg(long, value_parser = duration)]
    pub delivery_timeout: Option<Duration>,
}

/// Who waits for a run's end waits for its last reading too.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);
/// Kubernetes and ECS, where nothing is said, allow 30 s between SIGTERM, which is a stream's end, and SIGKILL.
const STREAM_DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

impl TopicArgs {
    pub fn delivery_timeout(&self) -> Duration {
        self.delivery_timeout.unwrap_or(DELIVERY_TIMEOUT)
    }

    pub fn stream_delivery_timeout(&self) -> Duration {
        self.delivery_timeout.unwrap_or(STREAM_DELIVERY_TIMEOUT)
    }

    pub fn new_topic(&self) -> NewTopic {
        NewTopic {
            partitions: self.partitions,
            replication_factor: self.replication_factor.unwrap_or(-1),
            retention: self.retention.0,
        }
    }
}

/// `None`: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Retention(Option<Duration>);

#[derive(Debug, Args)]
pub struct LocationsArgs {
    /// CSV location_id,name,latitude,longitude,timezone: a path or s3://bucket/key
    #[arg(long, env = "WEATHER_LOCATIONS")]
    pub weather_locations: String,
}

#[derive(Debug, Args)]
pub struct ListenArgs {
    /// Where /metrics, /healthz and /readyz are served [default: nowhere]
    #[arg(long, env = "LISTEN_ADDR")]
    pub listen_addr: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub struct StreamArgs {
    #[command(flatten)]
    pub locations: LocationsArgs,
    #[command(flatten)]
    pub open_meteo: OpenMeteoArgs,
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
    /// A slot's length: a multiple of 15m that a day is a multiple of
    #[arg(long, default_value = "15m", value_parser = slots)]
    pub slot: Slots,
    /// Each slot is asked for up to that long after it began, so that not everybody asks at once
    #[arg(long, default_value = "20s", value_parser = duration)]
    pub jitter: Duration,
}

#[derive(Debug, Args)]
pub struct OnceArgs {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub locations: LocationsArgs,
    #[command(flatten)]
    pub open_meteo: OpenMeteoArgs,
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Wait that long for a limit that is used up
    #[arg(long, default_value = "15m", value_parser = duration)]
    pub max_wait: Duration,
}

#[derive(Debug, Args)]
pub struct BackfillArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// CSV activity_id,latitude,longitude,started_at,ended_at, instead of the database
    #[arg(long, value_name = "FILE")]
    pub places: Option<PathBuf>,
    /// Where the activities are [required without --places]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub database_url: Option<SecretString>,
    /// Where the progress is kept: s3://bucket/prefix or file:///absolute/directory
    #[arg(long, env = "LANDING_URL")]
    pub landing_url: LandingUrl,
    /// CSV location_id,name,latitude,longitude,timezone of places that activities near them belong to
    #[arg(long, env = "WEATHER_LOCATIONS")]
    pub weather_locations: Option<String>,
    #[command(flatten)]
    pub open_meteo: OpenMeteoArgs,
    #[command(flatten)]
    pub topic: TopicArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Wait that long for a limit that is used up
    #[arg(long, default_value = "15m", value_parser = duration)]
    pub max_wait: Duration,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[arg(long, env = "WEATHER_LOCATIONS")]
    pub weather_locations: Option<String>,
    #[arg(long, env = "LANDING_URL")]
    pub landing_url: Option<LandingUrl>,
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_parser = secret)]
    pub database_url: Option<SecretString>,
    #[command(flatten)]
    pub open_meteo: OpenMeteoArgs,
    #[command(flatten)]
    pub topic: TopicArgs,
    /// As one line of JSON
    #[arg(long)]
    pub json: bool,
}

impl Settings for Config {
    fn log(&self) -> &LogArgs {
        &self.log
    }

    fn run_id(&self) -> Option<&RunId> {
        match &self.command {
            Command::Once(args) => Some(&args.run.run_id),
            Command::Backfill(args) => Some(&args.run.run_id),
            Command::Stream(_) | Command::Check(_) => None,
        }
    }

    fn command(&self) -> &'static str {
        match &self.command {
            Command::Stream(_) => "stream",
            Command::Once(_) => "once",
            Command::Backfill(_) => "backfill",
            Command::Check(_) => "check",
        }
    }
}

fn retention(text: &str) -> Result<Retention, String> {
    if text == "unlimited" {
        return Ok(Retention(None));
    }
    // Days are a span's unit and not a duration's.
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.trim().parse::<u32>().ok());
    let long = days.map_or_else(
        || duration(text),
        |days| Ok(Duration::from_secs(u64::from(days) * 86_400)),
    );
    long.map(|long| Retention(Some(long)))
}

fn slots(text: &str) -> Result<Slots, String> {
    let length = duration(text)?;
    Slots::new(length)
        .ok_or_else(|| format!("`{text}` is no multiple of 15m that a day is a multiple of"))
}

fn limit(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 1.0);
    number.ok_or_else(|| format!("`{text}` is no number from 1"))
}

/// An empty variable is one that is not set.
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: [&str; 8] = [
        "weather-producer",
        "once",
        "--weather-locations",
        "places.csv",
        "--weather-topic",
        "weather",
        "--kafka-bootstrap-servers",
        "broker:9092",
    ];

    fn settings(options: &[&str]) -> open_meteo::Settings {
        let config = Config::try_parse_from(ONCE.iter().chain(options)).unwrap();
        let Command::Once(args) = config.command else {
            unreachable!("the command is once")
        };
        args.open_meteo.settings()
    }

    #[test]
    fn a_key_leads_to_the_customers_hosts_and_without_limits() {
        let free = settings(&[]);
        assert_eq!(free.forecast_url.as_str(), "https://api.open-meteo.com/");
        assert_eq!(free.limits, Limits::FREE);
        let customer = settings(&[
            "--open-meteo-api-key",
            "secret",
            "--open-meteo-url",
            "http://mine:1",
        ]);
        assert_eq!(customer.forecast_url.as_str(), "http://mine:1/");
        assert_eq!(
            customer.archive_url.as_str(),
            "https://customer-archive-api.open-meteo.com/"
        );
        assert_eq!(customer.limits, Limits::NONE);
    }

    #[test]
    fn a_stream_has_time_to_deliver_before_it_is_killed_and_the_others_as_long_as_is_said() {
        let topic = |options: &[&str]| {
            let config = Config::try_parse_from(ONCE.iter().chain(options)).unwrap();
            let Command::Once(args) = config.command else {
                unreachable!("the command is once")
            };
            let topic = args.topic;
            [topic.delivery_timeout(), topic.stream_delivery_timeout()].map(|time| time.as_secs())
        };
        assert_eq!(topic(&[]), [120, 20]);
        assert_eq!(topic(&["--delivery-timeout", "1m"]), [60, 60]);
    }

    #[test]
    fn retention_is_for_ever_or_a_time() {
        assert!(retention("unlimited").unwrap().0.is_none());
        assert_eq!(
            retention("30d").unwrap().0,
            Some(Duration::from_secs(30 * 86_400))
        );
        assert_eq!(
            retention("12h").unwrap().0,
            Some(Duration::from_secs(12 * 3_600))
        );
        assert!(retention("long").is_err());
    }

    #[test]
    fn a_slot_divides_the_day() {
        for good in ["15m", "30m", "1h", "24h"] {
            assert!(slots(good).is_ok(), "{good}");
        }
        for bad in ["10m", "5h", "0s", "25h"] {
            assert!(slots(bad).is_err(), "{bad}");
        }
    }
}
