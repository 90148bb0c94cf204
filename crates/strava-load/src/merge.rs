//! From the staging table into the target: only what differs is written.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tokio_postgres::{Client, Row, error::SqlState};
use tracing::info;

use crate::{
    columns::{Change, Columns},
    lattice::{Scalar, Type},
    loads::Table,
    names::quoted,
    staging::{definitions, deleted_index, statements},
    views,
};

/// Newest first, and of the same time the one that came last.
const NEWEST: &str = "\"_fetched_at\" desc, \"_load_id\" desc, \"_source_row\" desc";

/// What a merge wrote, by load.
#[derive(Debug, Default)]
pub struct Written {
    pub inserted: BTreeMap<i64, i64>,
    pub updated: BTreeMap<i64, i64>,
    pub deleted: BTreeMap<i64, i64>,
}

/// What the target went through; DDL as it was executed.
#[derive(Debug, Default)]
pub struct Shaped {
    pub ddl: Vec<String>,
    pub added: u64,
    pub widened: u64,
}

/// Gives a table that was filled directly its key; rows that are there twice go, the newest stays.
///
/// Returns how many rows of each load went.
pub async fn finish_new(client: &Client, target: &Table) -> anyhow::Result<BTreeMap<i64, i64>> {
    let table = target.quoted();
    let key = format!("alter table {table} add primary key ({})", target.key);
    client
        .batch_execute("savepoint without_key")
        .await
        .context("make the primary key")?;
    let mut removed = BTreeMap::new();
    if let Err(error) = client.batch_execute(&key).await {
        if error.code() != Some(&SqlState::UNIQUE_VIOLATION) {
            return Err(error).context("make the primary key");
        }
        client
            .batch_execute("rollback to savepoint without_key")
            .await
            .context("make the primary key")?;
        removed = remove_older(client, &table, target.key).await?;
        client
            .batch_execute(&key)
            .await
            .context("make the primary key")?;
    }
    Ok(removed)
}

async fn remove_older(
    client: &Client,
    table: &str,
    key: &str,
) -> anyhow::Result<BTreeMap<i64, i64>> {
    let sql = format!(
        "with ranked as (select ctid, row_number() over (partition by {key} order by {NEWEST}) as rank \
         from {table} where not \"_deleted\"), \
         gone as (delete from {table} t using ranked r where t.ctid = r.ctid and r.rank > 1 returning t.\"_load_id\") \
         select \"_load_id\", count(*) from gone group by 1"
    );
    let rows = client
        .query(&sql, &[])
        .await
        .context("remove older rows of the same key")?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Gives the target the columns that the staging table has, or makes it.
pub async fn shape(
    client: &Client,
    target: &Table,
    staging: &str,
    before: Option<&Columns>,
    after: &mut Columns,
) -> anyhow::Result<Shaped> {
    let table = target.quoted();
    let Some(before) = before else {
        let mut create = definitions(after);
        create.push(format!("primary key ({})", target.key));
        let ddl = vec![
            format!("create table {table} ({})", create.join(", ")),
            deleted_index(&table),
        ];
        for sql in &ddl {
            client
                .batch_execute(sql)
                .await
                .with_context(|| format!("make {target}"))?;
        }
        return Ok(Shaped {
            ddl,
            added: after.len() as u64,
            widened: 0,
        });
    };
    let known: BTreeMap<&str, (&str, Type)> = before
        .iter()
        .map(|column| (column.path.as_str(), (column.name.as_str(), column.kind)))
        .collect();
    let (mut changes, mut staging_changes, mut retyped) = (Vec::new(), Vec::new(), Vec::new());
    for index in 0..after.len() {
        let column = after.at(index);
        let Some(&(name, from)) = known.get(column.path.as_str()) else {
            changes.push(Change::Add {
                name: column.name.clone(),
                kind: column.kind,
            });
            continue;
        };
        if name != column.name {
            changes.push(Change::Rename {
                from: name.to_owned(),
                to: column.name.clone(),
            });
        }
        if from.to_string() == column.kind.to_string() {
            continue;
        }
        // The staged rows allow a double; those in the target may hold integers that it would round.
        if let Some(exact) = exact_instead(from, column.kind)
            && has_wide_integers(client, &table, name, from).await?
        {
            let change = Change::Retype {
                name: column.name.clone(),
                from: column.kind,
                to: exact,
            };
            staging_changes.push(change);
            column.kind = exact;
        }
        retyped.push(name.to_owned());
        changes.push(Change::Retype {
            name: name.to_owned(),
            from,
            to: column.kind,
        });
    }
    for sql in statements(staging, &staging_changes) {
        client
            .batch_execute(&sql)
            .await
            .context("widen the staging table")?;
    }
    let added = changes
        .iter()
        .filter(|change| matches!(change, Change::Add { .. }))
        .count() as u64;
    let widened = retyped.len() as u64;
    let alter = statements(&table, &changes);
    let ddl = views::keep(client, target, &retyped, alter).await?;
    if !ddl.is_empty() {
        info!(table.name = %target, columns.added = added, columns.widened = widened, "changed the columns of {target}");
    }
    Ok(Shaped {
        ddl,
        added,
        widened,
    })
}

fn exact_instead(from: Type, to: Type) -> Option<Type> {
    match (from, to) {
        (Type::One(Scalar::Bigint), Type::One(Scalar::Double)) => Some(Type::One(Scalar::Numeric)),
        (Type::Many(Scalar::Bigint), Type::Many(Scalar::Double)) => {
            Some(Type::Many(Scalar::Numeric))
        }
        _ => None,
    }
}

async fn has_wide_integers(
    client: &Client,
    table: &str,
    name: &str,
    kind: Type,
) -> anyhow::Result<bool> {
    let name = quoted(name);
    let from = match kind {
        Type::Many(_) => format!("{table}, unnest({name}) as held (value)"),
        _ => format!("(select {name} as value from {table}) as held"),
    };
    let bound = 1_i64 << 53;
    let sql = format!(
        "select exists (select from {from} where held.value not between -{bound} and {bound})"
    );
    let row = client
        .query_one(&sql, &[])
        .await
        .context("look for integers beyond 2^53")?;
    Ok(row.get(0))
}

/// Writes rows that are new or differ, then what is known of deletions; drops the staging table.
pub async fn merge(
    client: &Client,
    target: &Table,
    staging: &str,
    columns: &Columns,
    loaded_at: i64,
    hard_delete: bool,
) -> anyhow::Result<Written> {
    let table = target.quoted();
    let doubled = format!(
        "select exists (select from {staging} where not \"_deleted\" group by {} having count(*) > 1)",
        target.key
    );
    let doubled = client
        .query_one(&doubled, &[])
        .await
        .context("look for rows of the same key")?;
    if doubled.get(0) {
        remove_older(client, staging, target.key).await?;
    }
    let mut written = Written::default();
    let rows = client
        .query(&upsert(&table, target.key, staging, columns), &[])
        .await;
    for row in rows.with_context(|| format!("merge into {target}"))? {
        let load_id: i64 = row.get(0);
        written.inserted.insert(load_id, row.get(1));
        written.updated.insert(load_id, row.get(2));
    }
    for action in [
        hard_delete.then(|| remove(&table)),
        Some(mark(&table, loaded_at)),
    ]
    .into_iter()
    .flatten()
    {
        let sql = by_newest_word(&table, staging, &action);
        for row in client
            .query(&sql, &[])
            .await
            .with_context(|| format!("mark deleted rows of {target}"))?
        {
            count(&mut written, &row);
        }
    }
    client
        .batch_execute(&format!("drop table {staging}"))
        .await
        .context("drop the staging table")?;
    Ok(written)
}

fn count(written: &mut Written, row: &Row) {
    let (load_id, deleted, rows): (i64, bool, i64) = (row.get(0), row.get(1), row.get(2));
    let counts = if deleted {
        &mut written.deleted
    } else {
        &mut written.updated
    };
    *counts.entry(load_id).or_default() += rows;
}

/// Rows that the table has in this content, or in a newer one, are found by their hash and left alone.
fn upsert(table: &str, key: &str, staging: &str, columns: &Columns) -> String {
    let names = columns.quoted_names();
    let set: Vec<String> = names
        .iter()
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    let names = names.join(", ");
    let same = same_key(key, "t", "s");
    format!(
        "with written as (insert into {table} as t ({names}) select {names} from {staging} s \
         where not s.\"_deleted\" and not exists (select from {table} t where {same} \
         and (t.\"_row_hash\" = s.\"_row_hash\" or t.\"_fetched_at\" > s.\"_fetched_at\")) \
         on conflict ({key}) do update set {} returning t.\"_load_id\", t.xmax = 0 as fresh) \
         select \"_load_id\", count(*) filter (where fresh), count(*) filter (where not fresh) from written group by 1",
        set.join(", ")
    )
}

fn same_key(key: &str, a: &str, b: &str) -> String {
    let equal = |name| format!("{a}.{name} = {b}.{name}");
    key.split(", ").map(equal).collect::<Vec<_>>().join(" and ")
}

/// A tombstone marks the rows, a later row takes the mark away.
fn mark(table: &str, loaded_at: i64) -> String {
    format!(
        "update {table} t set \"_deleted\" = w.\"_deleted\", \"_load_id\" = w.\"_load_id\", \
         \"_loaded_at\" = timestamptz '2000-01-01 00:00:00+00' + {loaded_at} * interval '1 microsecond' \
         from word w where t.\"_deleted\" <> w.\"_deleted\""
    )
}

fn remove(table: &str) -> String {
    format!("delete from {table} t using word w where w.\"_deleted\"")
}

/// The newest word on each id decides over the rows of every origin, unless the table has a newer one.
fn by_newest_word(table: &str, staging: &str, action: &str) -> String {
    format!(
        "with word as (select distinct on (\"_athlete_id\", \"_id\") \"_athlete_id\", \"_id\", \"_deleted\", \
         \"_fetched_at\", \"_load_id\" from {staging} \
         where (\"_athlete_id\", \"_id\") in (select \"_athlete_id\", \"_id\" from {staging} where \"_deleted\" \
         union all select \"_athlete_id\", \"_id\" from {table} where \"_deleted\") order by \"_athlete_id\", \"_id\", \"_fetched_at\" desc, \"_deleted\" desc), \
         done as ({action} and t.\"_athlete_id\" = w.\"_athlete_id\" and t.\"_id\" = w.\"_id\" \
         and (not w.\"_deleted\" or not exists (select from {table} n where n.\"_athlete_id\" = w.\"_athlete_id\" \
         and n.\"_id\" = w.\"_id\" and n.\"_fetched_at\" > w.\"_fetched_at\")) \
         returning w.\"_load_id\", w.\"_deleted\") \
         select \"_load_id\", \"_deleted\", count(*) from done group by 1, 2"
    )
}
