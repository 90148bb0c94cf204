//! What devstack is told on its command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::civil::Date;

use crate::strava::{Athlete, Generated, Limits, Options};
use crate::world::Service;

/// The whole outside world on one machine, for development, the demo and the tests.
#[derive(Debug, Parser)]
#[command(name = "devstack", version)]
pub struct Config {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the world, run a command in it, stop the world, exit with the command's code.
    Exec {
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        world: WorldArgs,
        /// The command, after `--`.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Start the world and keep it until Ctrl-C, SIGTERM or `devstack down`.
    Up {
        #[command(flatten)]
        state: StateArgs,
        #[command(flatten)]
        world: WorldArgs,
    },
    /// Stop the world that runs with this state folder.
    Down(StateArgs),
    /// Print the running world's variables as `export NAME=value` lines.
    Env(StateArgs),
    /// Print a made-up athlete's activities, one JSON object a line, oldest first.
    Generate {
        #[command(flatten)]
        athlete: GeneratedArgs,
    },
}

#[derive(Debug, Args)]
pub struct StateArgs {
    /// Folder that keeps databases, landing folder and simulator from one run to the next.
    #[arg(long, default_value = ".devstack", value_name = "DIR")]
    pub state_dir: PathBuf,
}

#[derive(Debug, Args)]
pub struct WorldArgs {
    /// Start these services only.
    #[arg(long, value_delimiter = ',', value_name = "SERVICE,…")]
    pub only: Vec<Service>,
    /// Python environment with moto in it; by default the nearest .venv above the current folder.
    #[arg(long, value_name = "DIR")]
    pub python: Option<PathBuf>,
    /// Serve these recorded activities (one JSON object a line) instead of a made-up athlete.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["activities", "seed", "today", "first_day"])]
    pub recorded: Option<PathBuf>,
    #[command(flatten)]
    pub athlete: GeneratedArgs,
    /// Let the Strava simulator answer as often as it is asked; by default it has Strava's limits.
    #[arg(long)]
    pub no_quota: bool,
    /// Where servers are looked for.
    #[arg(long, env = "PATH", hide = true)]
    pub search_path: OsString,
}

#[derive(Debug, Args)]
pub struct GeneratedArgs {
    /// How many activities; by default as many as three years and a bit have, about 770.
    #[arg(long, value_name = "N")]
    pub activities: Option<usize>,
    /// Another seed is another athlete.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// The history ends with the day before; by default today's date in UTC.
    #[arg(long, value_name = "DATE")]
    pub today: Option<Date>,
    /// The history begins here; by default three years and a bit before its end.
    #[arg(long, value_name = "DATE")]
    pub first_day: Option<Date>,
}

impl WorldArgs {
    /// The services to start, in their usual order.
    pub fn services(&self) -> Vec<Service> {
        let wanted = |service: &Service| self.only.is_empty() || self.only.contains(service);
        Service::ALL.into_iter().filter(wanted).collect()
    }

    /// How the Strava simulator starts.
    pub fn strava(&self, state: PathBuf) -> Options {
        let athlete = match &self.recorded {
            Some(path) => Athlete::Recorded(path.clone()),
            None => Athlete::Generated(self.athlete.generated()),
        };
        let quota = if self.no_quota {
            Limits::generous()
        } else {
            Limits::default()
        };
        Options {
            athlete,
            quota,
            state: Some(state),
            ..Options::default()
        }
    }
}

impl GeneratedArgs {
    pub fn generated(&self) -> Generated {
        Generated {
            seed: self.seed,
            first_day: self.first_day,
            today: self.today,
            activities: self.activities,
        }
    }
}
