//! Whether a load could begin: landing place, database, rights.

use anyhow::{Context as _, bail};
use common::{
    check::{Check, Finding},
    storage::LandingUrl,
    task::Refused,
};
use tokio_postgres::Client;

use crate::loads;

/// The oldest PostgreSQL that the loader's statements are written for.
const OLDEST: i32 = 140_000;

/// Looks at the landing place and, through the session that `connect` opens, at the database.
pub async fn run(
    landing: &LandingUrl,
    connect: impl Future<Output = anyhow::Result<Client>>,
) -> Vec<Finding> {
    let check = Check::begin();
    let (landing, mut findings) =
        tokio::join!(check.look_at_landing(landing), warehouse(check, connect));
    findings.insert(0, landing);
    findings
}

async fn warehouse(
    check: Check,
    connect: impl Future<Output = anyhow::Result<Client>>,
) -> Vec<Finding> {
    let mut session = None;
    let database = check.look("database", async {
        let client = connect.await?;
        let says = database(&client).await?;
        session = Some(client);
        Ok(says)
    });
    let mut findings = vec![database.await];
    if let Some(client) = session {
        for schema in ["strava", "weather", "strava_load"] {
            let look = check.look(format!("schema {schema}"), rights(&client, schema));
            findings.push(look.await);
        }
    }
    findings
}

async fn database(client: &Client) -> anyhow::Result<String> {
    let row = client
        .query_one(
            "select current_setting('server_version_num')::int, current_setting('server_version'), \
             pg_is_in_recovery(), current_user::text, current_database()::text, \
             (select ssl from pg_stat_ssl where pid = pg_backend_pid())",
            &[],
        )
        .await
        .context("ask the database about itself")?;
    let (number, version): (i32, &str) = (row.get(0), row.get(1));
    let (user, name): (&str, &str) = (row.get(3), row.get(4));
    if number < OLDEST {
        bail!(Refused::new(format!(
            "PostgreSQL {version} is too old: 14 or newer is needed"
        )));
    }
    if row.get(2) {
        bail!(Refused::new(
            "the database is a read-only standby: load into its primary"
        ));
    }
    let tls = if row.get::<_, Option<bool>>(5) == Some(true) {
        "with TLS"
    } else {
        "without TLS"
    };
    Ok(format!("PostgreSQL {version}, {name} as {user}, {tls}"))
}

async fn rights(client: &Client, schema: &str) -> anyhow::Result<String> {
    let row = client
        .query_one(
            "select (select has_schema_privilege(oid, 'usage, create') from pg_namespace where nspname = $1), \
             has_database_privilege(current_database(), 'create'), current_user::text",
            &[&schema],
        )
        .await
        .context("ask for rights")?;
    let (may_write, may_make): (Option<bool>, bool) = (row.get(0), row.get(1));
    let user: &str = row.get(2);
    match may_write {
        Some(true) => {}
        None if may_make => return Ok("will be made by the first load".to_owned()),
        Some(false) => bail!(Refused::new(format!(
            "{user} may not write schema {schema}: grant usage and create on it"
        ))),
        None => bail!(Refused::new(format!(
            "schema {schema} is missing and {user} may not make it: create schema {schema} authorization {user}"
        ))),
    }
    if schema == "strava_load" {
        loads::version(client).await?;
    }
    Ok("can be written".to_owned())
}
