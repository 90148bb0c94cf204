//! Wires `ecs-run` together; the work itself is in [`ecs_run::run`].

use std::process::ExitCode;

use clap::Parser as _;
use ecs_run::cluster::Cluster;
use ecs_run::config::Config;
use ecs_run::log::Log;
use ecs_run::run::{self, Refused};
use ecs_run::tasks::Tasks;

const FAILED: u8 = 1;
const REFUSED: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match wire(Config::parse()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            run::tell(format_args!("{error:#}"));
            ExitCode::from(if error.is::<Refused>() {
                REFUSED
            } else {
                FAILED
            })
        }
    }
}

async fn wire(config: Config) -> anyhow::Result<u8> {
    let task = Tasks::find(config.tasks_file.as_deref())?.task(&config.task)?;
    let aws = ecs_run::cluster::aws().await;
    let cluster = Cluster::new(&aws, config.place());
    let log = Log::new(&aws, config.log_group(), &task);
    run::run(&cluster, log, config.order(), config.detach, config.poll).await
}
