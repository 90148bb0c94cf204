//! Wires `weather-producer` together; the work itself is in [`weather_producer::produce`] and
//! [`weather_producer::backfill`].

use std::{net::SocketAddr, process::ExitCode};

use anyhow::Context as _;
use common::{
    task::{Closing, Refused, stop_token},
    vitals::Vitals,
};
use weather_producer::{
    clock::Clock,
    config::{Command, Config, OnceArgs, OpenMeteoArgs, StreamArgs, TopicArgs},
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
        Command::Backfill(_) | Command::Check(_) => anyhow::bail!("not yet"),
    }
}

async fn stream(args: StreamArgs) -> anyhow::Result<Closing> {
    let locations = locations::read(&args.locations.weather_locations).await?;
    let mut stage = stage(&args.open_meteo, &args.topic, args.listen.listen_addr).await?;
    produce::stream(&mut stage, &locations, args.slot, args.jitter).await
}

async fn once(args: OnceArgs) -> anyhow::Result<Closing> {
    let locations = locations::read(&args.locations.weather_locations).await?;
    let mut stage = stage(&args.open_meteo, &args.topic, args.listen.listen_addr).await?;
    produce::once(&mut stage, &locations, args.max_wait).await
}

async fn stage(open_meteo: &OpenMeteoArgs, topic: &TopicArgs, listen: Option<SocketAddr>) -> anyhow::Result<Stage> {
    let (vitals, stop, clock) = (Vitals::new(metrics::METRICS), stop_token(), Clock::System);
    if let Some(address) = listen {
        vitals.not_ready(metrics::READY_OPEN_METEO, "not asked yet");
        vitals.not_ready(metrics::READY_KAFKA, "not reached yet");
        let served = vitals.serve(address, stop.clone()).await;
        served.with_context(|| Refused::new(format!("listen on LISTEN_ADDR {address}")))?;
    }
    Ok(Stage {
        open_meteo: OpenMeteo::new(open_meteo.settings(), clock.clone(), vitals.clone(), stop.clone())?,
        new_topic: topic.new_topic(),
        topic: Topic::open(&topic.kafka, &topic.weather_topic, vitals.clone())?,
        clock,
        vitals,
        stop,
        batch: usize::from(open_meteo.batch),
        attempts: open_meteo.attempts,
        delivery_timeout: topic.delivery_timeout,
    })
}
