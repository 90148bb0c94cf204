//! Whether a load could begin: landing place, database, rights; nothing is changed.

use anyhow::{Context as _, bail};
use common::{
    storage::Storage,
    task::{Closing, Refused, print},
};
use serde_json::Map;
use tokio_postgres::Client;

use crate::loads;

/// The oldest PostgreSQL that the loader's statements are written for.
const OLDEST: i32 = 140_000;

/// Prints what was found, one line each.
///
/// # Errors
/// The first thing that would keep a load from working.
pub async fn run(client: &Client, storage: &Storage) -> anyhow::Result<Closing> {
    storage.check().await?;
    print("landing: can be listed");
    let row = client
        .query_one(
            "select current_setting('server_version_num')::int, current_setting('server_version'), \
             current_setting('server_encoding'), pg_is_in_recovery(), \
             has_database_privilege(current_database(), 'create'), current_user::text, current_database()::text, \
             (select ssl from pg_stat_ssl where pid = pg_backend_pid())",
            &[],
        )
        .await
        .context("ask the database about itself")?;
    let (number, version, encoding): (i32, &str, &str) = (row.get(0), row.get(1), row.get(2));
    let (user, database): (&str, &str) = (row.get(5), row.get(6));
    if number < OLDEST {
        bail!(Refused::new(format!(
            "PostgreSQL {version} is too old: 14 or newer is needed"
        )));
    }
    if encoding != "UTF8" {
        bail!(Refused::new(format!(
            "database {database} is encoded in {encoding}: UTF8 is needed"
        )));
    }
    if row.get(3) {
        bail!(Refused::new(
            "the database is a read-only standby: load into its primary"
        ));
    }
    let tls = if row.get::<_, Option<bool>>(7) == Some(true) {
        "with TLS"
    } else {
        "without TLS"
    };
    print(format!(
        "database: PostgreSQL {version}, {database} as {user}, {tls}"
    ));
    let may_create: bool = row.get(4);
    for schema in ["strava", "strava_load"] {
        let rights = client
            .query_opt("select has_schema_privilege(oid, 'usage, create') from pg_namespace where nspname = $1", &[&schema])
            .await
            .context("ask for rights")?;
        match rights.map(|row| row.get::<_, bool>(0)) {
            Some(true) => print(format!("schema {schema}: can be written")),
            None if may_create => print(format!("schema {schema}: will be made by the first load")),
            Some(false) => bail!(Refused::new(format!(
                "{user} may not write schema {schema}: grant usage and create on it"
            ))),
            None => bail!(Refused::new(format!(
                "schema {schema} is missing and {user} may not make it: create schema {schema} authorization {user}"
            ))),
        }
    }
    loads::version(client).await?;
    Ok(Closing::done(Map::new()))
}
