//! The endpoint's door: which operation, for whom, and the operations that only look at tasks or stop them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::Kind;
use super::task::Status;
use super::wire::{Answer, Refusal, page, read, respond, target};
use super::{ACCOUNT, World, definition, logs_api, run_task};

const ECS: &str = "AmazonEC2ContainerServiceV20141113";
const LOGS: &str = "Logs_20140328";
const MOST_DESCRIBED: usize = 100;

pub(super) async fn answer(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some((service, operation)) = target(&headers) else {
        return respond(Err(Refusal::new(
            "UnknownOperationException",
            "X-Amz-Target is missing",
        )));
    };
    world.calls.record(service, operation, &headers, &body);
    respond(operate(&world, service, operation, &headers, &body))
}

fn operate(
    world: &Arc<World>,
    service: &str,
    operation: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    if !headers.contains_key("authorization") {
        return Err(Refusal::forbidden(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    }
    if world.faults.hits_call(Kind::Throttle, operation).is_some() {
        return Err(Refusal::new("ThrottlingException", "Rate exceeded"));
    }
    if world
        .faults
        .hits_call(Kind::ServerError, operation)
        .is_some()
    {
        return Err(Refusal::server(
            "ServerException",
            "Service Unavailable. Please try again later.",
        ));
    }
    match (service, operation) {
        (ECS, "RunTask") => run_task::run_task(world, body),
        (ECS, "DescribeTasks") => describe_tasks(world, body),
        (ECS, "ListTasks") => list_tasks(world, body),
        (ECS, "StopTask") => stop_task(world, body),
        (ECS, "DescribeTaskDefinition") => definition::describe(world, body),
        (ECS, "RegisterTaskDefinition") => definition::register(world, body),
        (ECS, "DescribeClusters") => describe_clusters(world, body),
        (LOGS, "GetLogEvents") => logs_api::get_log_events(world, body),
        (LOGS, "DescribeLogStreams") => logs_api::describe_log_streams(world, body),
        (LOGS, "FilterLogEvents") => logs_api::filter_log_events(world, body),
        _ => Err(Refusal::new(
            "UnknownOperationException",
            format!("devstack does not serve {service}.{operation}"),
        )),
    }
}

pub(super) fn cluster_arn(world: &World) -> String {
    format!(
        "arn:aws:ecs:{}:{ACCOUNT}:cluster/{}",
        world.config.region, world.config.cluster
    )
}

fn is_our_cluster(world: &World, name: &str) -> bool {
    name == world.config.cluster || name == cluster_arn(world)
}

/// No name means the cluster `default`, as with AWS.
pub(super) fn check_cluster(world: &World, name: Option<&str>) -> Result<(), Refusal> {
    if is_our_cluster(world, name.unwrap_or("default")) {
        return Ok(());
    }
    Err(Refusal::new(
        "ClusterNotFoundException",
        "Cluster not found.",
    ))
}

#[derive(Deserialize)]
struct DescribeTasks {
    cluster: Option<String>,
    tasks: Vec<String>,
    #[serde(default)]
    include: Vec<String>,
}

fn describe_tasks(world: &World, body: &[u8]) -> Answer {
    let request: DescribeTasks = read(body)?;
    check_cluster(world, request.cluster.as_deref())?;
    if request.tasks.is_empty() {
        return Err(Refusal::invalid("Tasks cannot be empty."));
    }
    if request.tasks.len() > MOST_DESCRIBED {
        return Err(Refusal::invalid(format!(
            "Tasks can have at most {MOST_DESCRIBED} members."
        )));
    }
    let with_tags = request.include.iter().any(|part| part == "TAGS");
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for name in &request.tasks {
        match world.tasks.find(name) {
            Some(task) => tasks.push(task.show(with_tags)),
            None => failures.push(json!({"arn": task_arn(world, name), "reason": "MISSING"})),
        }
    }
    Ok(json!({"tasks": tasks, "failures": failures}))
}

fn task_arn(world: &World, name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    format!(
        "arn:aws:ecs:{}:{ACCOUNT}:task/{}/{name}",
        world.config.region, world.config.cluster
    )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListTasks {
    cluster: Option<String>,
    family: Option<String>,
    started_by: Option<String>,
    desired_status: Option<String>,
    launch_type: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

fn list_tasks(world: &World, body: &[u8]) -> Answer {
    let request: ListTasks = read(body)?;
    check_cluster(world, request.cluster.as_deref())?;
    if request.family.is_some() && request.started_by.is_some() {
        return Err(Refusal::invalid(
            "Only one of family and startedBy can be used as a filter.",
        ));
    }
    let wanted = match request.desired_status.as_deref() {
        None | Some("RUNNING") => true,
        Some("STOPPED") => false,
        // ECS never sets the desired status PENDING: such a list is empty.
        Some("PENDING") => return Ok(json!({"taskArns": []})),
        Some(other) => {
            return Err(Refusal::invalid(format!(
                "desiredStatus '{other}' is not known."
            )));
        }
    };
    let most = match request.max_results {
        None => 100,
        Some(most) if (1..=100).contains(&most) => most,
        Some(_) => return Err(Refusal::invalid("maxResults must be between 1 and 100.")),
    };
    let is_listed = |task: &Arc<super::task::Task>| {
        task.is_wanted() == wanted
            && request
                .family
                .as_ref()
                .is_none_or(|family| *family == task.definition.family)
            && request
                .started_by
                .as_ref()
                .is_none_or(|by| Some(by) == task.started_by.as_ref())
            && request
                .launch_type
                .as_deref()
                .is_none_or(|launch| launch == "FARGATE")
    };
    let arns: Vec<String> = world
        .tasks
        .all()
        .iter()
        .filter(|task| is_listed(task))
        .map(|task| task.arn.clone())
        .collect();
    let (arns, next) = page(arns, request.next_token.as_deref(), most)?;
    let mut answer = json!({"taskArns": arns});
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    Ok(answer)
}

#[derive(Deserialize)]
struct StopTask {
    cluster: Option<String>,
    task: String,
    reason: Option<String>,
}

fn stop_task(world: &World, body: &[u8]) -> Answer {
    let request: StopTask = read(body)?;
    check_cluster(world, request.cluster.as_deref())?;
    let task = world
        .tasks
        .find(&request.task)
        .ok_or_else(|| Refusal::invalid("The referenced task was not found."))?;
    task.ask_to_stop(
        request
            .reason
            .unwrap_or_else(|| "Task stopped by user".to_owned()),
    );
    Ok(json!({"task": task.show(true)}))
}

#[derive(Deserialize)]
struct DescribeClusters {
    #[serde(default)]
    clusters: Vec<String>,
}

fn describe_clusters(world: &World, body: &[u8]) -> Answer {
    let request: DescribeClusters = read(body)?;
    let asked = if request.clusters.is_empty() {
        vec!["default".to_owned()]
    } else {
        request.clusters
    };
    let (mut clusters, mut failures): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for name in asked {
        if is_our_cluster(world, &name) {
            clusters.push(cluster(world));
        } else {
            let arn = format!(
                "arn:aws:ecs:{}:{ACCOUNT}:cluster/{name}",
                world.config.region
            );
            failures.push(json!({"arn": arn, "reason": "MISSING"}));
        }
    }
    Ok(json!({"clusters": clusters, "failures": failures}))
}

fn cluster(world: &World) -> Value {
    let tasks = world.tasks.all();
    let count =
        |is: fn(Status) -> bool| tasks.iter().filter(|task| is(task.state().status)).count();
    json!({
        "clusterArn": cluster_arn(world),
        "clusterName": world.config.cluster,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": count(|status| status == Status::Running),
        "pendingTasksCount": count(|status| matches!(status, Status::Provisioning | Status::Pending)),
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
        "defaultCapacityProviderStrategy": [],
    })
}
