//! The connection to Postgres: TLS as `sslmode` asks for, session settings, and errors that say what to do.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use common::{
    database_tls,
    database_url::{DatabaseUrl, TlsPolicy},
    task::Refused,
};
use secrecy::ExposeSecret as _;
use tokio_postgres::{Client, Config, config::SslMode, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{debug, warn};

/// Supabase's transaction pooler: it gives every statement to another session.
const TRANSACTION_POOLER: u16 = 6543;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Waits before the second and the third try.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Opens a session that writes and reads numbers and times without loss.
///
/// # Errors
/// Refused credentials, a database that is not there and the transaction pooler are [`Refused`]; a server
/// that cannot be reached is not, after three tries.
pub async fn connect(url: &DatabaseUrl, statement_timeout: Duration) -> anyhow::Result<Client> {
    if url.port == TRANSACTION_POOLER && !is_loopback(&url.host) {
        bail!(Refused::new(format!(
            "{}:{TRANSACTION_POOLER} is a transaction pooler, which keeps no session and no prepared statement: \
             use the session pooler, the same host with port 5432",
            url.host
        )));
    }
    let mut config: Config = url.clean.expose_secret().parse().map_err(|_| {
        anyhow!(Refused::new(
            "DATABASE_URL has an option that the loader does not know"
        ))
    })?;
    config
        .application_name("strava-load")
        .connect_timeout(CONNECT_TIMEOUT)
        .ssl_mode(match url.tls {
            TlsPolicy::Disable => SslMode::Disable,
            TlsPolicy::Prefer => SslMode::Prefer,
            TlsPolicy::Require | TlsPolicy::VerifyCa | TlsPolicy::VerifyFull => SslMode::Require,
        });
    let tls = MakeRustlsConnect::new(database_tls::client_config(
        url.tls,
        url.root_cert.as_deref(),
    )?);
    let mut waits = RETRY_AFTER.iter();
    let client = loop {
        let error = match config.connect(tls.clone()).await {
            Ok((client, connection)) => {
                // Text that the database cannot hold would end a load halfway.
                if let Some(encoding) = connection
                    .parameter("server_encoding")
                    .filter(|encoding| *encoding != "UTF8")
                {
                    bail!(Refused::new(format!(
                        "the database is encoded in {encoding}: UTF8 is needed"
                    )));
                }
                tokio::spawn(async move {
                    if let Err(error) = connection.await {
                        debug!(error = %error, "the connection to the database ended");
                    }
                });
                break client;
            }
            Err(error) => explained(error, url),
        };
        match waits.next() {
            Some(wait) if !common::task::is_refused(&error) => {
                warn!(
                    error = format!("{error:#}"),
                    "could not reach the database, trying again"
                );
                tokio::time::sleep(*wait).await;
            }
            _ => return Err(error),
        }
    };
    let settings = format!(
        "set statement_timeout = {}; set idle_in_transaction_session_timeout = 0; set extra_float_digits = 1; \
         set search_path = ''; set timezone = 'UTC'; set datestyle = 'ISO'; set client_min_messages = warning",
        statement_timeout.as_millis()
    );
    client
        .batch_execute(&settings)
        .await
        .context("set up the database session")?;
    Ok(client)
}

/// What a failed connection means for the person who started the program.
fn explained(error: tokio_postgres::Error, url: &DatabaseUrl) -> anyhow::Error {
    let at = format!(
        "connect to the database at {}:{} as {}",
        url.host, url.port, url.user
    );
    let text = error
        .as_db_error()
        .map_or_else(String::new, |error| error.message().to_owned());
    let is = |state: &SqlState| error.code() == Some(state);
    let hint = if is(&SqlState::INVALID_PASSWORD)
        || is(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    {
        "the user or its password is refused: correct DATABASE_URL (a pooler learns a new password after some minutes)"
    } else if is(&SqlState::INVALID_CATALOG_NAME) {
        "there is no such database: correct the name at the end of DATABASE_URL"
    } else if text.to_ascii_lowercase().contains("tenant") {
        "the pooler does not know this project: it is paused (restore it in the dashboard), or host or user \
         (role.<project>) are not those of Dashboard > Connect"
    } else if format!("{error:?}").contains("InvalidCertificate") {
        "the server's certificate does not pass: sslmode and sslrootcert of DATABASE_URL say what is accepted"
    } else if url.host.ends_with(".supabase.co") && format!("{error:?}").contains("lookup") {
        return anyhow!(error)
            .context("a paused project has no address: restore it in the dashboard")
            .context(at);
    } else {
        return anyhow!(error).context(at);
    };
    anyhow!(error).context(Refused::new(hint)).context(at)
}

/// Adds what to do to an error of a statement.
pub fn advised(error: anyhow::Error) -> anyhow::Error {
    let state = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<tokio_postgres::Error>()?.code());
    let advice = match state {
        Some(state) if *state == SqlState::DISK_FULL => {
            "the database's disk is full: make room, then load again"
        }
        Some(state) if *state == SqlState::READ_ONLY_SQL_TRANSACTION => {
            "the database is read-only: Supabase does so when the disk is nearly full"
        }
        Some(state) if *state == SqlState::QUERY_CANCELED => {
            "the statement was cancelled, by hand or by --statement-timeout"
        }
        Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE => {
            return error.context(Refused::new(
                "the user of DATABASE_URL may not do that: grant it",
            ));
        }
        _ => return error,
    };
    error.context(advice)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
