//! The stage: everything landed and not loaded yet goes into its table, one transaction a table.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use common::{
    landing::RunId,
    storage::Storage,
    task::{Closing, Stopped},
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    columns::Columns,
    feed::Beginning,
    folder::Folder,
    handover::{Fed, Halt, Tolerance},
    instant::EPOCH_MICROS,
    landed::{File, Landed},
    loads::{self, Load, Table},
    merge::{self, Shaped, Written},
    pipeline::{Filled, Pipeline},
    rejects::{MaxRejects, OnTypeConflict},
    staging::Staging,
    survey::Pins,
    warehouse,
};

/// How to load.
#[derive(Clone, Debug)]
pub struct Request {
    pub folders: Vec<Folder>,
    pub run_id: RunId,
    pub max_rejects: MaxRejects,
    pub on_type_conflict: OnTypeConflict,
    pub hard_delete: bool,
    /// Do everything, say what was done, and take it back.
    pub dry_run: bool,
}

/// Loads every folder of the request in which something landed.
///
/// # Errors
/// Nothing could be loaded, or the run was stopped. What went wrong with single tables or files is
/// the failure of the closing, and the others are loaded.
pub async fn run(
    client: &Client,
    storage: &Storage,
    request: &Request,
    stop: &CancellationToken,
) -> anyhow::Result<Closing> {
    let (mut tables, mut failures) = (Map::new(), Vec::new());
    let mut loaded_any = false;
    for folder in &request.folders {
        let table = folder.table();
        let load = TableLoad {
            client,
            storage,
            request,
            stop,
            folder: *folder,
            table: &table,
        };
        match load.run().await {
            Ok(None) => {}
            Ok(Some(outcome)) => {
                tables.insert(table.to_string(), outcome.counts());
                failures.extend(outcome.damaged.iter().map(|(voucher, why)| {
                    anyhow!("{why}; it is left out: land it again, or restore its files")
                        .context(format!("load {voucher}"))
                }));
                loaded_any = true;
            }
            Err(error) => {
                let error = warehouse::advised(error.context(format!("load {table}")));
                let over = common::task::is_refused(&error) || stop.is_cancelled();
                // Where the connection is lost, the database takes the load back by itself.
                if over || client.batch_execute("rollback").await.is_err() {
                    failures.insert(0, error);
                    break;
                }
                failures.push(error);
            }
        }
    }
    let failure = one_failure(failures);
    match failure {
        Some(failure) if !loaded_any => Err(failure),
        failure => Ok(Closing {
            complete: failure.is_none(),
            failure,
            ..Closing::done(Map::from_iter([(
                "tables".to_owned(),
                Value::Object(tables),
            )]))
        }),
    }
}

/// The first failure, with the others named behind it.
fn one_failure(failures: Vec<anyhow::Error>) -> Option<anyhow::Error> {
    let mut failures = failures.into_iter();
    let first = failures.next()?;
    let others: Vec<String> = failures.map(|failure| format!("{failure:#}")).collect();
    Some(if others.is_empty() {
        first
    } else {
        first.context(format!("also: {}", others.join("; also: ")))
    })
}

/// What became of one table.
#[derive(Debug, Default)]
struct Outcome {
    loads: Vec<Load>,
    skipped: u64,
    shaped: Shaped,
    damaged: BTreeMap<String, String>,
}

impl Outcome {
    fn counts(&self) -> Value {
        let sum = |of: fn(&Load) -> i64| self.loads.iter().map(of).sum::<i64>();
        json!({
            "files": self.loads.len(),
            "skipped_files": self.skipped,
            "rows_read": sum(|load| load.count.rows_read as i64),
            "inserted": sum(|load| load.inserted),
            "updated": sum(|load| load.updated),
            "unchanged": sum(Load::unchanged),
            "deleted": sum(|load| load.deleted),
            "rejected": sum(|load| load.count.rejected as i64),
            "columns_added": self.shaped.added,
            "columns_widened": self.shaped.widened,
        })
    }
}

/// What an attempt learnt that the next one must know from the beginning.
#[derive(Debug, Default)]
struct Lessons {
    pins: Pins,
    damaged: BTreeMap<String, String>,
    tombstones: bool,
    /// Files that were loaded before and have something newer than what comes only now.
    newer: Option<Vec<(i64, File)>>,
}

/// How an attempt ended.
enum Attempt {
    Done(Outcome),
    Again(Lessons),
}

struct TableLoad<'a> {
    client: &'a Client,
    storage: &'a Storage,
    request: &'a Request,
    stop: &'a CancellationToken,
    folder: Folder,
    table: &'a Table,
}

impl TableLoad<'_> {
    /// `None` where nothing ever landed.
    async fn run(&self) -> anyhow::Result<Option<Outcome>> {
        if !Landed::list(self.storage, self.folder).await?.has_any() {
            return Ok(None);
        }
        let mut lessons = Lessons::default();
        loop {
            self.client
                .batch_execute("begin")
                .await
                .context("begin a transaction")?;
            // Whatever was under way is taken back by the end of the connection.
            let attempt = tokio::select! {
                attempt = self.attempt(lessons) => attempt?,
                () = self.stop.cancelled() => return Err(anyhow!(Stopped)),
            };
            match attempt {
                Attempt::Again(learnt) => {
                    self.client
                        .batch_execute("rollback")
                        .await
                        .context("begin again")?;
                    lessons = learnt;
                }
                Attempt::Done(outcome) => {
                    let end = if self.request.dry_run {
                        "rollback"
                    } else {
                        "commit"
                    };
                    self.client.batch_execute(end).await.context("commit")?;
                    self.tell(&outcome);
                    return Ok(Some(outcome));
                }
            }
        }
    }

    fn tell(&self, outcome: &Outcome) {
        for (voucher, why) in &outcome.damaged {
            warn!(landing.key = voucher, "left out {voucher}: {why}");
        }
        if self.request.dry_run {
            outcome
                .shaped
                .ddl
                .iter()
                .for_each(|sql| common::task::print(format!("{sql};")));
        }
        let rows: u64 = outcome.loads.iter().map(|load| load.count.rows_read).sum();
        let (files, table) = (outcome.loads.len(), self.table);
        let verb = if self.request.dry_run {
            "would load"
        } else {
            "loaded"
        };
        info!(table.name = %table, files.count = files, rows.count = rows, "{verb} {rows} rows of {files} files into {table}");
    }

    async fn attempt(&self, lessons: Lessons) -> anyhow::Result<Attempt> {
        let started_at = Timestamp::now();
        loads::lock(self.client, &self.table.to_string()).await?;
        loads::prepare(self.client, self.table).await?;
        let exists = exists(self.client, self.table).await?;
        let known = loads::known(self.client, self.table, exists).await?;
        // Listed under the lock: what another loader had in hand is loaded by now.
        let landed = Landed::list(self.storage, self.folder).await?;
        let pending = landed
            .pending(self.storage, &known, &lessons.damaged)
            .await?;
        let mut outcome = Outcome {
            skipped: pending.skipped,
            damaged: pending.damaged.clone(),
            ..Outcome::default()
        };
        if pending.files.is_empty() {
            loads::record(self.client, self.table, "", "now", &[], &pending.manifests).await?;
            return Ok(Attempt::Done(outcome));
        }
        let before = if exists {
            Some(loads::columns(self.client, self.table).await?)
        } else {
            None
        };
        let beside = exists || pending.tombstones > 0 || lessons.tombstones;
        let mut columns = before.clone().unwrap_or_else(Columns::new);
        lessons
            .pins
            .iter()
            .for_each(|(path, kind)| columns.pin(path, *kind));
        let mut filling = if beside {
            Staging::beside(self.client, self.table, &columns).await?
        } else {
            Staging::as_target(self.client, self.table).await?
        };
        let ids = loads::next_ids(self.client, pending.files.len()).await?;
        let loaded_at = started_at.as_microsecond() - EPOCH_MICROS;
        let beginning = Beginning {
            stream: self.folder.stream(),
            columns,
            pins: lessons.pins.clone(),
            tolerance: Tolerance {
                limit: self
                    .request
                    .max_rejects
                    .of(pending.rows().unwrap_or_default()),
                on_type_conflict: self.request.on_type_conflict,
            },
            tombstones_expected: beside,
            loaded_at,
        };
        let pipeline = Pipeline {
            storage: self.storage,
            stop: self.stop,
            pending: &pending,
            ids: &ids,
            newer: lessons.newer.as_deref().unwrap_or_default(),
        };
        let (fed, mut sums) = match pipeline.fill(&mut filling, beginning).await? {
            Filled::Rows(fed, sums) => (fed, sums),
            Filled::Damaged(damaged) => return Ok(Attempt::Again(Lessons { damaged, ..lessons })),
            Filled::Halted(Halt::Restart(pins)) => {
                return Ok(Attempt::Again(Lessons { pins, ..lessons }));
            }
            Filled::Halted(Halt::Tombstone) => {
                return Ok(Attempt::Again(Lessons {
                    tombstones: true,
                    ..lessons
                }));
            }
            Filled::Halted(halt) => return Err(halt.into()),
        };
        let Fed {
            mut columns,
            files: counts,
        } = fed;
        if exists && lessons.newer.is_none() {
            let newer = loads::newer(self.client, self.table, &pending.files, &counts).await?;
            if !newer.is_empty() {
                info!(
                    files.count = newer.len(),
                    "read {} newer files again, as older ones come only now",
                    newer.len()
                );
                return Ok(Attempt::Again(Lessons {
                    newer: Some(newer),
                    ..lessons
                }));
            }
        }
        let staging = filling.name().to_owned();
        let mut written = Written::default();
        if beside {
            outcome.shaped = merge::shape(
                self.client,
                self.table,
                &staging,
                before.as_ref(),
                &mut columns,
            )
            .await?;
            let hard_delete = self.request.hard_delete;
            written = merge::merge(
                self.client,
                self.table,
                &staging,
                &columns,
                loaded_at,
                hard_delete,
            )
            .await?;
        } else {
            let removed = merge::finish_new(self.client, self.table).await?;
            written.inserted = counts
                .iter()
                .map(|(id, count)| {
                    let kept = (count.rows_read - count.rejected) as i64;
                    (*id, kept - removed.get(id).copied().unwrap_or_default())
                })
                .collect();
            outcome.shaped.added = columns.len() as u64;
        }
        outcome.loads = ids
            .iter()
            .zip(&pending.files)
            .map(|(id, pending)| Load {
                load_id: *id,
                sha256: sums.remove(id).unwrap_or_default(),
                pending: pending.clone(),
                count: counts.get(id).copied().unwrap_or_default(),
                inserted: written.inserted.get(id).copied().unwrap_or_default(),
                updated: written.updated.get(id).copied().unwrap_or_default(),
                deleted: written.deleted.get(id).copied().unwrap_or_default(),
            })
            .collect();
        let (run_id, started_at) = (self.request.run_id.to_string(), started_at.to_string());
        loads::record(
            self.client,
            self.table,
            &run_id,
            &started_at,
            &outcome.loads,
            &pending.manifests,
        )
        .await?;
        loads::record_columns(self.client, self.table, &columns, ids[0]).await?;
        Ok(Attempt::Done(outcome))
    }
}

async fn exists(client: &Client, table: &Table) -> anyhow::Result<bool> {
    let sql = "select to_regclass(format('%I.%I', $1::text, $2::text)) is not null";
    let row = client.query_one(sql, &[&table.schema, &table.name]).await;
    Ok(row.with_context(|| format!("look for {table}"))?.get(0))
}
