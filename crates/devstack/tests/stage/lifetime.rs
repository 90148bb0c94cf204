//! The lives of devstack's processes: exit codes, signals, locks, and death by kill -9.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DEADLINE: Duration = Duration::from_secs(40);

fn devstack() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devstack"));
    command.stdin(Stdio::null());
    command
}

fn exec(state: &Path, only: &str, script: &str) -> Command {
    let mut command = devstack();
    command
        .args(["exec", "--only", only, "--state-dir"])
        .arg(state);
    command
        .args(["--", "sh", "-c", script])
        .current_dir(repository());
    command
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All services that this machine can start; says so loudly where one is missing.
fn services() -> &'static str {
    if repository().join(".venv/bin/moto_server").is_file() {
        return "postgres,aws,strava";
    }
    eprintln!("skipped: no .venv/bin/moto_server, so moto's life is not tested: run `make setup`");
    "postgres,strava"
}

fn text(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes that work in a folder or below it: every child of a devstack does.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.canonicalize().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let works_in = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if works_in.starts_with(&folder) {
            let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            found.push(command.replace('\0', " "));
        }
    }
    found
}

#[test]
fn exec_sets_the_variables_and_exits_with_the_command_s_code() {
    let state = tempfile::tempdir().unwrap();
    let script = "echo $LANDING_URL $DATABASE_URL $STRAVA_TOKEN_STORE; exit 7";
    let output = exec(state.path(), "postgres,strava", script)
        .output()
        .unwrap();
    let (stdout, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(7), "{stderr}");
    let folder = state.path().canonicalize().unwrap();
    assert!(
        stdout.contains(&format!("file://{}/landing ", folder.display())),
        "{stdout}"
    );
    assert!(stdout.contains("postgres://"), "{stdout}");
    assert!(stdout.ends_with("/token-{athlete_id}.json"), "{stdout}");
    assert!(
        stderr.contains("PostgreSQL") && stderr.contains("127.0.0.1:"),
        "{stderr}"
    );
    assert!(processes_in(state.path()).is_empty());
}

#[test]
fn a_command_that_a_signal_ended_has_the_shell_s_code() {
    let state = tempfile::tempdir().unwrap();
    let output = exec(state.path(), "strava", "kill -KILL $$")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(137));
}

#[test]
fn a_signal_is_passed_on_to_the_command() {
    let state = tempfile::tempdir().unwrap();
    let ready = state.path().join("ready");
    let script = format!(
        "trap 'echo told; exit 5' TERM; touch {}; while :; do sleep 0.05; done",
        ready.display()
    );
    let running = exec(state.path(), "strava", &script)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the command's start", || ready.exists().then_some(()));
    kill(Pid::from_raw(running.id().cast_signed()), Signal::SIGTERM).unwrap();
    let output = running.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), text(&output).0.as_str()),
        (Some(5), "told")
    );
}

#[test]
fn the_same_state_folder_is_refused_and_another_runs_beside_it() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = devstack()
        .args(["up", "--only", "postgres,strava", "--state-dir"])
        .arg(one.path())
        .spawn()
        .unwrap();
    wait_for("devstack up", || {
        one.path().join("env").exists().then_some(())
    });

    let refused = exec(one.path(), "strava", "true").output().unwrap();
    let (_, message) = text(&refused);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        message.contains(&format!("process id {}", first.id())),
        "{message}"
    );

    let beside = exec(two.path(), "postgres,strava", "true")
        .output()
        .unwrap();
    assert_eq!(beside.status.code(), Some(0), "{}", text(&beside).1);

    let env = devstack()
        .args(["env", "--state-dir"])
        .arg(one.path())
        .output()
        .unwrap();
    assert!(
        text(&env).0.contains("export DATABASE_URL='postgres://"),
        "{}",
        text(&env).0
    );
    let down = devstack()
        .args(["down", "--state-dir"])
        .arg(one.path())
        .status()
        .unwrap();
    assert!(down.success());
    assert_eq!(first.wait().unwrap().code(), Some(0));
    let env = devstack()
        .args(["env", "--state-dir"])
        .arg(one.path())
        .output()
        .unwrap();
    assert_eq!(env.status.code(), Some(1));
}

#[tokio::test]
async fn what_was_written_is_there_in_the_next_run() {
    let state = tempfile::tempdir().unwrap();
    for (statement, rows) in [
        ("create table kept as select 7 as number", 1),
        ("table kept", 1),
    ] {
        let mut up = devstack()
            .args(["up", "--only", "postgres", "--state-dir"])
            .arg(state.path())
            .spawn()
            .unwrap();
        let variables = state.path().join("env");
        wait_for("devstack up", || variables.exists().then_some(()));
        let text = std::fs::read_to_string(&variables).unwrap();
        let url = text
            .lines()
            .find_map(|line| line.strip_prefix("export DATABASE_URL="))
            .unwrap();
        let (client, connection) =
            tokio_postgres::connect(url.trim_matches('\''), tokio_postgres::NoTls)
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        assert_eq!(client.execute(statement, &[]).await.unwrap(), rows);
        drop(client);
        connection.await.unwrap().unwrap();
        kill(Pid::from_raw(up.id().cast_signed()), Signal::SIGINT).unwrap();
        assert!(up.wait().unwrap().success());
    }
}

#[test]
fn no_child_outlives_a_devstack_that_is_killed() {
    let state = tempfile::tempdir().unwrap();
    let services = services();
    let ready = state.path().join("ready");
    let script = format!(
        "cd {} && touch {} && exec sleep 600",
        state.path().display(),
        ready.display()
    );
    let mut running = exec(state.path(), services, &script).spawn().unwrap();
    wait_for("the command's start", || ready.exists().then_some(()));
    let children = processes_in(state.path());
    for child in ["sleep", "postgres"]
        .into_iter()
        .chain(services.contains("aws").then_some("moto"))
    {
        assert!(
            children.iter().any(|command| command.contains(child)),
            "{child}: {children:?}"
        );
    }

    running.kill().unwrap();
    running.wait().unwrap();
    wait_for("the end of all children", || {
        processes_in(state.path()).is_empty().then_some(())
    });
    let again = exec(state.path(), services, "true").output().unwrap();
    assert!(again.status.success(), "{}", text(&again).1);
}

#[test]
fn the_next_devstack_waits_for_the_database_of_one_that_was_killed() {
    let state = tempfile::tempdir().unwrap();
    let ready = state.path().join("ready");
    let script = format!("touch {} && exec sleep 600", ready.display());
    let mut running = exec(state.path(), "postgres", &script).spawn().unwrap();
    wait_for("the command's start", || ready.exists().then_some(()));
    let data = state.path().join("postgres/data");
    let pid_file = data.join("postmaster.pid");
    let left_behind = std::fs::read_to_string(&pid_file).unwrap();
    running.kill().unwrap();
    running.wait().unwrap();
    wait_for("the end of all children", || {
        processes_in(state.path()).is_empty().then_some(())
    });

    // One that takes its time to stop. The real one, stopped, is woken by the kernel as an orphan.
    let mut slow = Command::new("sh")
        .args(["-c", "read line", "sh"])
        .arg(&data)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let (_, rest) = left_behind.split_once('\n').unwrap();
    std::fs::write(&pid_file, format!("{}\n{rest}", slow.id())).unwrap();
    let mut next = exec(state.path(), "postgres", "true")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(next.stderr.take().unwrap()).lines();
    let mut said = log.by_ref().map(Result::unwrap);
    let mut before = Vec::new();
    let waits = said.by_ref().any(|line| {
        let waits = line.contains("waiting for the PostgreSQL of an earlier devstack");
        before.push(line);
        waits
    });
    assert!(waits, "{before:?}");
    slow.kill().unwrap();
    slow.wait().unwrap();
    let rest: Vec<_> = said.collect();
    assert!(next.wait().unwrap().success(), "{rest:?}");
}

#[test]
fn generate_prints_the_wanted_number_of_activities() {
    let output = devstack()
        .args([
            "generate",
            "--activities",
            "1200",
            "--seed",
            "5",
            "--today",
            "2026-11-24",
        ])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output).0.lines().count(), 1_200);
}
