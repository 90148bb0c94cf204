//! PostgreSQL on a free loopback port, its data kept in the state folder.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use crate::child::{self, Server};
use crate::state::{State, write_private};
use crate::world::free_port;

/// User and database; the password is planted: tests look for it in logs.
const NAME: &str = "voyager";
const PASSWORD: &str = "planted-database-password-71c3";

const READY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const ATTEMPTS: usize = 3;

/// Where Debian keeps its versions; any on PATH comes first.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A server that answers and is the one that was started.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
}

/// Programs of one version.
struct Programs {
    folder: PathBuf,
    version: String,
}

impl Postgres {
    /// Makes the database cluster where there is none, and starts it.
    pub async fn start(state: &State, search_path: &OsStr) -> anyhow::Result<Self> {
        let folder = state.of_service("postgres")?;
        let data = folder.join("data");
        let user = server_user()?;
        if let Some(user) = &user {
            chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .with_context(|| format!("give {} to {}", folder.display(), user.name))?;
        }
        let programs = Programs::find(&data, search_path).await?;
        if !data.exists() {
            programs.init(&folder, &data, user.as_ref()).await?;
        }
        wait_for_predecessor(&data).await?;

        let mut attempt = 1;
        loop {
            match programs.serve(&folder, &data, user.as_ref()).await {
                Err(error) if attempt < ATTEMPTS => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "PostgreSQL did not start, trying another port"
                    );
                    attempt += 1;
                }
                outcome => {
                    return outcome
                        .with_context(|| format!("start PostgreSQL {}", programs.version));
                }
            }
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("DATABASE_URL", self.url(NAME))]
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }

    fn url(&self, database: &str) -> String {
        format!(
            "postgres://{NAME}:{PASSWORD}@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// Waits until it answers, and makes sure that the answer is not another server's.
    async fn ready(&mut self, data: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let client = loop {
            self.server.check()?;
            match connect(&self.url("postgres")).await {
                Ok(client) => break client,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("PostgreSQL did not answer within 30 s");
                }
                Err(_) => sleep(POLL).await,
            }
        };
        let answering: String = client.query_one("show data_directory", &[]).await?.get(0);
        ensure!(
            Path::new(&answering) == data,
            "another PostgreSQL answers on {}: its data is in {answering}",
            self.address()
        );
        let known = client
            .query_opt("select from pg_database where datname = $1", &[&NAME])
            .await?;
        if known.is_none() {
            client
                .batch_execute(&format!("create database {NAME}"))
                .await?;
        }
        Ok(())
    }
}

impl Programs {
    /// The first on PATH, then Debian's newest; a cluster that exists decides the version.
    async fn find(data: &Path, search_path: &OsStr) -> anyhow::Result<Self> {
        let wanted = std::fs::read_to_string(data.join("PG_VERSION")).ok();
        let wanted = wanted.as_deref().map(str::trim);
        let mut found = Vec::new();
        for folder in folders(search_path) {
            if let Some(version) = version(&folder).await {
                if wanted.is_none_or(|wanted| wanted == version) {
                    return Ok(Self { folder, version });
                }
                found.push(version);
            }
        }
        match wanted {
            Some(wanted) => bail!(
                "{} was made by PostgreSQL {wanted}, this machine has {}: install that version, \
                 or remove the folder and begin anew",
                data.display(),
                if found.is_empty() {
                    "none".to_owned()
                } else {
                    found.join(", ")
                }
            ),
            None => bail!(
                "no PostgreSQL server on PATH or in {DEBIAN}/*/bin: install it (Debian: apt-get \
                 install postgresql)"
            ),
        }
    }

    /// Makes a cluster beside its place and moves it there, so that it is whole or absent.
    async fn init(&self, folder: &Path, data: &Path, user: Option<&User>) -> anyhow::Result<()> {
        let (new, password) = (folder.join("data.new"), folder.join("password"));
        if new.exists() {
            std::fs::remove_dir_all(&new)
                .with_context(|| format!("remove unfinished {}", new.display()))?;
        }
        write_private(&password, PASSWORD)?;
        if let Some(user) = user {
            chown(&password, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .with_context(|| format!("give {} to {}", password.display(), user.name))?;
        }
        let output = child::command(self.folder.join("initdb"), user, Signal::SIGTERM)
            .args([
                "--username",
                NAME,
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
            ])
            .args([
                "--locale",
                "C",
                "--no-sync",
                "--no-instructions",
                "--pwfile",
            ])
            .arg(&password)
            .arg("--pgdata")
            .arg(&new)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .await
            .context("run initdb")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "initdb ended with {}: {}",
            output.status,
            errors.trim()
        );
        std::fs::rename(&new, data).with_context(|| format!("keep {}", data.display()))
    }

    async fn serve(
        &self,
        folder: &Path,
        data: &Path,
        user: Option<&User>,
    ) -> anyhow::Result<Postgres> {
        let port = free_port()?;
        // SIGINT is PostgreSQL's fast shutdown; at SIGTERM it would wait for its clients.
        let mut command = child::command(self.folder.join("postgres"), user, Signal::SIGINT);
        command
            .arg("-D")
            .arg(data)
            .args(["-p", &port.to_string()])
            .current_dir(folder);
        for setting in [
            "listen_addresses=127.0.0.1",
            // No socket: the path of a deep state folder would be too long for one.
            "unix_socket_directories=",
            "timezone=UTC",
            "log_timezone=UTC",
            // Tests run side by side, each with connections of its own.
            "max_connections=200",
            // Quick to test with. A crash of the machine may cost the data, a kill does not.
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ] {
            command.args(["-c", setting]);
        }
        let server = Server::start("PostgreSQL", command, Signal::SIGINT, &folder.join("log"))?;
        let mut postgres = Postgres { server, port };
        match postgres.ready(data).await {
            Ok(()) => Ok(postgres),
            Err(error) => {
                // What went wrong is told; that it had to be stopped as well adds nothing.
                _ = postgres.stop().await;
                Err(error)
            }
        }
    }
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The user that the server runs as: it refuses to be root's.
fn server_user() -> anyhow::Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name).with_context(|| format!("look up user {name}"))? {
            return Ok(Some(user));
        }
    }
    bail!("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

fn folders(search_path: &OsStr) -> Vec<PathBuf> {
    let on_path =
        std::env::split_paths(search_path).filter(|folder| folder.join("postgres").is_file());
    let mut debian: Vec<PathBuf> = std::fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("postgres").is_file())
        .collect();
    debian.sort_by_key(|folder| {
        let version = folder
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    on_path.chain(debian).collect()
}

/// Major version, as in `PG_VERSION`.
async fn version(folder: &Path) -> Option<String> {
    let output = tokio::process::Command::new(folder.join("postgres"))
        .arg("--version")
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let number = text
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(number.split('.').next()?.to_owned())
}

/// The server of a devstack that was killed goes by itself, but not within the same instant.
async fn wait_for_predecessor(data: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let pid_file = data.join("postmaster.pid");
    let mut told = false;
    loop {
        let Ok(text) = std::fs::read_to_string(&pid_file) else {
            return Ok(());
        };
        let pid = text.lines().next().unwrap_or_default().trim();
        let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let needle = data.as_os_str().as_encoded_bytes();
        if !command_line
            .windows(needle.len())
            .any(|window| window == needle)
        {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the PostgreSQL of an earlier devstack, process {pid}, still uses {}",
            data.display()
        );
        if !std::mem::replace(&mut told, true) {
            tracing::info!("waiting for the PostgreSQL of an earlier devstack to stop");
        }
        sleep(POLL).await;
    }
}
