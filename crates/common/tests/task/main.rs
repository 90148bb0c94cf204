//! How a task ends, seen from outside: its output and its exit code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

struct Ended {
    code: Option<i32>,
    lines: Vec<String>,
    stderr: String,
}

impl Ended {
    fn closing(&self) -> Value {
        let last = self.lines.last().expect("a closing line");
        let mut closing: Value = serde_json::from_str(last).unwrap();
        let took = closing
            .as_object_mut()
            .unwrap()
            .remove("duration_seconds")
            .unwrap();
        assert!(took.is_f64(), "{last}");
        closing
    }

    fn logs(&self) -> Vec<Value> {
        self.lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["level"].is_string())
            .collect()
    }
}

/// `examples/task.rs`, which cargo builds with the tests, beside their folder.
fn task(arguments: &[&str]) -> Command {
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test
        .parent()
        .and_then(|deps| deps.parent())
        .unwrap()
        .join("examples/task");
    assert!(
        program.exists(),
        "build it first: cargo build -p common --example task"
    );
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Ended {
    let output = task(arguments).output().unwrap();
    Ended {
        code: output.status.code(),
        lines: String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(ToOwned::to_owned)
            .collect(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_finished_task_says_so_in_its_last_line() {
    let ended = run(&["count", "--to", "3", "--run-id", "run 1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(
        ended.closing(),
        json!({"task": "task", "command": "count", "run_id": "run 1", "status": "succeeded", "complete": true,
               "resume_at": null, "numbers": 3})
    );
    assert_eq!(ended.stderr, "");
    assert!(ended.lines.contains(&"counted to 3".to_owned()));
}

#[test]
fn json_logs_are_flat_lines_before_the_closing_line() {
    let ended = run(&["count", "--to", "3"]);
    let logs = ended.logs();
    let counted = logs
        .iter()
        .find(|line| line["message"] == "counted 3 numbers")
        .unwrap();
    assert_eq!(
        (
            &counted["level"],
            &counted["task"],
            &counted["count.done"],
            &counted["count.to"]
        ),
        (&json!("INFO"), &json!("task"), &json!(3), &json!(3))
    );
    assert!(logs.iter().all(|line| line["level"] != "DEBUG"));
    let debug = run(&["--log-level", "debug", "count", "--to", "3"]);
    assert!(
        debug
            .logs()
            .iter()
            .any(|line| line["message"] == "about to end")
    );
    let run_id = ended.closing()["run_id"].as_str().unwrap().to_owned();
    assert_eq!(run_id.len(), "20261124T170840Z-3f9a01bc".len(), "{run_id}");
}

#[test]
fn text_logs_leave_stdout_to_the_results() {
    let ended = run(&["--log-format", "text", "count", "--to", "3"]);
    assert_eq!(ended.lines.len(), 2, "{:?}", ended.lines);
    assert_eq!(ended.closing()["numbers"], 3);
    assert!(
        ended.stderr.contains("counted 3 numbers"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_exit_code_tells_whether_a_retry_may_help() {
    for (command, code, error) in [
        ("refuse", 2, "log in again: 401 Unauthorized"),
        ("fail", 1, "fetch numbers: connection refused"),
        ("panic", 1, "panicked"),
    ] {
        let ended = run(&[command]);
        let closing = ended.closing();
        assert_eq!(
            (ended.code, closing["status"].as_str()),
            (Some(code), Some("failed")),
            "{command}"
        );
        assert!(
            closing["error"].as_str().unwrap().contains(error),
            "{closing}"
        );
        assert_eq!(closing["run_id"], Value::Null);
        assert!(
            ended.logs().iter().any(|line| line["level"] == "ERROR"),
            "{:?}",
            ended.lines
        );
    }
    let panicked = run(&["panic"]);
    assert!(
        panicked
            .logs()
            .iter()
            .any(|line| line["message"] == "panicked: a number is missing")
    );
}

#[test]
fn misuse_has_claps_text_and_a_closing_line() {
    for arguments in [
        &["count"][..],
        &["count", "--to", "x"],
        &["count", "--to", "1", "--run-id", ""],
        &[],
        &["nothing"],
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert_eq!(ended.lines.len(), 1, "{:?}", ended.lines);
        let closing = ended.closing();
        assert_eq!(
            (&closing["task"], &closing["status"], &closing["command"]),
            (&json!("task"), &json!("failed"), &Value::Null)
        );
        assert!(ended.stderr.contains("--help"), "{}", ended.stderr);
        assert!(!closing["error"].as_str().unwrap().is_empty(), "{closing}");
    }
}

#[test]
fn help_and_version_are_no_runs() {
    for argument in ["--help", "--version"] {
        let ended = run(&[argument]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        assert!(ended.lines.iter().all(|line| !line.starts_with('{')));
    }
}

#[test]
fn a_signal_ends_a_task_with_143() {
    for signal in ["TERM", "INT"] {
        let mut child = task(&["wait", "--run-id", "r"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        assert_eq!(first, "waiting\n");
        kill(signal, child.id());
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(
            (status.code(), status.signal()),
            (Some(143), None),
            "{rest}"
        );
        let closing: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
        assert_eq!(
            (&closing["status"], &closing["complete"]),
            (&json!("partial"), &json!(false))
        );
    }
}

#[test]
fn a_second_interrupt_aborts_a_task_that_does_not_stop() {
    let mut child = task(&["ignore"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert_eq!(stdout.next().unwrap(), "waiting");
    kill("INT", child.id());
    assert!(stdout.next().unwrap().contains("stopping"));
    kill("INT", child.id());
    assert_eq!(child.wait().unwrap().signal(), Some(6));
}

fn kill(signal: &str, process: u32) {
    assert!(
        Command::new("kill")
            .args(["-s", signal, &process.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_closing_line_that_nobody_can_read_is_no_success() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = task(&["--log-format", "text", "count", "--to", "1"])
        .stdout(full)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
