//! S3 and SSM by moto, in memory, on a free loopback port.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;
use reqwest::{Client, Method, StatusCode};
use tokio::time::{Instant, sleep};

use crate::child::{self, Server};
use crate::python;
use crate::state::State;
use crate::world::free_port;

const REGION: &str = "eu-central-1";
const BUCKET: &str = "data-voyager";
const ACCESS_KEY_ID: &str = "AKIAPLANTEDDEVSTACK0";
const SECRET_ACCESS_KEY: &str = "planted-aws-secret-access-key-5d21";

const READY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// A server that answers and is the one that was started, with a bucket.
#[derive(Debug)]
pub struct Aws {
    server: Server,
    port: u16,
}

impl Aws {
    /// Starts `moto_server` of a Python environment: `python`, or the `.venv` that is nearest
    /// above the current folder.
    pub async fn start(state: &State, python: Option<&Path>) -> anyhow::Result<Self> {
        let program = python::program(python, "moto_server")?;
        let folder = state.of_service("aws")?;
        let port = free_port()?;
        // Answers carry the account, so a random one tells this server from any other.
        let account = format!("{:012}", fastrand::u64(100_000_000_000..1_000_000_000_000));
        let mut command = child::command(program, None, Signal::SIGTERM);
        command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_ACCOUNT_ID", &account)
            .current_dir(&folder);
        let server = Server::start("moto", command, Signal::SIGTERM, &folder.join("log"))?;
        let mut aws = Self { server, port };
        match aws.ready(&account).await.context("start moto") {
            Ok(()) => Ok(aws),
            Err(error) => {
                // What went wrong is told; that it had to be stopped as well adds nothing.
                _ = aws.stop().await;
                Err(error)
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
        vec![
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
            ("DEVSTACK_BUCKET", BUCKET.to_owned()),
        ]
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.server.stop().await
    }

    fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    async fn ready(&mut self, account: &str) -> anyhow::Result<()> {
        let client = Client::builder()
            .no_proxy()
            .build()
            .context("make an HTTP client")?;
        let deadline = Instant::now() + READY_TIMEOUT;
        let identity = loop {
            self.server.check()?;
            let body = "Action=GetCallerIdentity&Version=2011-06-15";
            match self.call(&client, "sts", Method::POST, "/", body).await {
                Ok((_, answer)) => break answer,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("moto did not answer within 60 s");
                }
                Err(_) => sleep(POLL).await,
            }
        };
        let account = format!("<Account>{account}</Account>");
        ensure!(
            identity.contains(&account),
            "another server answers on {}",
            self.address()
        );

        let body = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint>\
             </CreateBucketConfiguration>"
        );
        let (status, answer) = self
            .call(&client, "s3", Method::PUT, &format!("/{BUCKET}"), &body)
            .await?;
        ensure!(
            status.is_success(),
            "make bucket {BUCKET}: {status}: {answer}"
        );
        Ok(())
    }

    /// moto reads service and region from the signature's scope and does not check the signature.
    async fn call(
        &self,
        client: &Client,
        service: &str,
        method: Method,
        path: &str,
        body: &str,
    ) -> anyhow::Result<(StatusCode, String)> {
        let scope = format!("{ACCESS_KEY_ID}/20260101/{REGION}/{service}/aws4_request");
        let form = if service == "s3" {
            "application/xml"
        } else {
            "application/x-www-form-urlencoded"
        };
        let answer = client
            .request(method, format!("{}{path}", self.url()))
            .header("content-type", form)
            .header(
                "authorization",
                format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"),
            )
            .body(body.to_owned())
            .send()
            .await?;
        Ok((answer.status(), answer.text().await?))
    }
}
