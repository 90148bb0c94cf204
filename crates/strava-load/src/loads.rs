//! The loader's own schema `strava_load`: which files were loaded into which table, and what came of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context as _, bail};
use common::task::Refused;
use tokio_postgres::{Client, Row};

use crate::{
    columns::Columns,
    handover::FileCount,
    landed::{File, PendingFile, Promise},
    lattice::Type,
    names,
};

/// The version of the schema that this program writes.
const VERSION: i32 = 1;

const SCHEMA: &str = include_str!("loads.sql");

/// A table that is loaded into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub schema: String,
    pub name: String,
    /// The columns that rows are merged by, as SQL wants them.
    pub key: &'static str,
}

impl Table {
    /// The name as SQL wants it.
    pub fn quoted(&self) -> String {
        format!(
            "{}.{}",
            names::quoted(&self.schema),
            names::quoted(&self.name)
        )
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Makes two loaders of one table queue: the lock lasts until the transaction ends.
pub async fn lock(client: &Client, table: &str) -> anyhow::Result<()> {
    let name = format!("strava-load {table}");
    client
        .execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))",
            &[&name],
        )
        .await
        .with_context(|| format!("wait for another loader of {table}"))?;
    Ok(())
}

/// What the schema says of itself; `None` where it is not there.
pub async fn version(client: &Client) -> anyhow::Result<Option<i32>> {
    let there = client
        .query_one("select to_regclass('strava_load.version') is not null", &[])
        .await
        .context("look for the schema strava_load")?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = client
        .query_one("select max(version) from strava_load.version", &[])
        .await
        .context("read the version of the schema strava_load")?;
    let version: i32 = row.get(0);
    if version > VERSION {
        bail!(Refused::new(format!(
            "the schema strava_load is of version {version}, this program knows {VERSION}: update the program"
        )));
    }
    Ok(Some(version))
}

/// Makes the schemas where they are missing; inside the caller's transaction.
pub async fn prepare(client: &Client, table: &Table) -> anyhow::Result<()> {
    if version(client).await?.is_none() {
        lock(client, "strava_load.version").await?;
        if version(client).await?.is_none() {
            client
                .batch_execute(SCHEMA)
                .await
                .context("make the schema strava_load")?;
        }
    }
    // Asking first: `create schema if not exists` wants the right to create even where it exists.
    let there = client
        .query_one(
            "select exists (select from pg_namespace where nspname = $1)",
            &[&table.schema],
        )
        .await?;
    if !there.get::<_, bool>(0) {
        let sql = format!(
            "create schema if not exists {}",
            names::quoted(&table.schema)
        );
        client
            .batch_execute(&sql)
            .await
            .with_context(|| format!("make the schema {}", table.schema))?;
    }
    Ok(())
}

/// What was loaded into a table before.
#[derive(Debug, Default)]
pub struct Known {
    pub manifests: HashSet<String>,
    /// Size by key and sha256.
    pub files: HashMap<(String, String), u64>,
}

/// The records of a table; those of one that is gone go too, since they speak of rows that nobody has.
pub async fn known(client: &Client, table: &Table, exists: bool) -> anyhow::Result<Known> {
    let of_table: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&table.schema, &table.name];
    if !exists {
        for records in ["loads", "rejects", "columns", "manifests"] {
            let sql = format!(
                "delete from strava_load.{records} where table_schema = $1 and table_name = $2"
            );
            client
                .execute(&sql, &of_table)
                .await
                .context("forget the loads of a table that is gone")?;
        }
        return Ok(Known::default());
    }
    let manifests = client
        .query(
            "select manifest_key from strava_load.manifests where table_schema = $1 and table_name = $2",
            &of_table,
        )
        .await
        .context("read which manifests were loaded")?;
    let files = client
        .query(
            "select source_key, source_sha256, source_bytes from strava_load.loads where table_schema = $1 and table_name = $2",
            &of_table,
        )
        .await
        .context("read which files were loaded")?;
    Ok(Known {
        manifests: manifests.iter().map(|row| row.get(0)).collect(),
        files: files
            .iter()
            .map(|row| ((row.get(0), row.get(1)), bytes(row.get(2))))
            .collect(),
    })
}

fn bytes(stored: i64) -> u64 {
    stored.unsigned_abs()
}

/// Takes so many numbers for loads.
pub async fn next_ids(client: &Client, count: usize) -> anyhow::Result<Vec<i64>> {
    let rows = client
        .query(
            "select nextval(pg_get_serial_sequence('strava_load.loads', 'load_id')) from generate_series(1, $1::bigint)",
            &[&(count as i64)],
        )
        .await
        .context("number the loads")?;
    let mut ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Loaded files with something newer than a file that comes only now: of the same athlete, and of the same
/// origin or with tombstones, which speak of every origin. With their numbers.
pub async fn newer(
    client: &Client,
    table: &Table,
    files: &[PendingFile],
    counts: &BTreeMap<i64, FileCount>,
) -> anyhow::Result<Vec<(i64, File)>> {
    let mut since = BTreeMap::new();
    for (pending, count) in files.iter().zip(counts.values()) {
        if let Some((from, _)) = count.fetched {
            let since = since.entry(&pending.lineage).or_insert(from);
            *since = from.min(*since);
        }
    }
    let athletes: Vec<Option<&str>> = since.keys().map(|it| it.athlete_id.as_deref()).collect();
    let origins: Vec<&str> = since.keys().map(|it| it.origin.as_str()).collect();
    let since: Vec<i64> = since.values().copied().collect();
    let rows = client
        .query(
            "select distinct on (load_id) load_id, source_key, source_sha256, source_bytes, rows_read \
             from strava_load.loads l join unnest($3::text[], $4::text[], $5::bigint[]) as late (athlete_id, origin, since) \
             on l.athlete_id is not distinct from late.athlete_id and (l.origin = late.origin or l.tombstones > 0) \
             and l.fetched_until > timestamptz '2000-01-01 00:00:00+00' + late.since * interval '1 microsecond' \
             where table_schema = $1 and table_name = $2 order by load_id",
            &[&table.schema, &table.name, &athletes, &origins, &since],
        )
        .await
        .context("look for newer files that were loaded before")?;
    let file = |row: &Row| File {
        key: row.get(1),
        bytes: bytes(row.get(3)),
        promise: Some(Promise {
            sha256: row.get(2),
            rows: row.get::<_, i64>(4).unsigned_abs(),
        }),
    };
    Ok(rows.iter().map(|row| (row.get(0), file(row))).collect())
}

/// A file's way into the table.
#[derive(Clone, Debug)]
pub struct Load {
    pub load_id: i64,
    pub pending: PendingFile,
    pub sha256: String,
    pub count: FileCount,
    pub inserted: i64,
    pub updated: i64,
    pub deleted: i64,
}

impl Load {
    /// Rows that the table had already, in this content or a newer one.
    pub fn unchanged(&self) -> i64 {
        let written = self.inserted + self.updated;
        let live = (self.count.rows_read - self.count.rejected - self.count.tombstones) as i64;
        // A row may also take the mark off rows of another origin.
        (live - written).max(0)
    }
}

/// Writes the records of this transaction's loads.
pub async fn record(
    client: &Client,
    table: &Table,
    run_id: &str,
    started_at: &str,
    loads: &[Load],
    manifests: &[String],
) -> anyhow::Result<()> {
    let of = |value: fn(&Load) -> i64| loads.iter().map(value).collect::<Vec<i64>>();
    let text = |value: fn(&Load) -> &str| loads.iter().map(value).collect::<Vec<_>>();
    let fetched = |end: fn((i64, i64)) -> i64| {
        loads
            .iter()
            .map(|load| load.count.fetched.map(end))
            .collect::<Vec<Option<i64>>>()
    };
    let athletes: Vec<Option<&str>> = loads
        .iter()
        .map(|load| load.pending.lineage.athlete_id.as_deref())
        .collect();
    client
        .execute(
            "insert into strava_load.loads (table_schema, table_name, mode, run_id, started_at, finished_at, load_id, \
             source_key, source_sha256, source_bytes, rows_read, inserted, updated, unchanged, deleted, rejected, \
             tombstones, fetched_from, fetched_until, athlete_id, origin) \
             select $1, $2, 'sync', $3, $4::text::timestamptz, clock_timestamp(), load_id, key, sha256, bytes, rows_read, \
             inserted, updated, unchanged, deleted, rejected, tombstones, \
             timestamptz '2000-01-01 00:00:00+00' + fetched_from * interval '1 microsecond', \
             timestamptz '2000-01-01 00:00:00+00' + fetched_until * interval '1 microsecond', \
             athlete_id, origin from unnest($5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], \
             $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::text[], $19::text[]) \
             as load (load_id, key, sha256, bytes, rows_read, inserted, updated, unchanged, deleted, rejected, \
             tombstones, fetched_from, fetched_until, athlete_id, origin)",
            &[
                &table.schema,
                &table.name,
                &run_id,
                &started_at,
                &of(|load| load.load_id),
                &text(|load| &load.pending.file.key),
                &text(|load| &load.sha256),
                &of(|load| load.pending.file.bytes as i64),
                &of(|load| load.count.rows_read as i64),
                &of(|load| load.inserted),
                &of(|load| load.updated),
                &of(Load::unchanged),
                &of(|load| load.deleted),
                &of(|load| load.count.rejected as i64),
                &of(|load| load.count.tombstones as i64),
                &fetched(|(from, _)| from),
                &fetched(|(_, until)| until),
                &athletes,
                &text(|load| &load.pending.lineage.origin),
            ],
        )
        .await
        .context("record the loads")?;
    client
        .execute(
            "insert into strava_load.manifests (table_schema, table_name, manifest_key) \
             select $1, $2, * from unnest($3::text[]) on conflict do nothing",
            &[&table.schema, &table.name, &manifests],
        )
        .await
        .context("record the manifests")?;
    Ok(())
}

/// Keeps which path each column came from.
pub async fn record_columns(
    client: &Client,
    table: &Table,
    columns: &Columns,
    load_id: i64,
) -> anyhow::Result<()> {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let paths: Vec<&str> = columns.iter().map(|column| column.path.as_str()).collect();
    let kinds: Vec<String> = columns
        .iter()
        .map(|column| column.kind.to_string())
        .collect();
    let of_table = "table_schema = $1 and table_name = $2";
    // A column that moved for a top-level key would meet its successor's name.
    let sql = format!(
        "delete from strava_load.columns c using unnest($3::text[], $4::text[]) as now (name, path) \
         where {of_table} and column_name = now.name and original_path <> now.path"
    );
    client
        .execute(&sql, &[&table.schema, &table.name, &names, &paths])
        .await
        .context("record the columns")?;
    client
        .execute(
            "insert into strava_load.columns as c \
             (table_schema, table_name, column_name, original_path, data_type, first_load_id) \
             select $1, $2, *, $6 from unnest($3::text[], $4::text[], $5::text[]) \
             on conflict (table_schema, table_name, column_name) do update set data_type = excluded.data_type \
             where c.data_type <> excluded.data_type",
            &[&table.schema, &table.name, &names, &paths, &kinds, &load_id],
        )
        .await
        .context("record the columns")?;
    Ok(())
}

/// The payload's columns of a table that exists, with the types that it has now.
pub async fn columns(client: &Client, table: &Table) -> anyhow::Result<Columns> {
    let rows = client
        .query(
            "select a.attname, format_type(a.atttypid, a.atttypmod), c.original_path \
             from pg_attribute a \
             left join strava_load.columns c on c.table_schema = $1 and c.table_name = $2 and c.column_name = a.attname \
             where a.attrelid = format('%I.%I', $1::text, $2::text)::regclass and a.attnum > 0 and not a.attisdropped \
             order by a.attnum",
            &[&table.schema, &table.name],
        )
        .await
        .with_context(|| format!("read the columns of {table}"))?;
    let mut columns = Columns::new();
    for row in rows {
        let (name, kind, path): (String, String, Option<String>) =
            (row.get(0), row.get(1), row.get(2));
        match (path, Type::from_sql(&kind)) {
            (Some(path), Some(kind)) => columns.keep(path, name, kind),
            (Some(path), None) => bail!(Refused::new(format!(
                "column {name} of {table} is {kind}, which the loader does not write (it came from {path}): \
                 give it one of the loader's types, or drop it"
            ))),
            (None, _) => columns.avoid(name),
        }
    }
    Ok(columns)
}
