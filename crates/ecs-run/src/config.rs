//! What `ecs-run` is told on its command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::cluster::Place;
use crate::run::Order;

/// Run one task of iac/tasks.json on ECS, follow its log, exit with its code.
///
/// Ctrl-C stops the task and waits for its end; a second Ctrl-C leaves it alone and prints its ARN.
#[derive(Debug, Parser)]
#[command(name = "ecs-run", version)]
pub struct Config {
    /// The task's name, `strava-extract`
    pub task: String,
    /// Arguments of the task's program, after `--`; none: the command of its definition
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<String>,
    /// Start the task, print its ARN and leave it running
    #[arg(long)]
    pub detach: bool,
    /// Cluster to run in
    #[arg(long, env = "ECS_CLUSTER")]
    pub cluster: String,
    /// Ids of the subnets, comma-separated
    #[arg(long, env = "ECS_SUBNETS", value_delimiter = ',', required = true)]
    pub subnets: Vec<String>,
    /// Ids of the security groups, comma-separated
    #[arg(
        long,
        env = "ECS_SECURITY_GROUPS",
        value_delimiter = ',',
        required = true
    )]
    pub security_groups: Vec<String>,
    /// Give the task a public address, as subnets without NAT need it
    #[arg(long, env = "ECS_ASSIGN_PUBLIC_IP")]
    pub assign_public_ip: bool,
    /// What the names of task definitions and log groups begin with [default: the cluster's name]
    #[arg(long, env = "ECS_PREFIX")]
    pub prefix: Option<String>,
    /// The file with the tasks [default: iac/tasks.json in the current folder or above it]
    #[arg(long, value_name = "FILE")]
    pub tasks_file: Option<PathBuf>,
    /// A further variable of the task, more than once
    #[arg(long = "environment", value_name = "NAME=VALUE", value_parser = variable)]
    pub environment: Vec<(String, String)>,
    /// Name of the run, which the task gets as RUN_ID
    #[arg(long, env = "RUN_ID")]
    pub run_id: Option<String>,
    /// Milliseconds between two looks at the task and its log
    #[arg(long, default_value = "1000", value_parser = milliseconds, value_name = "MILLISECONDS")]
    pub poll: Duration,
}

impl Config {
    /// Where the task runs.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            cluster: self.cluster.clone(),
            subnets: self.subnets.clone(),
            security_groups: self.security_groups.clone(),
            assign_public_ip: self.assign_public_ip,
        }
    }

    /// What the task is asked to do.
    #[must_use]
    pub fn order(&self) -> Order {
        let mut environment: BTreeMap<String, String> = self.environment.iter().cloned().collect();
        if let Some(run_id) = &self.run_id {
            environment.insert("RUN_ID".to_owned(), run_id.clone());
        }
        Order {
            task: self.task.clone(),
            family: format!("{}-{}", self.prefix(), self.task),
            arguments: self.arguments.clone(),
            environment,
        }
    }

    #[must_use]
    pub fn log_group(&self) -> String {
        format!("/{}/{}", self.prefix(), self.task)
    }

    fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or(&self.cluster)
    }
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE"),
    }
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Config::command().debug_assert();
    }

    #[test]
    fn what_follows_the_dashes_belongs_to_the_task() {
        let config = Config::parse_from([
            "ecs-run",
            "dbt",
            "--cluster",
            "c",
            "--subnets",
            "a,b",
            "--security-groups",
            "s",
            "--environment",
            "A=1=2",
            "--",
            "build",
            "--select",
            "x",
        ]);
        let order = config.order();
        assert_eq!(order.arguments, ["build", "--select", "x"]);
        assert_eq!(order.family, "c-dbt");
        assert_eq!(order.environment["A"], "1=2");
        assert_eq!(config.place().subnets, ["a", "b"]);
        assert_eq!(config.log_group(), "/c/dbt");
    }
}
