//! RunTask: checks a request as ECS does and starts what it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::definition::{Definition, Variable};
use super::fargate::size;
use super::faults::Kind;
use super::task::{NewTask, Task};
use super::wire::{Answer, Refusal, hex_id, read, seconds, uuid};
use super::{World, api, lifecycle};

pub(super) const NO_CAPACITY: &str = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
const MOST_TASKS: i64 = 10;
const LONGEST_OVERRIDES: usize = 8192;
const LONGEST_STARTED_BY: usize = 128;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    cluster: Option<String>,
    task_definition: String,
    count: Option<i64>,
    launch_type: Option<String>,
    #[serde(default)]
    capacity_provider_strategy: Vec<Strategy>,
    network_configuration: Option<NetworkConfiguration>,
    #[serde(default)]
    overrides: Overrides,
    started_by: Option<String>,
    group: Option<String>,
    platform_version: Option<String>,
    #[serde(default)]
    tags: Vec<Tag>,
    propagate_tags: Option<String>,
    #[serde(default)]
    enable_execute_command: bool,
    client_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Strategy {
    capacity_provider: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkConfiguration {
    awsvpc_configuration: Option<AwsVpc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AwsVpc {
    subnets: Vec<String>,
    #[serde(default)]
    security_groups: Vec<String>,
    assign_public_ip: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Overrides {
    #[serde(default)]
    container_overrides: Vec<ContainerOverride>,
    cpu: Option<String>,
    memory: Option<String>,
}

#[derive(Deserialize)]
struct ContainerOverride {
    name: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default)]
    environment: Vec<Variable>,
    memory: Option<u32>,
}

#[derive(Deserialize, serde::Serialize)]
struct Tag {
    key: String,
    value: Option<String>,
}

pub(super) fn run_task(world: &Arc<World>, body: &[u8]) -> Answer {
    let request: Request = read(body)?;
    let raw: Value = read(body)?;
    api::check_cluster(world, request.cluster.as_deref())?;
    if let Some((earlier, tasks)) = request
        .client_token
        .as_deref()
        .and_then(|token| world.tasks.of_token(token))
    {
        if earlier != raw {
            return Err(Refusal::new(
                "ConflictException",
                "The clientToken was used with other parameters.",
            ));
        }
        return Ok(answer(&tasks));
    }
    let definition = world.definitions.find(&request.task_definition)?;
    let launch = request.check()?;
    if world
        .faults
        .hits_start(Kind::Capacity, &definition.family)
        .is_some()
    {
        let failure = json!({"arn": definition.arn, "reason": NO_CAPACITY});
        return Ok(json!({"tasks": [], "failures": [failure]}));
    }
    let mut tasks = Vec::new();
    for _ in 0..request.count.unwrap_or(1) {
        let task = Arc::new(request.task(world, &definition, &raw, launch)?);
        world.tasks.add(Arc::clone(&task));
        tasks.push(task);
    }
    let answer = answer(&tasks);
    for task in &tasks {
        world
            .running
            .spawn(lifecycle::live(Arc::clone(world), Arc::clone(task)));
    }
    if let Some(token) = request.client_token {
        world.tasks.remember_token(token, raw, tasks);
    }
    Ok(answer)
}

fn answer(tasks: &[Arc<Task>]) -> Value {
    let shown: Vec<Value> = tasks.iter().map(|task| task.show(true)).collect();
    json!({"tasks": shown, "failures": []})
}

/// Who carries the task.
#[derive(Clone, Copy)]
enum Launch {
    Fargate,
    FargateSpot,
}

impl Request {
    fn check(&self) -> Result<Launch, Refusal> {
        if !(1..=MOST_TASKS).contains(&self.count.unwrap_or(1)) {
            return Err(Refusal::invalid(format!(
                "count must be between 1 and {MOST_TASKS}."
            )));
        }
        if self
            .started_by
            .as_ref()
            .is_some_and(|by| by.len() > LONGEST_STARTED_BY)
        {
            return Err(Refusal::invalid(format!(
                "startedBy can have at most {LONGEST_STARTED_BY} characters."
            )));
        }
        if let Some(how) = self
            .propagate_tags
            .as_deref()
            .filter(|how| !["TASK_DEFINITION", "NONE"].contains(how))
        {
            return Err(Refusal::invalid(format!(
                "'{how}' is no valid value of propagateTags for RunTask."
            )));
        }
        if self
            .platform_version
            .as_deref()
            .is_some_and(|version| !["LATEST", "1.4.0"].contains(&version))
        {
            return Err(Refusal::new(
                "PlatformUnknownException",
                "The specified platform version doesn't exist.",
            ));
        }
        let Some(AwsVpc {
            subnets,
            security_groups,
            assign_public_ip,
        }) = self
            .network_configuration
            .as_ref()
            .and_then(|network| network.awsvpc_configuration.as_ref())
        else {
            return Err(Refusal::invalid(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ));
        };
        if subnets.is_empty() || subnets.len() > 16 || security_groups.len() > 5 {
            return Err(Refusal::invalid(
                "A task takes 1 to 16 subnets and at most 5 security groups.",
            ));
        }
        if let Some(id) = subnets.iter().find(|id| !id.starts_with("subnet-")) {
            return Err(Refusal::invalid(format!(
                "Error retrieving subnet information for [{id}]: InvalidSubnetID"
            )));
        }
        if let Some(id) = security_groups.iter().find(|id| !id.starts_with("sg-")) {
            return Err(Refusal::invalid(format!(
                "Error retrieving security group information for [{id}]"
            )));
        }
        if assign_public_ip
            .as_deref()
            .is_some_and(|ip| !["ENABLED", "DISABLED"].contains(&ip))
        {
            return Err(Refusal::invalid("assignPublicIp is ENABLED or DISABLED."));
        }
        self.launch()
    }

    fn launch(&self) -> Result<Launch, Refusal> {
        let providers: Vec<&str> = self
            .capacity_provider_strategy
            .iter()
            .map(|strategy| strategy.capacity_provider.as_str())
            .collect();
        match (self.launch_type.as_deref(), providers.as_slice()) {
            (Some(_), [_, ..]) => Err(Refusal::invalid(
                "Specifying both a launch type and capacity provider strategy is not supported.",
            )),
            (Some("FARGATE"), []) | (None, ["FARGATE", ..]) => Ok(Launch::Fargate),
            (None, ["FARGATE_SPOT", ..]) => Ok(Launch::FargateSpot),
            (None, []) | (Some("EC2" | "EXTERNAL"), []) => Err(Refusal::invalid(
                "No Container Instances were found in your cluster.",
            )),
            (Some(other), []) => Err(Refusal::invalid(format!(
                "launchType '{other}' is not known."
            ))),
            (None, _) => Err(Refusal::invalid(
                "The specified capacity provider is not associated with the cluster.",
            )),
        }
    }

    /// The definition with this request's overrides over it.
    fn task(
        &self,
        world: &World,
        definition: &Arc<Definition>,
        raw: &Value,
        launch: Launch,
    ) -> Result<Task, Refusal> {
        let overrides = raw
            .get("overrides")
            .filter(|overrides| overrides.is_object());
        let mut overrides = overrides.cloned().unwrap_or_else(|| json!({}));
        if overrides.to_string().len() > LONGEST_OVERRIDES {
            return Err(Refusal::invalid(format!(
                "Container Overrides length must be at most {LONGEST_OVERRIDES}"
            )));
        }
        for name in ["containerOverrides", "inferenceAcceleratorOverrides"] {
            if overrides.get(name).is_none() {
                overrides[name] = json!([]);
            }
        }
        let (mut cpu, mut memory) = (definition.cpu, definition.memory);
        if self.overrides.cpu.is_some() || self.overrides.memory.is_some() {
            let text =
                |over: &Option<String>, own: u32| over.clone().unwrap_or_else(|| own.to_string());
            let (cpu_text, memory_text) = (
                text(&self.overrides.cpu, cpu),
                text(&self.overrides.memory, memory),
            );
            (cpu, memory) = size(Some(&cpu_text), Some(&memory_text))?;
        }
        let container = &definition.container;
        let mut command = container.command.clone();
        let mut environment: BTreeMap<String, String> = container
            .environment
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.clone()))
            .collect();
        let mut memory_of_container = memory;
        for over in &self.overrides.container_overrides {
            let name = over
                .name
                .as_deref()
                .ok_or_else(|| Refusal::invalid("Container name is required in overrides."))?;
            if name != container.name {
                return Err(Refusal::invalid(format!(
                    "Override for container named {name} is not a container in the TaskDefinition."
                )));
            }
            if let Some(own) = &over.command {
                command.clone_from(own);
            }
            environment.extend(
                over.environment
                    .iter()
                    .map(|variable| (variable.name.clone(), variable.value.clone())),
            );
            memory_of_container = over
                .memory
                .map_or(memory_of_container, |own| own.min(memory));
        }
        Ok(Task::new(
            &world.config,
            hex_id(),
            NewTask {
                definition: Arc::clone(definition),
                command,
                environment,
                memory_mebibytes: memory_of_container,
                cpu,
                started_by: self.started_by.clone(),
                shown: self.shown(world, definition, overrides, launch),
                tags: json!(self.tags),
                stop: world.closing.child_token(),
            },
        ))
    }

    /// The part of a task's description that never changes.
    fn shown(
        &self,
        world: &World,
        definition: &Definition,
        overrides: Value,
        launch: Launch,
    ) -> Map<String, Value> {
        let region = &world.config.region;
        let subnet = self
            .network_configuration
            .as_ref()
            .and_then(|network| network.awsvpc_configuration.as_ref());
        let subnet = subnet
            .and_then(|network| network.subnets.first())
            .map_or("", String::as_str);
        let mut shown = Map::new();
        let fields = [
            ("clusterArn", json!(api::cluster_arn(world))),
            (
                "group",
                json!(
                    self.group
                        .clone()
                        .unwrap_or_else(|| format!("family:{}", definition.family))
                ),
            ),
            ("overrides", overrides),
            ("platformVersion", json!("1.4.0")),
            ("platformFamily", json!("Linux")),
            ("availabilityZone", json!(format!("{region}a"))),
            ("createdAt", seconds(Timestamp::now())),
            ("enableExecuteCommand", json!(self.enable_execute_command)),
            (
                "attributes",
                json!([{"name": "ecs.cpu-architecture", "value": "x86_64"}]),
            ),
            ("ephemeralStorage", json!({"sizeInGiB": 20})),
            ("fargateEphemeralStorage", json!({"sizeInGiB": 20})),
            (
                "attachments",
                json!([{
                    "id": uuid(),
                    "type": "ElasticNetworkInterface",
                    "status": "ATTACHED",
                    "details": [{"name": "subnetId", "value": subnet}, {"name": "privateIPv4Address", "value": "127.0.0.1"}],
                }]),
            ),
        ];
        shown.extend(fields.map(|(name, value)| (name.to_owned(), value)));
        match launch {
            Launch::Fargate => shown.insert("launchType".to_owned(), json!("FARGATE")),
            Launch::FargateSpot => {
                shown.insert("capacityProviderName".to_owned(), json!("FARGATE_SPOT"))
            }
        };
        if let Some(by) = &self.started_by {
            shown.insert("startedBy".to_owned(), json!(by));
        }
        shown
    }
}
