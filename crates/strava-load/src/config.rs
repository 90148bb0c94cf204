//! The command line of `strava-load`.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use common::{
    landing::{RunId, Stream},
    storage::LandingUrl,
    task::{LogArgs, Refused, RunArgs, Settings, duration},
};
use secrecy::SecretString;

use crate::{
    folder::Folder,
    rejects::{MaxRejects, OnTypeConflict},
};

/// Loads what landed into Postgres.
#[derive(Debug, Parser)]
#[command(name = "strava-load", version)]
pub struct Config {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load everything landed and not loaded yet, of every stream
    Sync(Sync),
    /// Rows that were set aside
    #[command(subcommand)]
    Rejects(Rejects),
    /// What is loaded: rows, sizes, loads and last times of each table
    Status(Status),
    /// Try the landing place and the database, changing nothing
    Check(Check),
}

#[derive(Debug, Args)]
pub struct Warehouse {
    /// Where to load to: postgresql://user:password@host:5432/dbname?sslmode=verify-full
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
    /// How long one statement may take
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub statement_timeout: Duration,
}

#[derive(Debug, Args)]
pub struct Landing {
    /// What to load: s3://bucket/prefix or file:///absolute/dir
    #[arg(long, env = "LANDING_URL")]
    pub landing_url: LandingUrl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    Strava,
    Weather,
}

#[derive(Debug, Args)]
pub struct Sync {
    #[command(flatten)]
    pub landing: Landing,
    #[command(flatten)]
    pub warehouse: Warehouse,
    #[command(flatten)]
    pub run: RunArgs,
    /// Only this source
    #[arg(long)]
    pub source: Option<Source>,
    /// Only these streams of Strava, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "STREAM,…")]
    pub streams: Vec<Stream>,
    /// Rejected rows that are accepted per table: N, or P% [default: 10%, of fewer than 100 rows 10]
    #[arg(long, value_name = "N|P%")]
    pub max_rejects: Option<MaxRejects>,
    /// What to do with a value that its column's type does not hold
    #[arg(long, value_enum, default_value = "reject")]
    pub on_type_conflict: OnTypeConflict,
    /// Remove rows that a tombstone names, instead of marking them deleted
    #[arg(long)]
    pub hard_delete: bool,
    /// Show DDL and counts, and leave no trace
    #[arg(long)]
    pub dry_run: bool,
}

impl Sync {
    /// What is to be loaded: everything, unless a source or streams are named.
    ///
    /// # Errors
    /// Streams were asked of a source that has none.
    pub fn folders(&self) -> anyhow::Result<Vec<Folder>> {
        if self.source == Some(Source::Weather) && !self.streams.is_empty() {
            return Err(
                Refused::new("--streams are Strava's: leave it out, or --source weather").into(),
            );
        }
        if !self.streams.is_empty() {
            return Ok(self.streams.iter().copied().map(Folder::Stream).collect());
        }
        let wanted = |folder: &Folder| match self.source {
            None => true,
            Some(Source::Strava) => *folder != Folder::Weather,
            Some(Source::Weather) => *folder == Folder::Weather,
        };
        Ok(Folder::all().into_iter().filter(wanted).collect())
    }
}

#[derive(Debug, Subcommand)]
pub enum Rejects {
    /// Print them, oldest first
    List(RejectsList),
}

#[derive(Debug, Args)]
pub struct RejectsList {
    #[command(flatten)]
    pub warehouse: Warehouse,
    /// Only those of this table
    #[arg(long, value_name = "SCHEMA.TABLE")]
    pub table: Option<String>,
    /// One line of JSON, with the raw text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub warehouse: Warehouse,
    /// One line of JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub landing: Landing,
    #[command(flatten)]
    pub warehouse: Warehouse,
    /// One line of JSON
    #[arg(long)]
    pub json: bool,
}

impl Settings for Config {
    fn log(&self) -> &LogArgs {
        &self.log
    }

    fn run_id(&self) -> Option<&RunId> {
        match &self.command {
            Command::Sync(sync) => Some(&sync.run.run_id),
            _ => None,
        }
    }

    fn command(&self) -> &'static str {
        match self.command {
            Command::Sync(_) => "sync",
            Command::Rejects(Rejects::List(_)) => "rejects list",
            Command::Status(_) => "status",
            Command::Check(_) => "check",
        }
    }
}
