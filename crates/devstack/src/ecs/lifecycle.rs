//! The life of one task: secrets, start, end, each step visible as AWS shows it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::World;
use super::faults::Kind;
use super::process::{Limits, Process};
use super::secrets;
use super::task::{Status, Task};

/// Lives the task to its end; everything that happens is in its state.
pub(super) async fn live(world: Arc<World>, task: Arc<Task>) {
    let started = tokio::select! {
        started = start(&world, &task) => started,
        () = task.stop.cancelled() => Err(None),
    };
    match started {
        Ok(process) => end(&world, &task, process).await,
        Err(reason) => task.change(|state| {
            if let Some(reason) = reason {
                state.stop_code = Some("TaskFailedToStart");
                state.stopped_reason = Some(reason);
            }
            close(state);
        }),
    }
}

/// The running process, or the reason why there is none (nothing new where StopTask has said it).
async fn start(world: &World, task: &Task) -> Result<Process, Option<String>> {
    let container = &task.definition.container;
    let family = &task.definition.family;
    if let Some(fault) = world.faults.hits_start(Kind::SlowStart, family) {
        tokio::time::sleep(Duration::from_secs_f64(fault.seconds.clamp(0.0, 3600.0))).await;
    }
    if world
        .faults
        .hits_start(Kind::CapacityAtStart, family)
        .is_some()
    {
        return Err(Some(super::run_task::NO_CAPACITY.to_owned()));
    }
    task.change(|state| {
        state.status = Status::Pending;
        state.pull_started = Some(Timestamp::now());
    });
    if world
        .faults
        .hits_start(Kind::MissingSecret, family)
        .is_some()
    {
        let name = container
            .secrets
            .first()
            .map_or("/no/secret", secrets::parameter);
        return Err(Some(secrets::invalid(name)));
    }
    let secrets = world
        .secrets
        .resolve(&container.secrets)
        .await
        .map_err(Some)?;
    let pull_failed = |why: &str| {
        Some(format!(
            "CannotPullContainerError: pull {} has failed: {why}",
            container.image
        ))
    };
    if world.faults.hits_start(Kind::ImagePull, family).is_some() {
        return Err(pull_failed(
            "failed to resolve reference: unexpected status 503",
        ));
    }
    let Some(program) = world.config.programs.get(container.image_name()) else {
        return Err(pull_failed("devstack has no program for it"));
    };
    let entry_point = match container.entry_point.as_slice() {
        [] => &program.entry_point,
        own => own,
    };
    if let Some(missing) = entry_point
        .first()
        .filter(|path| !Path::new(path).is_file())
    {
        return Err(pull_failed(&format!("{missing} is not built")));
    }
    task.change(|state| state.pull_stopped = Some(Timestamp::now()));
    let stream = container
        .log_stream(&task.id)
        .map(|(group, stream)| world.logs.create_stream(&group, &stream));
    let mut environment = world.config.agent_environment.clone();
    environment.extend(task.environment.clone());
    environment.extend(secrets);
    let process = Process::start(program, entry_point, &task.command, &environment, stream)
        .map_err(|error| Some(format!("CannotStartContainerError: {error}")))?;
    task.change(|state| {
        state.status = Status::Running;
        state.started = Some(Timestamp::now());
    });
    Ok(process)
}

async fn end(world: &World, task: &Task, process: Process) {
    let limits = Limits {
        memory_bytes: u64::from(task.memory_mebibytes) << 20,
        stop_timeout: Duration::from_secs(u64::from(task.definition.container.stop_timeout)),
    };
    let ended = process.end(limits, &world.memory, &task.stop).await;
    task.change(|state| {
        state.exit_code = Some(ended.exit_code);
        state.execution_stopped = Some(Timestamp::now());
        if ended.out_of_memory {
            state.container_reason = Some("OutOfMemoryError: Container killed due to memory usage");
        }
        if state.stop_code.is_none() {
            state.stop_code = Some("EssentialContainerExited");
            state.stopped_reason = Some("Essential container in task exited".to_owned());
        }
        close(state);
    });
}

fn close(state: &mut super::task::State) {
    let now = Timestamp::now();
    state.stopping.get_or_insert(now);
    state.execution_stopped.get_or_insert(now);
    state.stopped = Some(now);
    state.status = Status::Stopped;
    // Only devstack's own end stops a task without a word.
    state.stop_code.get_or_insert("UserInitiated");
    state
        .stopped_reason
        .get_or_insert_with(|| "devstack ended".to_owned());
}
