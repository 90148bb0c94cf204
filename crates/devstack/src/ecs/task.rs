//! A task and its way from PROVISIONING to STOPPED, as DescribeTasks shows it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::definition::Definition;
use super::wire::seconds;
use super::{ACCOUNT, Config};

/// ECS forgets a stopped task after about an hour.
const REMEMBERED: Duration = Duration::from_secs(3600);

pub(super) struct Task {
    pub(super) id: String,
    pub(super) arn: String,
    pub(super) definition: Arc<Definition>,
    pub(super) command: Vec<String>,
    /// The definition's variables under the overrides'.
    pub(super) environment: BTreeMap<String, String>,
    pub(super) memory_mebibytes: u32,
    pub(super) cpu: u32,
    pub(super) started_by: Option<String>,
    /// What RunTask said and DescribeTasks repeats.
    pub(super) shown: Map<String, Value>,
    pub(super) tags: Value,
    pub(super) stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) status: Status,
    pub(super) pull_started: Option<Timestamp>,
    pub(super) pull_stopped: Option<Timestamp>,
    pub(super) started: Option<Timestamp>,
    pub(super) stopping: Option<Timestamp>,
    pub(super) execution_stopped: Option<Timestamp>,
    pub(super) stopped: Option<Timestamp>,
    pub(super) stop_code: Option<&'static str>,
    pub(super) stopped_reason: Option<String>,
    pub(super) exit_code: Option<i32>,
    pub(super) container_reason: Option<&'static str>,
    version: u32,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Status {
    #[default]
    Provisioning,
    Pending,
    Running,
    Stopped,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

pub(super) struct NewTask {
    pub(super) definition: Arc<Definition>,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) memory_mebibytes: u32,
    pub(super) cpu: u32,
    pub(super) started_by: Option<String>,
    pub(super) shown: Map<String, Value>,
    pub(super) tags: Value,
    pub(super) stop: CancellationToken,
}

impl Task {
    pub(super) fn new(config: &Config, id: String, new: NewTask) -> Self {
        let arn = format!(
            "arn:aws:ecs:{}:{ACCOUNT}:task/{}/{id}",
            config.region, config.cluster
        );
        let NewTask {
            definition,
            command,
            environment,
            memory_mebibytes,
            cpu,
            started_by,
            shown,
            tags,
            stop,
        } = new;
        let state = Mutex::default();
        Self {
            id,
            arn,
            definition,
            command,
            environment,
            memory_mebibytes,
            cpu,
            started_by,
            shown,
            tags,
            stop,
            state,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn change(&self, with: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        with(&mut state);
        state.version += 1;
    }

    /// StopTask: asks once; a task that has stopped stays as it is.
    pub(super) fn ask_to_stop(&self, reason: String) {
        self.change(|state| {
            if state.stopping.is_none() && state.status != Status::Stopped {
                state.stopping = Some(Timestamp::now());
                state.stop_code = Some("UserInitiated");
                state.stopped_reason = Some(reason);
            }
        });
        self.stop.cancel();
    }

    pub(super) fn is_wanted(&self) -> bool {
        let state = self.state();
        state.status != Status::Stopped && state.stopping.is_none()
    }

    pub(super) fn show(&self, with_tags: bool) -> Value {
        let state = self.state();
        let mut shown = self.shown.clone();
        let fixed = [
            ("taskArn", json!(self.arn)),
            ("taskDefinitionArn", json!(self.definition.arn)),
            ("cpu", json!(self.cpu.to_string())),
            ("memory", json!(self.memory_mebibytes.to_string())),
            ("lastStatus", json!(state.status.word())),
            (
                "desiredStatus",
                json!(if self.is_wanted() {
                    "RUNNING"
                } else {
                    "STOPPED"
                }),
            ),
            ("healthStatus", json!("UNKNOWN")),
            ("version", json!(state.version + 1)),
            ("containers", json!([self.show_container(&state)])),
            (
                "tags",
                if with_tags {
                    self.tags.clone()
                } else {
                    json!([])
                },
            ),
        ];
        shown.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        let times = [
            ("connectivityAt", state.pull_started),
            ("pullStartedAt", state.pull_started),
            ("pullStoppedAt", state.pull_stopped),
            ("startedAt", state.started),
            ("stoppingAt", state.stopping),
            ("executionStoppedAt", state.execution_stopped),
            ("stoppedAt", state.stopped),
        ];
        shown.extend(
            times
                .into_iter()
                .filter_map(|(name, at)| Some((name.to_owned(), seconds(at?)))),
        );
        if state.pull_started.is_some() {
            shown.insert("connectivity".to_owned(), json!("CONNECTED"));
        }
        if let Some(code) = state.stop_code {
            shown.insert("stopCode".to_owned(), json!(code));
        }
        if let Some(reason) = state.stopped_reason {
            shown.insert("stoppedReason".to_owned(), json!(reason));
        }
        Value::Object(shown)
    }

    fn show_container(&self, state: &State) -> Value {
        let container = &self.definition.container;
        let mut shown = json!({
            "containerArn": self.arn.replacen(":task/", ":container/", 1) + "/" + &self.id,
            "taskArn": self.arn,
            "name": container.name,
            "image": container.image,
            "lastStatus": if state.status == Status::Provisioning { "PENDING" } else { state.status.word() },
            "networkBindings": [],
            "networkInterfaces": [],
            "healthStatus": "UNKNOWN",
            "cpu": "0",
        });
        if state.started.is_some() {
            shown["runtimeId"] = json!(format!("{}-0000000001", self.id));
        }
        if let Some(code) = state.exit_code {
            shown["exitCode"] = json!(code);
        }
        if let Some(reason) = state.container_reason {
            shown["reason"] = json!(reason);
        }
        shown
    }
}

/// All tasks that ECS remembers.
#[derive(Default)]
pub(super) struct Tasks(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// In the order of their start.
    tasks: Vec<Arc<Task>>,
    /// Request and tasks of each client token: a repeated RunTask starts nothing.
    tokens: HashMap<String, (Value, Vec<Arc<Task>>)>,
}

impl Tasks {
    pub(super) fn add(&self, task: Arc<Task>) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = Timestamp::now() - REMEMBERED;
        let is_recent = |task: &Arc<Task>| task.state().stopped.is_none_or(|at| at > limit);
        remembered.tasks.retain(is_recent);
        remembered
            .tokens
            .retain(|_, (_, tasks)| tasks.iter().any(is_recent));
        remembered.tasks.push(task);
    }

    pub(super) fn all(&self) -> Vec<Arc<Task>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .tasks
            .clone()
    }

    /// Finds by id or ARN.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Task>> {
        let id = name.rsplit('/').next().unwrap_or(name);
        self.all().into_iter().find(|task| task.id == id)
    }

    /// What an earlier RunTask with this token asked for and started.
    pub(super) fn of_token(&self, token: &str) -> Option<(Value, Vec<Arc<Task>>)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .tokens
            .get(token)
            .cloned()
    }

    pub(super) fn remember_token(&self, token: String, request: Value, tasks: Vec<Arc<Task>>) {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.tokens.insert(token, (request, tasks));
    }
}
