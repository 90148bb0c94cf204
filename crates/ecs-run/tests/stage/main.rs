//! The program itself against devstack's ECS in this process: aws-sdk-ecs drives the endpoint.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use devstack::ecs::{Config, Ecs, Fault, Program, TasksFile};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

/// An endpoint whose one task, `talk`, is a shell.
struct World {
    ecs: Ecs,
    folder: TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tasks = r#"{"version":1,"tasks":{"talk":{"image":"r/sh:1","cpu":256,"memory":512,
            "command":["-c","echo by default"],"environment":{"GREETING":"hello"},"secrets":{},
            "log_prefix":"talk","stop_timeout_seconds":2}}}"#;
        std::fs::write(folder.path().join("tasks.json"), tasks).unwrap();
        let shell = Program {
            entry_point: vec!["/bin/sh".to_owned()],
            directory: PathBuf::from("/"),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        };
        let config = Config {
            cluster: "voyager".to_owned(),
            region: "eu-central-1".to_owned(),
            prefix: "voyager".to_owned(),
            secrets_root: "/voyager/".to_owned(),
            tasks: tasks.parse::<TasksFile>().unwrap(),
            fill: BTreeMap::new(),
            programs: BTreeMap::from([("sh".to_owned(), shell)]),
            agent_environment: BTreeMap::new(),
            ssm_endpoint: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            ecs: Ecs::start(listener, config).unwrap(),
            folder,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ecs-run"));
        command
            .args(arguments)
            .env_clear()
            .envs([
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "a"),
                ("AWS_SECRET_ACCESS_KEY", "b"),
            ])
            .envs([
                ("ECS_CLUSTER", "voyager"),
                ("ECS_SUBNETS", "subnet-1"),
                ("ECS_SECURITY_GROUPS", "sg-1"),
            ])
            .env("AWS_ENDPOINT_URL", self.ecs.url())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs `ecs-run … -- -c SCRIPT` to its end.
    async fn run(&self, options: &[&str], script: &str) -> Output {
        let tasks = self.folder.path().join("tasks.json");
        let own = [
            "talk",
            "--poll",
            "20",
            "--tasks-file",
            tasks.to_str().unwrap(),
        ];
        let arguments = [&own, options, &["--", "-c", script]].concat();
        self.command(&arguments).output().await.unwrap()
    }
}

const CLOSING: &str = r#"echo '{"task":"talk","status":"succeeded"}'"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn log_and_exit_code_of_the_task_are_passed_through() {
    let world = World::start().await;
    for code in [0, 1, 2, 7] {
        let script = format!("echo $GREETING $NAME; {CLOSING}; exit {code}");
        let done = world.run(&["--environment", "NAME=world"], &script).await;
        assert_eq!(done.status.code(), Some(code), "{}", text(&done.stderr));
        assert_eq!(
            text(&done.stdout),
            "hello world\n{\"task\":\"talk\",\"status\":\"succeeded\"}\n"
        );
    }
}

#[tokio::test]
async fn without_arguments_the_definition_s_command_runs() {
    let world = World::start().await;
    let tasks = world.folder.path().join("tasks.json");
    let arguments = ["talk", "--detach", "--tasks-file", tasks.to_str().unwrap()];
    let done = world.command(&arguments).output().await.unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).starts_with("arn:aws:ecs:eu-central-1:123456789012:task/voyager/"));
}

#[tokio::test]
async fn the_log_is_shown_while_the_task_runs_and_ctrl_c_stops_it() {
    let world = World::start().await;
    let tasks = world.folder.path().join("tasks.json");
    let script = format!(
        "end() {{ {CLOSING}; exit 143; }}; trap end TERM; echo ready; while :; do sleep 0.05; done"
    );
    let arguments = [
        "talk",
        "--poll",
        "20",
        "--tasks-file",
        tasks.to_str().unwrap(),
        "--",
        "-c",
        &script,
    ];
    let mut running = world.command(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
    interrupt(&running);
    assert!(
        lines
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .contains("succeeded")
    );
    let ended = tokio::time::timeout(Duration::from_secs(20), running.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(143));
}

#[tokio::test]
async fn a_second_ctrl_c_leaves_the_task_and_prints_its_arn() {
    let world = World::start().await;
    let tasks = world.folder.path().join("tasks.json");
    let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let arguments = [
        "talk",
        "--poll",
        "20",
        "--tasks-file",
        tasks.to_str().unwrap(),
        "--",
        "-c",
        script,
    ];
    let mut running = world.command(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut told = BufReader::new(running.stderr.take().unwrap()).lines();
    assert!(
        told.next_line()
            .await
            .unwrap()
            .unwrap()
            .contains("started arn:aws:ecs:")
    );
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("ready"));
    interrupt(&running);
    assert!(
        told.next_line()
            .await
            .unwrap()
            .unwrap()
            .contains("stopping the task")
    );
    interrupt(&running);
    assert!(
        lines
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .starts_with("arn:aws:ecs:")
    );
    assert_eq!(running.wait().await.unwrap().code(), Some(130));
}

#[tokio::test]
async fn a_task_that_lives_on_after_its_closing_line_is_not_waited_for_longer() {
    let world = World::start().await;
    let script = format!("{CLOSING}; sleep 1; exit 1");
    let run = world.run(&[], &script);
    let done = tokio::time::timeout(Duration::from_secs(20), run)
        .await
        .unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
}

fn interrupt(running: &tokio::process::Child) {
    let pid = i32::try_from(running.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let world = World::start().await;
    for (fault, code, reason) in [
        (r#"{"kind":"capacity"}"#, 1, "Capacity is unavailable"),
        (r#"{"kind":"image_pull"}"#, 1, "CannotPullContainerError"),
        (r#"{"kind":"missing_secret"}"#, 2, "invalid ssm parameters"),
    ] {
        world
            .ecs
            .inject(serde_json::from_str::<Fault>(fault).unwrap());
        let done = world.run(&[], "exit 0").await;
        assert_eq!(done.status.code(), Some(code), "{fault}");
        assert!(
            text(&done.stderr).contains(reason),
            "{}",
            text(&done.stderr)
        );
    }
}

#[tokio::test]
async fn wrong_use_is_exit_2_with_the_next_step() {
    let world = World::start().await;
    let refused = |arguments: &'static [&'static str]| {
        let run = world
            .command(arguments)
            .current_dir(world.folder.path())
            .output();
        async move {
            let done = run.await.unwrap();
            assert_eq!(done.status.code(), Some(2), "{}", text(&done.stderr));
            text(&done.stderr)
        }
    };
    assert!(
        refused(&["nothing", "--tasks-file", "tasks.json"])
            .await
            .contains("the tasks are talk")
    );
    assert!(refused(&["talk"]).await.contains("--tasks-file"));
    assert!(
        refused(&[
            "talk",
            "--tasks-file",
            "tasks.json",
            "--cluster",
            "other",
            "--prefix",
            "voyager"
        ])
        .await
        .contains("Cluster not found")
    );
    assert!(
        refused(&["talk", "--tasks-file", "tasks.json", "--prefix", "other"])
            .await
            .contains("TaskDefinition not found")
    );
}

#[tokio::test]
async fn throttling_and_server_errors_are_outlived() {
    let world = World::start().await;
    for fault in [
        r#"{"kind":"throttle","operation":"RunTask","times":2}"#,
        r#"{"kind":"server_error","operation":"DescribeTasks","times":2}"#,
        r#"{"kind":"throttle","operation":"GetLogEvents","times":2}"#,
    ] {
        world
            .ecs
            .inject(serde_json::from_str::<Fault>(fault).unwrap());
    }
    let done = world.run(&[], &format!("{CLOSING}; exit 3")).await;
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
}
