//! Wires `weather-consumer` together; the work itself is in [`weather_consumer::consume`].

use std::process::ExitCode;

use anyhow::Context as _;
use common::{
    check::conclude,
    storage::Storage,
    task::{self, Closing},
    vitals::Vitals,
};
use serde_json::{Map, Value, json};
use weather_consumer::{
    caught_up::Goal,
    check,
    collection::Collection,
    config::{Check, Command, Config, Letters, ListLetters, ReplayLetters, Run},
    consume::{self, Sinks},
    dead_letters::{self, DeadLetters},
    metrics::{METRICS, READY_KAFKA},
    orphans::Orphans,
    topic::Topic,
};

#[tokio::main]
async fn main() -> ExitCode {
    task::main("weather-consumer", run).await
}

async fn run(config: Config) -> anyhow::Result<Closing> {
    match config.command {
        Command::Run(run) => consume(*run).await,
        Command::DeadLetters(Letters::List(list)) => list_letters(*list).await,
        Command::DeadLetters(Letters::Replay(replay)) => replay_letters(*replay).await,
        Command::Check(check) => Box::pin(look(*check)).await,
    }
}

async fn consume(run: Run) -> anyhow::Result<Closing> {
    let stop = task::stop_token().child_token();
    let vitals = Vitals::new(METRICS);
    vitals.not_ready(READY_KAFKA, "not asked yet");
    if let Some(address) = run.listen_addr {
        vitals
            .serve(address, stop.clone())
            .await
            .with_context(|| format!("listen on {address}"))?;
    }
    let mongodb = match run.sinks.mongodb()? {
        Some(address) => Some(Collection::open(&address).await?),
        None => None,
    };
    let landing = match run.sinks.landing()? {
        Some(url) => Some(Storage::open(url).await?),
        None => None,
    };
    let sinks = Sinks {
        mongodb,
        expire_after: run.expire_after,
        landing,
    };
    let names = &run.topic;
    let letters = DeadLetters::new(
        names.kafka.clone(),
        names.topic.clone(),
        names.dead_letters(),
        run.membership().group,
    );
    if run.until_caught_up {
        let goal = Goal::new(&names.kafka, &names.topic, &run.membership().group)?;
        tokio::spawn(goal.reach(stop.clone()));
    }
    let (membership, limits) = (run.membership(), run.limits());
    if membership.instance.is_some() {
        let orphans = Orphans::new(
            &names.kafka,
            &membership.group,
            &names.topic,
            &names.dead_letters(),
            limits.drain,
            vitals.clone(),
        )?;
        orphans
            .watch(stop.clone())
            .context("start the thread that looks at the group")?;
    }
    let topic = Topic::join(&names.kafka, &names.topic, &membership, vitals.clone())?;
    let ended = consume::run(topic, sinks, letters, limits, vitals, stop).await?;
    Ok(Closing {
        complete: ended.settled,
        ..Closing::done(ended.counts.closing())
    })
}

async fn list_letters(list: ListLetters) -> anyhow::Result<Closing> {
    let (topic, group) = (list.topic.dead_letters(), list.group());
    let letters =
        tokio::task::spawn_blocking(move || dead_letters::print(&list.topic.kafka, &topic, &group))
            .await??;
    Ok(Closing::done(counts(json!({ "letters": letters }))))
}

async fn replay_letters(replay: ReplayLetters) -> anyhow::Result<Closing> {
    let (topic, group, selection) = (
        replay.topic.dead_letters(),
        replay.group(),
        replay.selection(),
    );
    let (stop, runtime) = (task::stop_token(), tokio::runtime::Handle::current());
    let replaying = move || {
        dead_letters::replay(
            &replay.topic.kafka,
            &topic,
            &group,
            &selection,
            &stop,
            runtime,
        )
    };
    let replayed = tokio::task::spawn_blocking(replaying).await??;
    Ok(Closing::done(counts(json!({ "replayed": replayed }))))
}

async fn look(args: Check) -> anyhow::Result<Closing> {
    let names = &args.topic;
    let (mongodb, landing) = (args.sinks.mongodb()?, args.sinks.landing()?);
    let letters = names.dead_letters();
    let findings = check::run(&names.kafka, &names.topic, &letters, mongodb, landing);
    conclude(&findings.await, args.json)
}

fn counts(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(counts) => counts,
        _ => Map::new(),
    }
}
