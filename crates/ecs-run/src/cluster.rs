//! The ECS cluster that carries the task.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::ProvideErrorMetadata as _;
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, Container, ContainerOverride, KeyValuePair, LaunchType,
    NetworkConfiguration, Task, TaskOverride,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::run::{Order, Refused};

const ATTEMPTS: u32 = 8;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const STOP_REASON: &str = "stopped by ecs-run";

/// Codes of requests that no retry makes right.
const REFUSALS: [&str; 8] = [
    "AccessDeniedException",
    "ClientException",
    "ClusterNotFoundException",
    "InvalidParameterException",
    "InvalidSignatureException",
    "PlatformUnknownException",
    "UnrecognizedClientException",
    "ExpiredTokenException",
];

/// AWS settings with the SDK's own meaning; TLS by rustls on ring.
pub async fn aws() -> SdkConfig {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF);
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(retries)
        .load()
        .await
}

/// Where a task runs.
#[derive(Debug, Clone)]
pub struct Place {
    pub cluster: String,
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    pub assign_public_ip: bool,
}

/// A client of one cluster.
#[derive(Debug)]
pub struct Cluster {
    client: Client,
    place: Place,
}

/// How a task ended.
#[derive(Debug)]
pub struct End {
    /// None: the program never ran.
    pub exit_code: Option<i32>,
    pub reason: String,
}

impl Cluster {
    #[must_use]
    pub fn new(aws: &SdkConfig, place: Place) -> Self {
        Self {
            client: Client::new(aws),
            place,
        }
    }

    /// Starts the task on Fargate and returns its ARN.
    pub async fn start(&self, order: &Order) -> anyhow::Result<String> {
        let variables = order.environment.iter();
        let variables =
            variables.map(|(name, value)| KeyValuePair::builder().name(name).value(value).build());
        let arguments = Some(order.arguments.clone()).filter(|arguments| !arguments.is_empty());
        let container = ContainerOverride::builder()
            .name(&order.task)
            .set_command(arguments)
            .set_environment(Some(variables.collect()))
            .build();
        let request = self
            .client
            .run_task()
            .cluster(&self.place.cluster)
            .task_definition(&order.family)
            .launch_type(LaunchType::Fargate)
            .started_by("ecs-run")
            .overrides(
                TaskOverride::builder()
                    .container_overrides(container)
                    .build(),
            )
            .network_configuration(self.network()?);
        let attempt = || format!("start {} in cluster {}", order.family, self.place.cluster);
        let answer = request.send().await.map_err(|error| {
            let refused = error.code().is_some_and(|code| REFUSALS.contains(&code));
            let error = anyhow::Error::new(error.into_service_error()).context(attempt());
            if refused {
                error.context(Refused)
            } else {
                error
            }
        })?;
        if let Some(failure) = answer.failures().first() {
            bail!(
                "{}: {}",
                attempt(),
                failure.reason().unwrap_or("no reason given")
            );
        }
        let arn = answer.tasks().first().and_then(Task::task_arn);
        arn.map(ToOwned::to_owned)
            .context("ECS started no task and said no reason")
    }

    /// The end of the task, once it is STOPPED.
    pub async fn end(&self, arn: &str, container: &str) -> anyhow::Result<Option<End>> {
        let request = self
            .client
            .describe_tasks()
            .cluster(&self.place.cluster)
            .tasks(arn);
        let answer = request
            .send()
            .await
            .with_context(|| format!("ask for the state of {arn}"))?;
        let Some(task) = answer.tasks().first() else {
            bail!("ECS does not know {arn} any more")
        };
        if task.last_status() != Some("STOPPED") {
            return Ok(None);
        }
        let ours = task
            .containers()
            .iter()
            .find(|one| one.name() == Some(container));
        let own_reason = ours.and_then(Container::reason);
        let reason = own_reason
            .or(task.stopped_reason())
            .unwrap_or("no reason given");
        Ok(Some(End {
            exit_code: ours.and_then(Container::exit_code),
            reason: reason.to_owned(),
        }))
    }

    pub async fn stop(&self, arn: &str) -> anyhow::Result<()> {
        let request = self
            .client
            .stop_task()
            .cluster(&self.place.cluster)
            .task(arn)
            .reason(STOP_REASON);
        request
            .send()
            .await
            .map(|_| ())
            .with_context(|| format!("stop {arn}"))
    }

    fn network(&self) -> anyhow::Result<NetworkConfiguration> {
        let public = if self.place.assign_public_ip {
            AssignPublicIp::Enabled
        } else {
            AssignPublicIp::Disabled
        };
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.place.subnets.clone()))
            .set_security_groups(Some(self.place.security_groups.clone()))
            .assign_public_ip(public)
            .build()
            .context("describe the task's network")?;
        Ok(NetworkConfiguration::builder()
            .awsvpc_configuration(vpc)
            .build())
    }
}
