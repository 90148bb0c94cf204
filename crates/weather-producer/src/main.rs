//! Wires `weather-producer` together; the work itself is in [`weather_producer::produce`] and
//! [`weather_producer::backfill`].

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use common::{
    check::conclude,
    storage::Storage,
    task::{Closing, Refused, stop_token},
    vitals::Vitals,
};
use secrecy::{ExposeSecret as _, SecretString};
use weather_producer::{
    backfill,
    check::{self, Needs},
    clock::Clock,
    config::{
        BackfillArgs, CheckArgs, Command, Config, OnceArgs, OpenMeteoArgs, StreamArgs, TopicArgs,
    },
    locations, metrics,
    open_meteo::OpenMeteo,
    produce::{self, Stage},
    topic::Topic,
};

#[tokio::main]
async fn main() -> ExitCode {
    common::task::main("weather-producer", run).await
}

async fn run(config: Config) -> anyhow::Result<Closing> {
    match config.command {
        Command::Stream(args) => Box::pin(stream(args)).await,
        Command::Once(args) => Box::pin(once(args)).await,
        Command::Backfill(args) => Box::pin(backfill(args)).await,
        Command::Check(args) => Box::pin(check(args)).await,
    }
}

async fn stream(args: StreamArgs) -> anyhow::Result<Closing> {
    let locations = locations::read(&args.locations.weather_locations).await?;
    let mut stage = stage(&args.open_meteo, &args.topic, args.listen.listen_addr).await?;
    stage.delivery_timeout = args.topic.stream_delivery_timeout();
    produce::stream(&mut stage, &locations, args.slot, args.jitter).await
}

async fn once(args: OnceArgs) -> anyhow::Result<Closing> {
    let locations = locations::read(&args.locations.weather_locations).await?;
    let mut stage = stage(&args.open_meteo, &args.topic, args.listen.listen_addr).await?;
    produce::once(&mut stage, &locations, args.max_wait).await
}

async fn backfill(args: BackfillArgs) -> anyhow::Result<Closing> {
    let configured = match given(args.weather_locations.as_deref()) {
        Some(address) => locations::read(address).await?,
        None => Vec::new(),
    };
    let activities = match (&args.places, given_secret(args.database_url.as_ref())) {
        (Some(file), _) => backfill::from_csv(file)?,
        (None, Some(url)) => backfill::from_database(url).await?,
        (None, None) => anyhow::bail!(Refused::new("backfill needs DATABASE_URL or --places FILE")),
    };
    let storage = Storage::open(&args.landing_url).await?;
    let mut stage = stage(&args.open_meteo, &args.topic, args.listen.listen_addr).await?;
    backfill::run(&mut stage, storage, configured, &activities, args.max_wait).await
}

async fn check(args: CheckArgs) -> anyhow::Result<Closing> {
    let mut stage = stage(&args.open_meteo, &args.topic, None).await?;
    let needs = Needs {
        open_meteo: &mut stage.open_meteo,
        topic: &stage.topic,
        locations: given(args.weather_locations.as_deref()),
        landing: args.landing_url.as_ref(),
        database: given_secret(args.database_url.as_ref()),
    };
    let findings = Box::pin(check::run(needs)).await;
    conclude(&findings, args.json)
}

async fn stage(
    open_meteo: &OpenMeteoArgs,
    topic: &TopicArgs,
    listen: Option<SocketAddr>,
) -> anyhow::Result<Stage> {
    let (vitals, stop, clock) = (Vitals::new(metrics::METRICS), stop_token(), Clock::System);
    if let Some(address) = listen {
        vitals.not_ready(metrics::READY_OPEN_METEO, "not asked yet");
        vitals.not_ready(metrics::READY_KAFKA, "not reached yet");
        let served = vitals.serve(address, stop.clone()).await;
        served.with_context(|| Refused::new(format!("listen on LISTEN_ADDR {address}")))?;
    }
    Ok(Stage {
        open_meteo: OpenMeteo::new(
            open_meteo.settings(),
            clock.clone(),
            vitals.clone(),
            stop.clone(),
        )?,
        new_topic: topic.new_topic(),
        topic: Topic::open(&topic.kafka, &topic.weather_topic, vitals.clone())?,
        clock,
        vitals,
        stop,
        batch: usize::from(open_meteo.batch),
        attempts: open_meteo.attempts,
        delivery_timeout: topic.delivery_timeout(),
    })
}

/// An empty variable is one that is not set.
fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn given_secret(secret: Option<&SecretString>) -> Option<&SecretString> {
    secret.filter(|secret| !secret.expose_secret().is_empty())
}
