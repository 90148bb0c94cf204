//! Wires `strava-extract` together; the work itself is in [`strava_extract::extract`] and
//! [`strava_extract::export`].

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use common::{
    check::conclude,
    landing::RunId,
    storage::Storage,
    task::{Closing, Refused, print, stop_token},
};
use serde_json::{Map, json};
use strava_extract::{
    archive::Archive,
    check,
    config::{
        ApiArgs, AuthArgs, AuthCommand, AuthStatusArgs, CheckArgs, Command, Config, ExportArgs,
        StatusArgs, Strava,
    },
    export, extract,
    landing_run::LandingRun,
    quota_file, status,
    strava_api::{Manners, StravaApi},
    token::{Application, Tokens},
    turn::Queue,
};
use tracing::warn;

#[tokio::main]
async fn main() -> ExitCode {
    common::task::main("strava-extract", run).await
}

async fn run(config: Config) -> anyhow::Result<Closing> {
    match config.command {
        Command::Api(args) => Box::pin(api(args)).await,
        Command::Export(args) => Box::pin(export(args)).await,
        Command::Auth(AuthArgs {
            command: AuthCommand::Status(args),
        }) => auth_status(args).await,
        Command::Status(args) => print_status(args).await,
        Command::Check(args) => Box::pin(check(args)).await,
    }
}

async fn api(args: ApiArgs) -> anyhow::Result<Closing> {
    let (storage, stop) = (
        Storage::open(&args.landing.landing_url).await?,
        stop_token(),
    );
    let plan = extract::Plan {
        streams: args.streams(),
        max_vanished: args.max_vanished,
        max_wait: args.max_wait,
        retry_quarantined: args.retry_quarantined,
    };
    let manners = Manners {
        attempts: args.attempts,
        max_requests: args.max_requests,
    };
    let known = args.strava.store.athlete_id().map(str::to_owned);
    let client_id = args.strava.strava_client_id.clone();
    let (strava, run_id) = (
        connect(
            args.strava,
            &storage,
            &args.run.run_id,
            args.max_wait,
            manners,
        )?,
        args.run.run_id,
    );

    // Without an id at hand Strava is asked whose token it is, and the answer is not asked for twice.
    let (athlete_id, athlete) = match known {
        Some(id) => (id, None),
        None => {
            let answer = strava.athlete().await.map_err(extract::failure)?;
            let id = extract::athlete_id(&answer.body)?;
            strava.belongs_to(&id);
            (id, Some(answer))
        }
    };
    let mut landing = if args.dry_run {
        LandingRun::look(&storage, &athlete_id, &run_id).await?
    } else {
        LandingRun::begin(&storage, &athlete_id, &run_id, args.max_wait, &stop).await?
    };
    let report = extract::run(&strava, &mut landing, &plan, athlete, stop).await;
    if !args.dry_run
        && let Err(error) = quota_file::keep(&storage, &client_id, &strava.quota()).await
    {
        warn!(error = format!("{error:#}"), "could not keep the quota");
    }
    release(landing).await;
    report.close()
}

async fn export(args: ExportArgs) -> anyhow::Result<Closing> {
    let (storage, stop) = (
        Storage::open(&args.landing.landing_url).await?,
        stop_token(),
    );
    let mut archive = Archive::open(&args.path)?;
    let athlete_id = match args.athlete_id {
        Some(id) => id,
        None => export::athlete_id(&mut archive)?.ok_or_else(|| {
            Refused::new("the archive has no profile.csv that says whose it is: give --athlete-id")
        })?,
    };
    let survey = export::survey(&mut archive)?;
    let mut landing = LandingRun::begin(
        &storage,
        &athlete_id,
        &args.run.run_id,
        args.max_wait,
        &stop,
    )
    .await?;
    let report = export::run(&mut archive, &mut landing, &survey, &stop).await;
    release(landing).await;
    report.close()
}

/// Left as it is, the lease ends by itself: no reason to call the run a failure.
async fn release(landing: LandingRun) {
    if let Err(error) = landing.release().await {
        warn!(
            error = format!("{error:#}"),
            "could not give the lease back"
        );
    }
}

async fn auth_status(args: AuthStatusArgs) -> anyhow::Result<Closing> {
    let (store, has_seed) = (args.store.of_athlete(), args.store.seed().is_some());
    let status = check::token_status(&store, has_seed).await?;
    let verdict = status.verdict();
    if args.json {
        print(serde_json::to_string(&status)?);
    } else if let Ok(text) = &verdict {
        print(text);
    }
    verdict.map(|_| Closing::done(Map::new()))
}

async fn print_status(args: StatusArgs) -> anyhow::Result<Closing> {
    let storage = Storage::open(&args.landing.landing_url).await?;
    let athletes = match args.strava_athlete_id.filter(|id| !id.is_empty()) {
        Some(id) => vec![id],
        None => status::athletes(&storage).await?,
    };
    let mut all = Vec::new();
    for athlete in &athletes {
        all.push(status::read(&storage, athlete).await?);
    }
    let quota = quota_file::all(&storage).await?;
    if args.json {
        print(json!(all));
    } else {
        all.iter().for_each(|status| print(status.text()));
        quota.iter().for_each(|(app, kept)| print(kept.text(app)));
    }
    let mut counts = Map::new();
    counts.insert("quota".into(), json!(BTreeMap::from_iter(quota)));
    counts.insert("athletes".into(), json!(athletes.len()));
    Ok(Closing::done(counts))
}

async fn check(args: CheckArgs) -> anyhow::Result<Closing> {
    let storage = Storage::open(&args.landing.landing_url).await?;
    let tokens = &args.strava.store;
    let (store, has_seed) = (tokens.of_athlete(), tokens.seed().is_some());
    let manners = Manners {
        attempts: 1,
        max_requests: None,
    };
    let strava = connect(
        args.strava,
        &storage,
        &args.run.run_id,
        Duration::ZERO,
        manners,
    )?;
    let landing = &args.landing.landing_url;
    let findings = check::run(landing, &store, has_seed, &strava).await;
    conclude(&findings, args.json)
}

fn connect(
    strava: Strava,
    storage: &Storage,
    run_id: &RunId,
    max_wait: Duration,
    manners: Manners,
) -> anyhow::Result<StravaApi> {
    let (store, seed) = (strava.store.of_athlete(), strava.store.seed().cloned());
    let athlete_id = strava.store.athlete_id().map(str::to_owned);
    let application = Application {
        client_id: strava.strava_client_id,
        client_secret: strava.strava_client_secret,
    };
    let queue = Queue {
        storage: storage.clone(),
        run_id: run_id.clone(),
        max_wait,
    };
    let tokens = Tokens::new(
        &strava.strava_oauth_url,
        application,
        seed,
        store,
        athlete_id,
        queue,
        stop_token(),
    )?;
    StravaApi::new(strava.strava_api_url, tokens, manners, stop_token())
}
