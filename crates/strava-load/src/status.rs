//! What is loaded: rows, sizes, loads and last times of each table.

use anyhow::Context as _;
use common::task::Closing;
use serde_json::{Map, Value, json};
use tokio_postgres::Client;

use crate::{loads, names::quoted};

/// Prints a line a table, or all of it as one line of JSON.
pub async fn run(client: &Client, as_json: bool) -> anyhow::Result<Closing> {
    let mut tables = Map::new();
    if loads::version(client).await?.is_some() {
        let sql = "select l.table_schema, l.table_name, count(*), sum(rows_read)::bigint, sum(rejected)::bigint, \
            to_char(max(finished_at) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
            to_char(max(fetched_until) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
            pg_table_size(c.oid), pg_indexes_size(c.oid) \
            from strava_load.loads l \
            join pg_namespace n on n.nspname = l.table_schema \
            join pg_class c on c.relnamespace = n.oid and c.relname = l.table_name \
            group by 1, 2, c.oid order by 1, 2";
        for row in client.query(sql, &[]).await.context("read the loads")? {
            let (schema, name): (String, String) = (row.get(0), row.get(1));
            let count = format!(
                "select count(*), count(*) filter (where \"_deleted\") from {}.{}",
                quoted(&schema),
                quoted(&name)
            );
            let counted = client
                .query_one(&count, &[])
                .await
                .with_context(|| format!("count the rows of {schema}.{name}"))?;
            let number = |index: usize| row.get::<_, i64>(index);
            let text = |index: usize| row.get::<_, Option<&str>>(index);
            tables.insert(
                format!("{schema}.{name}"),
                json!({
                    "rows": counted.get::<_, i64>(0), "deleted": counted.get::<_, i64>(1), "loads": number(2),
                    "rows_read": number(3), "rejected": number(4), "last_load": text(5), "fetched_until": text(6),
                    "table_bytes": number(7), "index_bytes": number(8),
                }),
            );
        }
    }
    if as_json {
        common::task::print(Value::Object(tables.clone()));
    } else {
        tables
            .iter()
            .for_each(|(table, counts)| common::task::print(line(table, counts)));
    }
    Ok(Closing::done(Map::from_iter([(
        "tables".to_owned(),
        Value::from(tables.len()),
    )])))
}

fn line(table: &str, counts: &Value) -> String {
    let mebibytes =
        |name: &str| counts[name].as_i64().unwrap_or_default() as f64 / f64::from(1 << 20);
    let text = |name: &str| counts[name].as_str().unwrap_or("never").to_owned();
    format!(
        "{table}: {} rows ({} deleted), {} rejected, {} loads, the last {}, fetched until {}, {:.1} MiB and {:.1} MiB of indexes",
        counts["rows"],
        counts["deleted"],
        counts["rejected"],
        counts["loads"],
        text("last_load"),
        text("fetched_until"),
        mebibytes("table_bytes"),
        mebibytes("index_bytes"),
    )
}
