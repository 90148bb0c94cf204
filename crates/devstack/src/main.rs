//! Wires devstack together; each command's work is in its own module.

use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use devstack::config::{Command, Config, GeneratedArgs, StateArgs, WorldArgs};
use devstack::state::State;
use devstack::world::World;
use devstack::{exec, up};
use jiff::Timestamp;

// One thread: children are signalled when the thread that started them ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let config = Config::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    match run(config.command).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "devstack failed");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Exec {
            state,
            world,
            command,
        } => {
            let mut world = start(&state, &world).await?;
            let outcome = exec::run(&mut world, &command).await;
            world.stop().await.and(outcome)
        }
        Command::Up { state, world } => {
            let mut world = start(&state, &world).await?;
            let outcome = up::stay(&mut world).await;
            world.stop().await.and(outcome).map(|()| 0)
        }
        Command::Down(state) => up::down(&state.state_dir).await.map(|()| 0),
        Command::Env(state) => up::env(&state.state_dir).map(|()| 0),
        Command::Generate { athlete } => generate(&athlete).map(|()| 0),
    }
}

async fn start(state: &StateArgs, world: &WorldArgs) -> anyhow::Result<World> {
    World::start(State::open(&state.state_dir)?, world).await
}

fn generate(athlete: &GeneratedArgs) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for summary in athlete.generated().plan(Timestamp::now()).summaries() {
        writeln!(out, "{summary}").context("print an activity")?;
    }
    out.flush().context("print the activities")
}
