//! ECS and CloudWatch Logs on loopback: the tasks of `iac/tasks.json` run as local processes, for unmodified AWS clients.

mod api;
mod control;
mod definition;
mod fargate;
mod faults;
mod lifecycle;
mod local;
mod logs;
mod logs_api;
mod memory;
mod process;
mod run_task;
mod secrets;
mod task;
mod tasks_file;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use faults::{Fault, Kind};
pub use local::LocalEcs;
pub use tasks_file::TasksFile;

use definition::Definitions;
use faults::Faults;
use logs::Logs;
use memory::Memory;
use task::Tasks;

/// The account that every ARN names.
pub const ACCOUNT: &str = "123456789012";

/// What the endpoint serves and with what it runs tasks.
#[derive(Debug, Clone)]
pub struct Config {
    /// The one cluster.
    pub cluster: String,
    pub region: String,
    /// `<prefix>-<task>` is a family, `/<prefix>/<task>` a log group.
    pub prefix: String,
    /// Where the relative secret names of `iac/tasks.json` begin, `/data-voyager/local/`.
    pub secrets_root: String,
    pub tasks: TasksFile,
    /// Values of `${name}` in `iac/tasks.json`.
    pub fill: BTreeMap<String, String>,
    /// What runs for an image, by the image's name without registry and tag.
    pub programs: BTreeMap<String, Program>,
    /// What the container agent gives every task: region, the task role's credentials, endpoints.
    pub agent_environment: BTreeMap<String, String>,
    /// SSM, for the secrets.
    pub ssm_endpoint: Option<String>,
}

/// The local stand-in of an image: its entry point.
#[derive(Debug, Clone)]
pub struct Program {
    /// Program and first arguments; the task's command follows.
    pub entry_point: Vec<String>,
    /// Where it starts.
    pub directory: PathBuf,
    /// What the image itself sets (`PATH`).
    pub environment: BTreeMap<String, String>,
}

/// The running endpoint.
pub struct Ecs {
    address: SocketAddr,
    world: Arc<World>,
}

/// Everything that the handlers share.
struct World {
    config: Config,
    definitions: Definitions,
    tasks: Tasks,
    logs: Logs,
    faults: Faults,
    memory: Memory,
    secrets: secrets::Secrets,
    calls: control::Calls,
    /// Ends every task, with the time that its definition gives it.
    closing: CancellationToken,
    running: TaskTracker,
}

impl Ecs {
    /// Serves on `listener` until [`Ecs::stop`].
    pub fn start(listener: TcpListener, config: Config) -> anyhow::Result<Self> {
        let address = listener
            .local_addr()
            .context("find the ECS endpoint's address")?;
        let logs = Logs::default();
        let definitions = Definitions::from_tasks(&config).context("read the tasks")?;
        definitions.each_log_group(|group| logs.create_group(group));
        let world = Arc::new(World {
            definitions,
            logs,
            tasks: Tasks::default(),
            faults: Faults::default(),
            memory: Memory::default(),
            secrets: secrets::Secrets::new(&config),
            calls: control::Calls::default(),
            closing: CancellationToken::new(),
            running: TaskTracker::new(),
            config,
        });
        let router = Router::new()
            .route("/", post(api::answer))
            .merge(control::routes())
            .with_state(Arc::clone(&world));
        let closing = world.closing.clone();
        world.running.spawn(async move {
            let served =
                axum::serve(listener, router).with_graceful_shutdown(closing.cancelled_owned());
            if let Err(error) = served.await {
                tracing::error!("ECS endpoint ended: {error}");
            }
        });
        Ok(Self { address, world })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `AWS_ENDPOINT_URL_ECS` and `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes the next matching calls or starts fail.
    pub fn inject(&self, fault: Fault) {
        self.world.faults.add(fault);
    }

    /// Stops every task as StopTask does, then the endpoint. After `limit` it no longer waits.
    pub async fn stop(&self, limit: Duration) {
        self.world.closing.cancel();
        self.world.running.close();
        if tokio::time::timeout(limit, self.world.running.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tasks were still running when the ECS endpoint ended");
        }
    }
}
