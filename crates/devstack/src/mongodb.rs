//! A MongoDB server on a free loopback port, its data kept in the state folder.
//!
//! A `mongod` on PATH, else SecantusDB: another server that speaks the protocol and stores by
//! WiredTiger too, installed from PyPI; its quicker build in Rust where that is on PATH.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::child::{self, Server};
use crate::python;
use crate::state::State;
use crate::world::free_port;

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

const DATABASE: &str = "weather";
const COLLECTION: &str = "readings";

/// A server that answers and is the one that was started.
#[derive(Debug)]
pub struct Mongodb {
    server: Server,
    name: &'static str,
    port: u16,
}

impl Mongodb {
    pub async fn start(
        state: &State,
        search_path: &OsStr,
        python: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let folder = state.of_service("mongodb")?;
        let port = free_port()?;
        let on_path = |name: &str| {
            std::env::split_paths(search_path)
                .map(|folder| folder.join(name))
                .find(|path| path.is_file())
        };
        let (name, command) = if let Some(program) = on_path("mongod") {
            ("MongoDB", mongod(&program, &folder, port)?)
        } else if let Some(program) = on_path("secantusd-rs") {
            (
                "MongoDB (no mongod on PATH: SecantusDB in Rust stands in)",
                secantus(&program, &folder, port)?,
            )
        } else {
            let program = python::program(python, "secantusd-py")?;
            (
                "MongoDB (no mongod on PATH: SecantusDB stands in)",
                secantus(&program, &folder, port)?,
            )
        };
        let server = Server::start("MongoDB", command, Signal::SIGTERM, &folder.join("log"))?;
        let mut mongodb = Self { server, name, port };
        match mongodb.ready().await.context("start MongoDB") {
            Ok(()) => Ok(mongodb),
            Err(error) => {
                // What went wrong is told; that it had to be stopped as well adds nothing.
                _ = mongodb.stop().await;
                Err(error)
            }
        }
    }

    /// What it is, for a log.
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MONGODB_URI", format!("mongodb://{}", self.address())),
            ("MONGODB_DATABASE", DATABASE.to_owned()),
            ("MONGODB_COLLECTION", COLLECTION.to_owned()),
        ]
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }

    /// Waits until it takes connections, and makes sure that the socket is its own.
    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while TcpStream::connect(self.address()).await.is_err() {
            self.server.check()?;
            ensure!(
                Instant::now() < deadline,
                "it did not answer within {} s",
                READY_TIMEOUT.as_secs()
            );
            sleep(POLL).await;
        }
        self.server.check()?;
        let pid = self.server.pid().context("it has ended")?;
        ensure!(
            listens(pid, self.port)?,
            "another server answers on {}",
            self.address()
        );
        Ok(())
    }
}

fn mongod(program: &Path, folder: &Path, port: u16) -> anyhow::Result<Command> {
    let data = folder.join("mongod");
    fs::create_dir_all(&data).with_context(|| format!("create {}", data.display()))?;
    let mut command = child::command(program, None, Signal::SIGTERM);
    command
        .args(["--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"])
        .args(["--port", &port.to_string(), "--dbpath"])
        .arg(data)
        .current_dir(folder);
    Ok(command)
}

fn secantus(program: &Path, folder: &Path, port: u16) -> anyhow::Result<Command> {
    let mut command = child::command(program, None, Signal::SIGTERM);
    command
        // Like a mongod that is no member of a replica set: clients stay with the given address.
        .args(["--standalone", "--host", "127.0.0.1"])
        .args(["--port", &port.to_string(), "--log-level", "WARNING"])
        .arg("--storage-path")
        .arg(folder.join("secantus"))
        .current_dir(folder);
    Ok(command)
}

/// Whether this process holds the socket that listens on this loopback port.
fn listens(pid: u32, port: u16) -> anyhow::Result<bool> {
    let sockets = fs::read_to_string("/proc/net/tcp").context("list the machine's sockets")?;
    let local = format!("0100007F:{port:04X}");
    let inode = sockets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listening = fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&"0A");
        listening.then(|| fields.get(9).copied()).flatten()
    });
    let Some(inode) = inode else { return Ok(false) };
    let socket = PathBuf::from(format!("socket:[{inode}]"));
    let held = fs::read_dir(format!("/proc/{pid}/fd")).context("list the server's files")?;
    let held = held.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Ok(held.into_iter().any(|target| target == socket))
}
