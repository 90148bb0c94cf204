//! `weather-consumer` as a process, ended with the test.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::world::{SOON, World, eventually};

pub(crate) struct Consumer {
    process: Child,
    port: u16,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) closing: Value,
    pub(crate) lines: Vec<Value>,
}

pub(crate) fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weather-consumer"));
    command
        .args(arguments)
        .env("KAFKA_BOOTSTRAP_SERVERS", &world.brokers)
        .env("WEATHER_TOPIC", &world.topic)
        .env_remove("WEATHER_DLQ_TOPIC")
        .env("KAFKA_GROUP_ID", world.group())
        .env("MONGODB_URI", &world.mongodb)
        .env("MONGODB_DATABASE", world.database())
        .env("MONGODB_COLLECTION", "readings")
        .env("LANDING_URL", &world.landing)
        .env("LOG_FORMAT", "text")
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}

/// Runs a command to its end.
pub(crate) fn run(world: &World, arguments: &[&str]) -> Ended {
    ended(command(world, arguments).spawn().unwrap())
}

fn ended(process: Child) -> Ended {
    let output = process.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let closing = lines.pop().unwrap_or_default();
    Ended {
        code: output.status.code(),
        closing,
        lines,
    }
}

impl Consumer {
    pub(crate) fn start(world: &World, options: &[&str]) -> Self {
        Self::with_environment(world, options, &[])
    }

    pub(crate) fn with_environment(
        world: &World,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = command(world, &["run"]);
        if !options.contains(&"--session-timeout") {
            command.args(["--session-timeout", "6s"]);
        }
        command
            .args(["--listen-addr", &format!("127.0.0.1:{port}")])
            .args(options)
            .envs(environment.iter().copied());
        Self {
            process: command.spawn().unwrap(),
            port,
        }
    }

    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.ask("/healthz")
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// What it waits for; empty when it is ready, none when it does not answer.
    pub(crate) fn waits_for(&self) -> Option<String> {
        let answer = self.ask("/readyz")?;
        if answer.starts_with("HTTP/1.1 200") {
            return Some(String::new());
        }
        Some(answer.split("\r\n\r\n").nth(1)?.to_owned())
    }

    pub(crate) fn until_ready(&self) {
        eventually("the consumer is ready", SOON, || {
            self.waits_for().filter(String::is_empty)
        });
    }

    pub(crate) fn until_it_waits_for(&self, what: &str) {
        let named = |waits: &String| waits.contains(what);
        eventually(&format!("/readyz names {what}"), SOON, || {
            self.waits_for().filter(named)
        });
    }

    /// The sum of a metric's series.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let answer = self.ask("/metrics")?;
        let values = answer.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        let values: Vec<f64> = values
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{signal}"), &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    /// How it ended, once it has by itself.
    pub(crate) fn until_ended(mut self) -> Ended {
        eventually("the consumer ends", SOON, || {
            self.process.try_wait().unwrap()
        });
        self.wait()
    }

    pub(crate) fn wait(mut self) -> Ended {
        // Takes the process out, so that it is not killed when this is dropped.
        let placeholder = Command::new("true").spawn().unwrap();
        ended(std::mem::replace(&mut self.process, placeholder))
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
