//! Task definitions: those of `iac/tasks.json` as Terraform would register them, and registered ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fargate::size;
use super::tasks_file::{TaskEntry, fill};
use super::wire::{Answer, Refusal, read, seconds};
use super::{ACCOUNT, Config, World};

/// One revision of a family. A local task has one container.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) family: String,
    pub(super) arn: String,
    pub(super) cpu: u32,
    pub(super) memory: u32,
    pub(super) container: Container,
    /// The definition as DescribeTaskDefinition shows it.
    shown: Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    /// Replaces the image's own.
    #[serde(default)]
    pub(super) entry_point: Vec<String>,
    #[serde(default)]
    pub(super) command: Vec<String>,
    #[serde(default)]
    pub(super) environment: Vec<Variable>,
    #[serde(default)]
    pub(super) secrets: Vec<Secret>,
    #[serde(default = "default_stop_timeout")]
    pub(super) stop_timeout: u32,
    pub(super) log_configuration: Option<LogConfiguration>,
}

fn default_stop_timeout() -> u32 {
    30
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) value_from: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogConfiguration {
    log_driver: String,
    #[serde(default)]
    options: BTreeMap<String, String>,
}

impl Container {
    /// Log group and stream of a task, where the container logs to CloudWatch.
    pub(super) fn log_stream(&self, task_id: &str) -> Option<(String, String)> {
        let options = &self.log_configuration.as_ref()?.options;
        let group = options.get("awslogs-group")?.clone();
        let prefix = options.get("awslogs-stream-prefix")?;
        Some((group, format!("{prefix}/{}/{task_id}", self.name)))
    }

    /// The image's name without registry and tag.
    pub(super) fn image_name(&self) -> &str {
        let name = self.image.rsplit('/').next().unwrap_or(&self.image);
        name.split([':', '@']).next().unwrap_or(name)
    }
}

#[derive(Default)]
pub(super) struct Definitions(Mutex<BTreeMap<String, Vec<Arc<Definition>>>>);

impl Definitions {
    /// Registers each task of the file, as Terraform does.
    pub(super) fn from_tasks(config: &Config) -> anyhow::Result<Self> {
        let definitions = Self::default();
        for (name, entry) in &config.tasks.tasks {
            let request =
                request_of(name, entry, config).with_context(|| format!("task {name}"))?;
            let body = serde_json::to_vec(&request)?;
            definitions.register(config, &body).map_err(|refusal| {
                anyhow::anyhow!("task {name} is no valid task definition: {refusal:?}")
            })?;
        }
        Ok(definitions)
    }

    /// Finds `family`, `family:revision` or an ARN.
    pub(super) fn find(&self, name: &str) -> Result<Arc<Definition>, Refusal> {
        let short = name
            .rsplit_once("task-definition/")
            .map_or(name, |(_, short)| short);
        let (family, revision) = match short.split_once(':') {
            Some((family, revision)) => (family, revision.parse::<usize>().ok()),
            None => (short, None),
        };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(family).and_then(|revisions| match revision {
            Some(number) => revisions.get(number.checked_sub(1)?),
            None if short.contains(':') => None,
            None => revisions.last(),
        });
        found
            .cloned()
            .ok_or_else(|| Refusal::client("TaskDefinition not found."))
    }

    pub(super) fn each_log_group(&self, mut with: impl FnMut(&str)) {
        for definition in self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .flatten()
        {
            if let Some((group, _)) = definition.container.log_stream("") {
                with(&group);
            }
        }
    }

    fn register(&self, config: &Config, body: &[u8]) -> Result<Arc<Definition>, Refusal> {
        let request: RegisterRequest = read(body)?;
        let mut shown: Value = read(body)?;
        let (cpu, memory) = request.size()?;
        let container = request.container()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let revisions = known.entry(request.family.clone()).or_default();
        let revision = revisions.len() + 1;
        let arn = format!(
            "arn:aws:ecs:{}:{ACCOUNT}:task-definition/{}:{revision}",
            config.region, request.family
        );
        complete(&mut shown, &arn, revision);
        let definition = Arc::new(Definition {
            family: request.family,
            arn,
            cpu,
            memory,
            container,
            shown,
        });
        revisions.push(Arc::clone(&definition));
        Ok(definition)
    }
}

/// Adds what ECS itself says of a definition.
fn complete(shown: &mut Value, arn: &str, revision: usize) {
    let Some(fields) = shown.as_object_mut() else {
        return;
    };
    fields.remove("tags");
    for (name, value) in [
        ("taskDefinitionArn", json!(arn)),
        ("revision", json!(revision)),
        ("status", json!("ACTIVE")),
        ("compatibilities", json!(["EC2", "FARGATE"])),
        ("registeredAt", seconds(Timestamp::now())),
        (
            "registeredBy",
            json!(format!("arn:aws:iam::{ACCOUNT}:user/devstack")),
        ),
    ] {
        fields.insert(name.to_owned(), value);
    }
    for name in ["volumes", "placementConstraints", "requiresAttributes"] {
        fields.entry(name).or_insert_with(|| json!([]));
    }
    for container in fields
        .get_mut("containerDefinitions")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let Some(container) = container.as_object_mut() else {
            continue;
        };
        container.entry("essential").or_insert(json!(true));
        container.entry("cpu").or_insert(json!(0));
        for name in [
            "environment",
            "mountPoints",
            "portMappings",
            "systemControls",
            "volumesFrom",
        ] {
            container.entry(name).or_insert_with(|| json!([]));
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterRequest {
    family: String,
    cpu: Option<String>,
    memory: Option<String>,
    network_mode: Option<String>,
    container_definitions: Vec<Container>,
}

impl RegisterRequest {
    fn size(&self) -> Result<(u32, u32), Refusal> {
        if self.network_mode.as_deref() != Some("awsvpc") {
            return Err(Refusal::client(
                "Fargate only supports network mode 'awsvpc'.",
            ));
        }
        size(self.cpu.as_deref(), self.memory.as_deref())
    }

    fn container(&self) -> Result<Container, Refusal> {
        let [container] = self.container_definitions.as_slice() else {
            return Err(Refusal::client(
                "devstack runs tasks of exactly one container.",
            ));
        };
        if container.image_name().is_empty() {
            return Err(Refusal::client(
                "Container.image should not be null or empty.",
            ));
        }
        if !(2..=120).contains(&container.stop_timeout) {
            return Err(Refusal::client(
                "Fargate requires stopTimeout to be between 2 and 120 seconds.",
            ));
        }
        if let Some(secret) = container
            .secrets
            .iter()
            .find(|s| container.environment.iter().any(|v| v.name == s.name))
        {
            return Err(Refusal::client(format!(
                "The secret name must be unique and not shared with any new or existing environment variables set on \
                 the container, such as '{}'.",
                secret.name
            )));
        }
        match &container.log_configuration {
            Some(log) if log.log_driver != "awslogs" => {
                Err(Refusal::client("devstack knows the log driver awslogs."))
            }
            Some(log) if !log.options.contains_key("awslogs-stream-prefix") => {
                Err(Refusal::client(
                    "Log driver awslogs requires option 'awslogs-stream-prefix' on Fargate.",
                ))
            }
            _ => Ok(container.clone()),
        }
    }
}

/// The registration that Terraform makes of one entry.
fn request_of(name: &str, entry: &TaskEntry, config: &Config) -> anyhow::Result<Value> {
    let mut environment = Vec::new();
    for (name, value) in &entry.environment {
        let value = fill(value, &config.fill).with_context(|| format!("variable {name}"))?;
        if !value.is_empty() {
            environment.push(json!({"name": name, "value": value}));
        }
    }
    let secrets: Vec<Value> = entry
        .secrets
        .iter()
        .map(|(name, path)| secret_of(name, path, config))
        .collect();
    Ok(json!({
        "family": format!("{}-{name}", config.prefix),
        "cpu": entry.cpu.to_string(),
        "memory": entry.memory.to_string(),
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{}-execution", config.prefix),
        "taskRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/{}-{name}", config.prefix),
        "containerDefinitions": [{
            "name": name,
            "image": fill(&entry.image, &config.fill).context("image")?,
            "essential": true,
            "command": entry.command,
            "environment": environment,
            "secrets": secrets,
            "stopTimeout": entry.stop_timeout_seconds,
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": format!("/{}/{name}", config.prefix),
                "awslogs-region": config.region,
                "awslogs-stream-prefix": entry.log_prefix,
                "mode": "blocking",
            }},
        }],
    }))
}

fn secret_of(name: &str, path: &str, config: &Config) -> Value {
    let arn = format!(
        "arn:aws:ssm:{}:{ACCOUNT}:parameter{}{path}",
        config.region, config.secrets_root
    );
    json!({"name": name, "valueFrom": arn})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeRequest {
    task_definition: String,
}

pub(super) fn describe(world: &World, body: &[u8]) -> Answer {
    let request: DescribeRequest = read(body)?;
    let definition = world
        .definitions
        .find(&request.task_definition)
        .map_err(|_| Refusal::client("Unable to describe task definition."))?;
    Ok(json!({"taskDefinition": definition.shown, "tags": []}))
}

pub(super) fn register(world: &World, body: &[u8]) -> Answer {
    let definition = world.definitions.register(&world.config, body)?;
    if let Some((group, _)) = definition.container.log_stream("") {
        world.logs.create_group(&group);
    }
    Ok(json!({"taskDefinition": definition.shown, "tags": []}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_name_alone() {
        let named = |image: &str| Container {
            name: "c".to_owned(),
            image: image.to_owned(),
            entry_point: vec![],
            command: vec![],
            environment: vec![],
            secrets: vec![],
            stop_timeout: 30,
            log_configuration: None,
        };
        for image in [
            "dbt",
            "dbt:1",
            "reg.example/x/dbt:v1",
            "reg:5000/dbt@sha256:00",
        ] {
            assert_eq!(named(image).image_name(), "dbt", "{image}");
        }
    }
}
