//! The services of one devstack: started together, stopped together, told to others as variables.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum;
use futures_util::future::{join_all, pending, select_all};

use crate::aws::Aws;
use crate::child::Server;
use crate::config::WorldArgs;
use crate::ecs::LocalEcs;
use crate::kafka::Kafka;
use crate::mongodb::Mongodb;
use crate::open_meteo;
use crate::postgres::Postgres;
use crate::state::{State, write_private};
use crate::strava::Simulator;

/// What can be started. A further service is a variant here and in `Running`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Service {
    Postgres,
    Kafka,
    Mongodb,
    Aws,
    Strava,
    OpenMeteo,
    /// The tasks of `iac/tasks.json`, in the world that the others make.
    Ecs,
}

impl Service {
    pub const ALL: [Self; 7] = [
        Self::Postgres,
        Self::Kafka,
        Self::Mongodb,
        Self::Aws,
        Self::Strava,
        Self::OpenMeteo,
        Self::Ecs,
    ];

    async fn start(
        self,
        state: &State,
        args: &WorldArgs,
        variables: &[(&'static str, String)],
    ) -> anyhow::Result<Running> {
        let started = Instant::now();
        let running = match self {
            Self::Postgres => Running::Postgres(Postgres::start(state, &args.search_path).await?),
            Self::Kafka => Running::Kafka(Kafka::start(state).await?),
            Self::Mongodb => {
                let python = args.python.as_deref();
                Running::Mongodb(Mongodb::start(state, &args.search_path, python).await?)
            }
            Self::Aws => Running::Aws(Aws::start(state, args.python.as_deref()).await?),
            Self::Strava => {
                let kept = state.of_service("strava")?.join("state.json");
                Running::Strava(Simulator::start(args.strava(kept)).await?)
            }
            Self::OpenMeteo => {
                let options = open_meteo::Options::default();
                Running::OpenMeteo(open_meteo::Simulator::start(options).await?)
            }
            Self::Ecs => Running::Ecs(LocalEcs::start(variables).await?),
        };
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(
            "{} answers on {} after {seconds:.1} s",
            running.name(),
            running.address()
        );
        Ok(running)
    }
}

#[derive(Debug)]
enum Running {
    Postgres(Postgres),
    Kafka(Kafka),
    Mongodb(Mongodb),
    Aws(Aws),
    Strava(Simulator),
    OpenMeteo(open_meteo::Simulator),
    Ecs(LocalEcs),
}

impl Running {
    fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL (fsync off)",
            Self::Kafka(_) => "Kafka",
            Self::Mongodb(mongodb) => mongodb.name(),
            Self::Aws(_) => "S3 and SSM (moto, in memory)",
            Self::Strava(_) => "Strava (simulated)",
            Self::OpenMeteo(_) => "Open-Meteo (simulated)",
            Self::Ecs(_) => "ECS and CloudWatch Logs (local processes)",
        }
    }

    fn address(&self) -> String {
        match self {
            Self::Postgres(postgres) => postgres.address(),
            Self::Kafka(kafka) => kafka.address(),
            Self::Mongodb(mongodb) => mongodb.address(),
            Self::Aws(aws) => aws.address(),
            Self::Strava(simulator) => simulator.address().to_string(),
            Self::OpenMeteo(simulator) => simulator.address().to_string(),
            Self::Ecs(ecs) => ecs.address(),
        }
    }

    fn environment(&self, state: &State) -> Vec<(&'static str, String)> {
        match self {
            Self::Postgres(postgres) => postgres.environment(),
            Self::Kafka(kafka) => kafka.environment(),
            Self::Mongodb(mongodb) => mongodb.environment(),
            Self::Aws(aws) => aws.environment(),
            Self::Strava(simulator) => vec![
                ("STRAVA_API_URL", simulator.api_url()),
                ("STRAVA_OAUTH_URL", simulator.oauth_url()),
                ("STRAVA_CLIENT_ID", simulator.client_id().to_owned()),
                ("STRAVA_CLIENT_SECRET", simulator.client_secret().to_owned()),
                ("STRAVA_REFRESH_TOKEN", simulator.refresh_token()),
                ("STRAVA_ATHLETE_ID", simulator.athlete_id().to_string()),
                (
                    "STRAVA_TOKEN_STORE",
                    format!("{}-{{athlete_id}}.json", file_url(state, "token")),
                ),
                ("DEVSTACK_STRAVA_CONTROL", simulator.control_url()),
            ],
            Self::OpenMeteo(simulator) => vec![
                ("OPEN_METEO_URL", simulator.forecast_url()),
                ("OPEN_METEO_ARCHIVE_URL", simulator.archive_url()),
                (
                    "OPEN_METEO_HISTORICAL_FORECAST_URL",
                    simulator.historical_forecast_url(),
                ),
                ("DEVSTACK_OPEN_METEO_CONTROL", simulator.control_url()),
            ],
            Self::Ecs(ecs) => ecs.environment(),
        }
    }

    /// The process behind it, where there is one.
    fn server(&mut self) -> Option<&mut Server> {
        match self {
            Self::Postgres(postgres) => Some(postgres.server()),
            Self::Kafka(kafka) => Some(kafka.server()),
            Self::Mongodb(mongodb) => Some(mongodb.server()),
            Self::Aws(aws) => Some(aws.server()),
            Self::Strava(_) | Self::OpenMeteo(_) | Self::Ecs(_) => None,
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Postgres(postgres) => postgres.stop().await,
            Self::Kafka(kafka) => kafka.stop().await,
            Self::Mongodb(mongodb) => mongodb.stop().await,
            Self::Aws(aws) => aws.stop().await,
            Self::Strava(simulator) => simulator.stop(),
            // It stops when dropped.
            Self::OpenMeteo(_) => Ok(()),
            Self::Ecs(ecs) => {
                ecs.stop().await;
                Ok(())
            }
        }
    }
}

/// Everything that runs with one state folder.
#[derive(Debug)]
pub struct World {
    state: State,
    running: Vec<Running>,
}

impl World {
    /// Starts all services at once; where one fails, the others are stopped again.
    pub async fn start(state: State, args: &WorldArgs) -> anyhow::Result<Self> {
        let landing = state.folder().join("landing");
        std::fs::create_dir_all(&landing).with_context(|| format!("make {}", landing.display()))?;
        let mut world = Self {
            state,
            running: Vec::new(),
        };
        let mut failure = None;
        // ECS gives its tasks the addresses of all others, so it starts when they have.
        let (last, first): (Vec<_>, Vec<_>) = args
            .services()
            .into_iter()
            .partition(|service| *service == Service::Ecs);
        for services in [first, last] {
            if failure.is_some() {
                break;
            }
            let variables = world.environment();
            let starting = services
                .iter()
                .map(|service| service.start(&world.state, args, &variables));
            for outcome in join_all(starting).await {
                match outcome {
                    Ok(running) => world.running.push(running),
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
        if failure.is_none() {
            failure = write_private(&world.state.environment(), &world.exports()).err();
        }
        match failure {
            None => Ok(world),
            Some(error) => {
                if let Err(error) = world.stop().await {
                    tracing::warn!(error = format!("{error:#}"), "could not stop everything");
                }
                Err(error)
            }
        }
    }

    /// The variables that programs in this world are started with.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("LANDING_URL", file_url(&self.state, "landing")),
            ("REPORT_URL", file_url(&self.state, "report")),
        ];
        for running in &self.running {
            variables.extend(running.environment(&self.state));
        }
        variables
    }

    /// Waits until a server ends by itself, which none should.
    pub async fn broken(&mut self) -> anyhow::Error {
        let servers = self.running.iter_mut().filter_map(Running::server);
        let ended: Vec<_> = servers.map(|server| Box::pin(server.ended())).collect();
        if ended.is_empty() {
            return pending().await;
        }
        select_all(ended).await.0
    }

    /// Stops everything, and reports the first thing that would not.
    pub async fn stop(self) -> anyhow::Result<()> {
        // Nobody must read addresses at which nothing answers any more.
        _ = std::fs::remove_file(self.state.environment());
        let (ecs, others): (Vec<_>, Vec<_>) = self
            .running
            .into_iter()
            .partition(|running| matches!(running, Running::Ecs(_)));
        let mut outcomes = Vec::new();
        // The tasks of ECS use the others until they end.
        for running in [ecs, others] {
            outcomes.extend(join_all(running.into_iter().map(Running::stop)).await);
        }
        outcomes
            .into_iter()
            .collect::<anyhow::Result<Vec<()>>>()
            .map(|_| ())
    }

    fn exports(&self) -> String {
        let line = |(name, value): (&str, String)| {
            format!("export {name}='{}'\n", value.replace('\'', r"'\''"))
        };
        self.environment().into_iter().map(line).collect()
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

fn file_url(state: &State, name: &str) -> String {
    let path = state.folder().join(name);
    url::Url::from_file_path(&path)
        .map_or_else(|()| format!("file://{}", path.display()), String::from)
}
