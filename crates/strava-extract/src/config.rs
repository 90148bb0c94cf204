//! The command line and the environment of `strava-extract`.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, builder::NonEmptyStringValueParser};
use common::{
    credentials::TokenStore,
    landing::{RunId, Stream},
    storage::LandingUrl,
    task::{LogArgs, RunArgs, Settings, duration},
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::vanished::VanishLimit;

/// Lands an athlete's Strava data: what the API has, or what a bulk export holds.
#[derive(Debug, Parser)]
#[command(name = "strava-extract", version)]
pub struct Config {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch what is new, edited or deleted from Strava's API.
    Api(ApiArgs),
    /// Read Strava's bulk archive, without an account's API.
    Export(ExportArgs),
    /// The token.
    Auth(AuthArgs),
    /// What the ledger holds: done, pending, absent, quarantined.
    Status(StatusArgs),
    /// Whether everything is there that `api` needs, changing nothing.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub struct Landing {
    /// Where to land: s3://bucket/prefix or file:///absolute/directory.
    #[arg(long, env = "LANDING_URL")]
    pub landing_url: LandingUrl,
}

#[derive(Debug, Args)]
pub struct Store {
    /// Where the token is kept: ssm:///name/of/parameter or file:///path, may contain {athlete_id}.
    #[arg(long, env = "STRAVA_TOKEN_STORE")]
    pub strava_token_store: TokenStore,
    /// Which athlete; needed where several share the application.
    #[arg(long, env = "STRAVA_ATHLETE_ID", value_parser = athlete_id)]
    pub strava_athlete_id: Option<String>,
    /// The first refresh token, used while the store is empty.
    #[arg(long, env = "STRAVA_REFRESH_TOKEN", hide_env_values = true)]
    pub strava_refresh_token: Option<SecretString>,
}

impl Store {
    /// The athlete, where one is given. An empty variable is one that is not set.
    pub fn athlete_id(&self) -> Option<&str> {
        self.strava_athlete_id
            .as_deref()
            .filter(|id| !id.is_empty())
    }

    /// The seed, where one is given.
    pub fn seed(&self) -> Option<&SecretString> {
        self.strava_refresh_token
            .as_ref()
            .filter(|seed| !seed.expose_secret().is_empty())
    }

    /// The store of that athlete.
    pub fn of_athlete(&self) -> TokenStore {
        match self.athlete_id() {
            Some(id) => self.strava_token_store.for_athlete(id),
            None => self.strava_token_store.clone(),
        }
    }
}

#[derive(Debug, Args)]
pub struct Strava {
    #[command(flatten)]
    pub store: Store,
    #[arg(long, env = "STRAVA_CLIENT_ID", value_parser = NonEmptyStringValueParser::new())]
    pub strava_client_id: String,
    #[arg(long, env = "STRAVA_CLIENT_SECRET", hide_env_values = true, value_parser = secret)]
    pub strava_client_secret: SecretString,
    /// Strava's API, without a trailing slash.
    #[arg(
        long,
        env = "STRAVA_API_URL",
        default_value = "https://www.strava.com/api/v3"
    )]
    pub strava_api_url: Url,
    /// Strava's OAuth; /token is below it.
    #[arg(
        long,
        env = "STRAVA_OAUTH_URL",
        default_value = "https://www.strava.com/oauth"
    )]
    pub strava_oauth_url: Url,
}

#[derive(Debug, Args)]
pub struct ApiArgs {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub landing: Landing,
    #[command(flatten)]
    pub strava: Strava,
    /// Which streams to fetch.
    #[arg(long, value_delimiter = ',', default_value = "athletes,activities", value_parser = fetched)]
    pub streams: Vec<Stream>,
    /// Send at most that many requests; a later run goes on.
    #[arg(long)]
    pub max_requests: Option<u64>,
    /// Wait that long for a used-up quarter of an hour, or for another run of the same athlete.
    #[arg(long, default_value = "15m", value_parser = duration)]
    pub max_wait: Duration,
    /// How many activities may vanish at once, as a number or as a share; a share counts above five.
    #[arg(long, default_value = "10%")]
    pub max_vanished: VanishLimit,
    /// How often one activity is asked for before it is set aside.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: u32,
    /// Ask again for what was set aside less than a week ago.
    #[arg(long)]
    pub retry_quarantined: bool,
    /// Look, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
}

impl ApiArgs {
    pub fn streams(&self) -> BTreeSet<Stream> {
        self.streams.iter().copied().collect()
    }
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub landing: Landing,
    /// The archive: a .zip, or the directory that came out of one.
    pub path: PathBuf,
    /// Whose it is [default: the id in its profile.csv]
    #[arg(long, value_parser = athlete_id)]
    pub athlete_id: Option<String>,
    /// Wait that long for another run of the same athlete.
    #[arg(long, default_value = "15m", value_parser = duration)]
    pub max_wait: Duration,
}

#[derive(Debug, Args)]
pub struct AuthArgs {
    #[command(subcommand)]
    pub command: AuthCommand,
}

#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Whose token is stored, for what, and until when. Never the token.
    Status(AuthStatusArgs),
}

#[derive(Debug, Args)]
pub struct AuthStatusArgs {
    #[command(flatten)]
    pub store: Store,
    /// As one line of JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub landing: Landing,
    /// Which athlete [default: everyone who was landed]
    #[arg(long, env = "STRAVA_ATHLETE_ID", value_parser = athlete_id)]
    pub strava_athlete_id: Option<String>,
    /// As one line of JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub landing: Landing,
    #[command(flatten)]
    pub strava: Strava,
    /// As one line of JSON.
    #[arg(long)]
    pub json: bool,
}

impl Settings for Config {
    fn log(&self) -> &LogArgs {
        &self.log
    }

    fn run_id(&self) -> Option<&RunId> {
        match &self.command {
            Command::Api(args) => Some(&args.run.run_id),
            Command::Export(args) => Some(&args.run.run_id),
            Command::Check(_) | Command::Auth(_) | Command::Status(_) => None,
        }
    }

    fn command(&self) -> &'static str {
        match &self.command {
            Command::Api(_) => "api",
            Command::Export(_) => "export",
            Command::Auth(AuthArgs {
                command: AuthCommand::Status(_),
            }) => "auth status",
            Command::Status(_) => "status",
            Command::Check(_) => "check",
        }
    }
}

/// In every key of the athlete's: digits only.
fn athlete_id(text: &str) -> Result<String, String> {
    let is_id = text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_id
        .then(|| text.to_owned())
        .ok_or_else(|| "an athlete's id is a number".to_owned())
}

fn secret(text: &str) -> Result<SecretString, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(text.to_owned().into())
}

fn fetched(text: &str) -> Result<Stream, String> {
    let fetched = crate::extract::STREAMS;
    let names = || fetched.map(Stream::as_str).join(", ");
    let stream = text.parse::<Stream>().map_err(|error| error.to_string())?;
    fetched
        .contains(&stream)
        .then_some(stream)
        .ok_or_else(|| format!("`{stream}` is not fetched yet, only {}", names()))
}
