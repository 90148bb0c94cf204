//! Whether a load could begin: landing place, database, rights; nothing is changed.

use anyhow::{Context as _, bail};
use common::{
    storage::Storage,
    task::{Closing, Refused, print},
};
use serde_json::{Map, Value};
use tokio_postgres::Client;

use crate::loads;

/// The oldest PostgreSQL that the loader's statements are written for.
const OLDEST: i32 = 140_000;

/// Prints what was found, one line each or all of it as one line of JSON.
///
/// # Errors
/// The first thing that would keep a load from working.
pub async fn run(client: &Client, storage: &Storage, as_json: bool) -> anyhow::Result<Closing> {
    let mut found = Map::new();
    let mut note = |what: &str, text: String| {
        if !as_json {
            print(format!("{what}: {text}"));
        }
        found.insert(what.to_owned(), text.into());
    };
    storage.check().await?;
    note("landing", "can be listed".to_owned());
    let row = client
        .query_one(
            "select current_setting('server_version_num')::int, current_setting('server_version'), \
             pg_is_in_recovery(), \
             has_database_privilege(current_database(), 'create'), current_user::text, current_database()::text, \
             (select ssl from pg_stat_ssl where pid = pg_backend_pid())",
            &[],
        )
        .await
        .context("ask the database about itself")?;
    let (number, version): (i32, &str) = (row.get(0), row.get(1));
    let (user, database): (&str, &str) = (row.get(4), row.get(5));
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
    let tls = if row.get::<_, Option<bool>>(6) == Some(true) {
        "with TLS"
    } else {
        "without TLS"
    };
    note(
        "database",
        format!("PostgreSQL {version}, {database} as {user}, {tls}"),
    );
    let may_create: bool = row.get(3);
    for schema in ["strava", "strava_load"] {
        let rights = client
            .query_opt("select has_schema_privilege(oid, 'usage, create') from pg_namespace where nspname = $1", &[&schema])
            .await
            .context("ask for rights")?;
        match rights.map(|row| row.get::<_, bool>(0)) {
            Some(true) => note(&format!("schema {schema}"), "can be written".to_owned()),
            None if may_create => note(
                &format!("schema {schema}"),
                "will be made by the first load".to_owned(),
            ),
            Some(false) => bail!(Refused::new(format!(
                "{user} may not write schema {schema}: grant usage and create on it"
            ))),
            None => bail!(Refused::new(format!(
                "schema {schema} is missing and {user} may not make it: create schema {schema} authorization {user}"
            ))),
        }
    }
    loads::version(client).await?;
    if as_json {
        print(Value::Object(found));
    }
    Ok(Closing::done(Map::new()))
}
