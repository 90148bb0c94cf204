//! Wires `strava-load` together; the work itself is in [`strava_load::load`].

use std::process::ExitCode;

use common::{
    check::conclude,
    database_url,
    storage::Storage,
    task::{self, Closing},
};
use strava_load::{
    check,
    config::{Command, Config, Rejects},
    load::{self, Request},
    rejects::{self, MaxRejects},
    status, warehouse,
};

#[tokio::main]
async fn main() -> ExitCode {
    task::main("strava-load", run).await
}

async fn run(config: Config) -> anyhow::Result<Closing> {
    let session = async |settings: &strava_load::config::Warehouse| {
        let url = database_url::parse(&settings.database_url)?;
        warehouse::connect(&url, settings.statement_timeout).await
    };
    match config.command {
        Command::Sync(sync) => {
            let storage = Storage::open(&sync.landing.landing_url).await?;
            let client = session(&sync.warehouse).await?;
            let folders = sync.folders()?;
            let request = Request {
                folders,
                run_id: sync.run.run_id,
                max_rejects: sync.max_rejects.unwrap_or(MaxRejects::Usual),
                on_type_conflict: sync.on_type_conflict,
                hard_delete: sync.hard_delete,
                dry_run: sync.dry_run,
            };
            load::run(&client, &storage, &request, &task::stop_token()).await
        }
        Command::Rejects(Rejects::List(list)) => {
            let client = session(&list.warehouse).await?;
            rejects::list(&client, list.table.as_deref(), list.json).await
        }
        Command::Status(command) => {
            status::run(&session(&command.warehouse).await?, command.json).await
        }
        Command::Check(check) => {
            let session = session(&check.warehouse);
            let findings = check::run(&check.landing.landing_url, session).await;
            conclude(&findings, check.json)
        }
    }
}
