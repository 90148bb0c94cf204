//! The private table that rows are copied into, widened as they ask for it.

use std::pin::Pin;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::{Client, CopyInSink};

use crate::{
    columns::{Change, Columns, FIXED},
    copy::{HEADER, TRAILER},
    handover::Step,
    lattice::{Scalar, Type},
    loads::Table,
    names::quoted,
    rejects,
};

/// A table that nobody else sees before the transaction ends, and the COPY into it.
pub struct Staging<'a> {
    client: &'a Client,
    /// The table that is loaded in the end; the same one where it is new.
    target: &'a Table,
    name: String,
    names: Vec<String>,
    /// Rows of a table made in this transaction need no later visit by vacuum.
    freeze: bool,
    copy: Option<Pin<Box<CopyInSink<Bytes>>>>,
}

/// The few deleted rows are found without reading the table.
pub fn deleted_index(table: &str) -> String {
    format!("create index on {table} (\"_athlete_id\", \"_id\") where \"_deleted\"")
}

/// The definitions of all columns, for `create table`.
pub fn definitions(columns: &Columns) -> Vec<String> {
    let fixed = FIXED.iter().map(|(name, kind)| {
        // Keys are compared byte by byte: exact, and faster than by the rules of a language.
        let collation = if *kind == Scalar::Text {
            " collate \"C\""
        } else {
            ""
        };
        // The weather is nobody's.
        let not_null = if *name == "_athlete_id" {
            ""
        } else {
            " not null"
        };
        format!("{} {}{collation}{not_null}", quoted(name), Type::One(*kind))
    });
    let own = columns
        .iter()
        .map(|column| format!("{} {}", quoted(&column.name), column.kind));
    fixed.chain(own).collect()
}

impl<'a> Staging<'a> {
    /// A table beside the target, with the target's columns.
    pub async fn beside(
        client: &'a Client,
        target: &'a Table,
        columns: &Columns,
    ) -> anyhow::Result<Staging<'a>> {
        let name = format!(
            "strava_load.{}",
            quoted(&format!("staging_{}", target.name))
        );
        let sql = format!(
            "create unlogged table {name} ({})",
            definitions(columns).join(", ")
        );
        client
            .batch_execute(&sql)
            .await
            .context("make the staging table")?;
        Ok(Staging::new(client, target, name, columns, false))
    }

    /// The target itself, which is not there yet: nobody sees it before the transaction ends.
    pub async fn as_target(client: &'a Client, target: &'a Table) -> anyhow::Result<Staging<'a>> {
        let (name, columns) = (target.quoted(), Columns::new());
        let sql = format!(
            "create table {name} ({}); {}",
            definitions(&columns).join(", "),
            deleted_index(&name)
        );
        client
            .batch_execute(&sql)
            .await
            .with_context(|| format!("make {target}"))?;
        Ok(Staging::new(client, target, name, &columns, true))
    }

    fn new(
        client: &'a Client,
        target: &'a Table,
        name: String,
        columns: &Columns,
        freeze: bool,
    ) -> Staging<'a> {
        let fixed = FIXED.iter().map(|(name, _)| (*name).to_owned());
        let names = fixed
            .chain(columns.iter().map(|column| column.name.clone()))
            .collect();
        Staging {
            client,
            target,
            name,
            names,
            freeze,
            copy: None,
        }
    }

    /// The table's name as SQL wants it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does what the feed asks for next.
    pub async fn take(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Rows { bytes, .. } => self.copy(bytes).await,
            Step::Alter(changes) => {
                self.finish().await?;
                self.alter(&changes).await
            }
            Step::Reject(rejects) => {
                self.finish().await?;
                rejects::store(self.client, self.target, &rejects).await
            }
        }
    }

    async fn copy(&mut self, bytes: Bytes) -> anyhow::Result<()> {
        let sink = match &mut self.copy {
            Some(sink) => sink,
            none => {
                let names: Vec<String> = self.names.iter().map(|name| quoted(name)).collect();
                let sql = format!(
                    "copy {} ({}) from stdin (format binary, freeze {})",
                    self.name,
                    names.join(", "),
                    self.freeze
                );
                let mut sink = Box::pin(
                    self.client
                        .copy_in(&sql)
                        .await
                        .context("begin to copy rows")?,
                );
                sink.send(Bytes::from_static(HEADER))
                    .await
                    .context("copy rows")?;
                none.insert(sink)
            }
        };
        sink.send(bytes).await.context("copy rows")
    }

    /// Ends the COPY that is under way.
    pub async fn finish(&mut self) -> anyhow::Result<()> {
        if let Some(mut sink) = self.copy.take() {
            sink.send(Bytes::from_static(TRAILER))
                .await
                .context("copy rows")?;
            sink.as_mut().finish().await.context("copy rows")?;
        }
        Ok(())
    }

    async fn alter(&mut self, changes: &[Change]) -> anyhow::Result<()> {
        for change in changes {
            match change {
                Change::Add { name, .. } => self.names.push(name.clone()),
                Change::Rename { from, to } => {
                    self.names
                        .iter_mut()
                        .filter(|name| *name == from)
                        .for_each(|name| name.clone_from(to));
                }
                Change::Retype { .. } => {}
            }
        }
        for sql in statements(&self.name, changes) {
            self.client
                .batch_execute(&sql)
                .await
                .context("widen the staging table")?;
        }
        Ok(())
    }
}

/// The statements of some changes: one rewrite for all new types, then names, then new columns.
pub fn statements(table: &str, changes: &[Change]) -> Vec<String> {
    let mut retyped: Vec<(&str, Type, Type)> = Vec::new();
    let (mut renames, mut added) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Retype { name, from, to } => {
                match retyped.iter_mut().find(|(known, ..)| known == name) {
                    Some((.., last)) => *last = *to,
                    None => retyped.push((name, *from, *to)),
                }
            }
            Change::Rename { from, to } => {
                renames.push(format!(
                    "alter table {table} rename column {} to {}",
                    quoted(from),
                    quoted(to)
                ));
            }
            Change::Add { name, kind } => added.push(format!("add column {} {kind}", quoted(name))),
        }
    }
    let retyped: Vec<String> = retyped
        .into_iter()
        .map(|(name, from, to)| {
            let name = quoted(name);
            format!(
                "alter column {name} type {to} using {}",
                from.conversion(&name, to)
            )
        })
        .collect();
    let altered = |actions: Vec<String>| {
        (!actions.is_empty()).then(|| format!("alter table {table} {}", actions.join(", ")))
    };
    altered(retyped)
        .into_iter()
        .chain(renames)
        .chain(altered(added))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_widens_twice_is_rewritten_once() {
        let retype = |from, to| Change::Retype {
            name: "a".to_owned(),
            from,
            to,
        };
        let changes = [
            retype(Type::One(Scalar::Bigint), Type::One(Scalar::Double)),
            retype(Type::One(Scalar::Double), Type::One(Scalar::Numeric)),
            Change::Rename {
                from: "b".to_owned(),
                to: "c".to_owned(),
            },
            Change::Add {
                name: "b".to_owned(),
                kind: Type::Json,
            },
        ];
        assert_eq!(
            statements("t", &changes),
            [
                "alter table t alter column \"a\" type numeric using \"a\"::numeric",
                "alter table t rename column \"b\" to \"c\"",
                "alter table t add column \"b\" jsonb",
            ]
        );
    }
}
