//! Rows set aside: why, where they stood, and their raw text, kept beside the load that met them.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::Context as _;
use common::{landing::hex, task::Closing};
use serde_json::{Map, Value, json};
use tokio_postgres::{Client, types::ToSql};

use crate::{
    loads::{self, Table},
    reasons::Reason,
    rows::Source,
};

/// What to do with a value that its column's type does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnTypeConflict {
    /// Set the row aside.
    Reject,
    /// Make the column text (jsonb where a value is no scalar) and load the row.
    WidenToText,
    /// Load nothing.
    Fail,
}

/// How many rejects of a table are accepted in one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxRejects {
    Rows(u64),
    Percent(f64),
    /// 10 %, and 10 rows of fewer than 100.
    Usual,
}

impl MaxRejects {
    pub fn of(self, rows: u64) -> u64 {
        match self {
            MaxRejects::Rows(limit) => limit,
            MaxRejects::Percent(percent) => (rows as f64 * percent / 100.0).floor() as u64,
            MaxRejects::Usual => (rows / 10).max(10),
        }
    }
}

impl FromStr for MaxRejects {
    type Err = String;

    fn from_str(text: &str) -> Result<MaxRejects, String> {
        let wrong = || format!("`{text}` is neither a number of rows nor a percentage like 2.5%");
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(MaxRejects::Percent(percent)),
                _ => Err(wrong()),
            },
            None => text.parse().map(MaxRejects::Rows).map_err(|_| wrong()),
        }
    }
}

/// A row that is not loaded.
#[derive(Debug)]
pub struct Reject {
    load_id: i64,
    source_key: String,
    source_row: i64,
    reason: Reason,
    detail: String,
    raw: String,
}

impl Reject {
    pub fn new(
        source: &Source<'_>,
        row: u64,
        reason: Reason,
        detail: String,
        line: &[u8],
    ) -> Reject {
        Reject {
            load_id: source.load_id,
            source_key: source.file.to_owned(),
            source_row: row as i64,
            reason,
            detail,
            raw: raw_text(line),
        }
    }
}

/// Rejects wait for one another up to this size, since each visit of theirs ends the COPY.
const WAITING_BYTES: usize = 4 << 20;

/// Rejects on their way, and the count of all there were.
#[derive(Debug, Default)]
pub struct SetAside {
    waiting: Vec<Reject>,
    bytes: usize,
    reasons: BTreeMap<Reason, u64>,
    last: String,
}

impl SetAside {
    pub fn add(&mut self, reject: Reject) {
        *self.reasons.entry(reject.reason).or_default() += 1;
        self.last = format!(
            "{} row {}, {}",
            reject.source_key, reject.source_row, reject.detail
        );
        self.bytes += reject.raw.len() + reject.detail.len() + reject.source_key.len();
        self.waiting.push(reject);
    }

    pub fn count(&self) -> u64 {
        self.reasons.values().sum()
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES
    }

    pub fn take(&mut self) -> Vec<Reject> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// How many of each reason, and the place of the last one.
    pub fn summary(&self) -> String {
        let reasons: Vec<String> = self
            .reasons
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        format!("{}; the last: {}", reasons.join(", "), self.last)
    }
}

/// The line itself where it can be text, else `\x` and its bytes in hex, as PostgreSQL writes bytea.
/// A line that begins with `\x` is written in hex too, so that it reads back in one way only.
fn raw_text(line: &[u8]) -> String {
    match std::str::from_utf8(line) {
        Ok(text) if !text.contains('\0') && !text.starts_with("\\x") => text.to_owned(),
        _ => format!("\\x{}", hex(line)),
    }
}

/// Stores rejects, all in one statement.
pub async fn store(client: &Client, table: &Table, rejects: &[Reject]) -> anyhow::Result<()> {
    let column = |of: fn(&Reject) -> &str| rejects.iter().map(of).collect::<Vec<_>>();
    let load_ids: Vec<i64> = rejects.iter().map(|reject| reject.load_id).collect();
    let rows: Vec<i64> = rejects.iter().map(|reject| reject.source_row).collect();
    let parameters: [&(dyn ToSql + Sync); 8] = [
        &table.schema,
        &table.name,
        &load_ids,
        &column(|reject| &reject.source_key),
        &rows,
        &column(|reject| reject.reason.as_str()),
        &column(|reject| &reject.detail),
        &column(|reject| &reject.raw),
    ];
    let sql = "insert into strava_load.rejects \
        (table_schema, table_name, load_id, source_key, source_row, reason, detail, raw) \
        select $1, $2, * from unnest($3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[])";
    client
        .execute(sql, &parameters)
        .await
        .context("store rejected rows")?;
    Ok(())
}

/// Prints the rejects that were not replayed, oldest first; as one line of JSON with their raw text.
pub async fn list(client: &Client, table: Option<&str>, as_json: bool) -> anyhow::Result<Closing> {
    let rows = match loads::version(client).await? {
        Some(_) => client
            .query(LIST, &[&table])
            .await
            .context("list rejected rows")?,
        None => Vec::new(),
    };
    let mut all = Vec::new();
    for row in &rows {
        let text = |index: usize| row.get::<_, &str>(index);
        let number = |index: usize| row.get::<_, i64>(index);
        if as_json {
            all.push(json!({
                "reject_id": number(0), "table": text(1), "load_id": number(2), "source_key": text(3),
                "source_row": number(4), "reason": text(5), "detail": text(6), "raw": text(7), "rejected_at": text(8),
            }));
        } else {
            let (at, table, key, row) = (text(8), text(1), text(3), number(4));
            common::task::print(format!(
                "{at} {table} {key} row {row}: {}, {}",
                text(5),
                text(6)
            ));
        }
    }
    if as_json {
        common::task::print(Value::Array(all));
    }
    Ok(Closing::done(Map::from_iter([(
        "rejects".to_owned(),
        Value::from(rows.len()),
    )])))
}

const LIST: &str = "select reject_id, table_schema || '.' || table_name, load_id, source_key, source_row, reason, \
    detail, raw, to_char(rejected_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
    from strava_load.rejects where replayed_at is null \
    and ($1::text is null or table_schema || '.' || table_name = $1) order by reject_id";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_rows_or_percent() {
        assert_eq!("25".parse::<MaxRejects>().unwrap().of(1_000), 25);
        assert_eq!("2.5%".parse::<MaxRejects>().unwrap().of(1_000), 25);
        assert_eq!("0%".parse::<MaxRejects>().unwrap().of(50), 0);
        assert_eq!(MaxRejects::Usual.of(50), 10);
        assert_eq!(MaxRejects::Usual.of(1_500), 150);
        assert!("101%".parse::<MaxRejects>().is_err());
        assert!("-1".parse::<MaxRejects>().is_err());
    }

    #[test]
    fn raw_text_reads_back_in_one_way_only() {
        assert_eq!(raw_text(b"{\"a\":"), "{\"a\":");
        assert_eq!(raw_text(b"a\0"), "\\x6100");
        assert_eq!(raw_text(b"\xff"), "\\xff");
        assert_eq!(raw_text(b"\\x61"), "\\x5c783631");
    }
}
