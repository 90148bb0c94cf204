//! The athlete's activities, newest first, with the edits that were made to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload::Payload;

/// What the simulator must know of an activity; everything else is only carried.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Facts {
    pub(crate) id: i64,
    pub(crate) start_date: Timestamp,
    pub(crate) athlete: Athlete,
    #[serde(default)]
    pub(crate) sport_type: String,
    #[serde(default)]
    pub(crate) distance: f64,
    #[serde(default)]
    pub(crate) moving_time: f64,
    #[serde(default)]
    pub(crate) elapsed_time: f64,
    #[serde(default)]
    pub(crate) total_elevation_gain: f64,
    #[serde(default)]
    pub(crate) gear_id: Option<String>,
    #[serde(default)]
    pub(crate) visibility: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Athlete {
    pub(crate) id: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Activity {
    pub(crate) facts: Facts,
    /// The summary, exactly as it was recorded, generated or edited.
    pub(crate) text: Box<str>,
}

/// Edits by id: the new summary, or `None` for an activity that was deleted.
pub(crate) type Edits = BTreeMap<i64, Option<Box<RawValue>>>;

#[derive(Debug, Default)]
pub(crate) struct Activities {
    by_start: BTreeMap<(i64, i64), Activity>,
    start_of: HashMap<i64, i64>,
    edits: Edits,
    /// Left out of the list although they are there.
    pub(crate) hidden: BTreeSet<i64>,
}

impl Activities {
    /// Reads recorded summaries, one JSON object a line.
    pub(crate) fn recorded(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read recorded activities {}", path.display()))?;
        let activities = Self::from_texts(text.lines().filter(|line| !line.trim().is_empty()))
            .with_context(|| format!("read recorded activities {}", path.display()))?;
        if activities.start_of.is_empty() {
            bail!("no activity in {}", path.display());
        }
        Ok(activities)
    }

    pub(crate) fn from_texts<T: Into<Box<str>>>(
        texts: impl Iterator<Item = T>,
    ) -> anyhow::Result<Self> {
        let mut activities = Self::default();
        for (index, text) in texts.enumerate() {
            activities
                .insert(text.into())
                .with_context(|| format!("activity {}", index + 1))?;
        }
        Ok(activities)
    }

    /// Lays saved edits over the activities as they were recorded or generated.
    pub(crate) fn apply(&mut self, edits: Edits) -> anyhow::Result<()> {
        for (id, edit) in &edits {
            match edit {
                Some(text) => _ = self.insert(text.get().into())?,
                None => _ = self.remove(*id),
            }
        }
        self.edits = edits;
        Ok(())
    }

    pub(crate) fn edits(&self) -> &Edits {
        &self.edits
    }

    pub(crate) fn len(&self) -> usize {
        self.by_start.len()
    }

    pub(crate) fn find(&self, id: i64) -> Option<&Activity> {
        self.by_start.get(&(*self.start_of.get(&id)?, id))
    }

    pub(crate) fn oldest_first(&self) -> impl DoubleEndedIterator<Item = &Activity> {
        self.by_start.values()
    }

    /// Lands a summary that was not there, or stands in for the one of the same id.
    pub(crate) fn put(&mut self, summary: &Payload) -> anyhow::Result<i64> {
        let text = summary.to_string();
        let raw = RawValue::from_string(text.clone()).context("summary is not JSON")?;
        let id = self.insert(text.into())?;
        self.edits.insert(id, Some(raw));
        Ok(id)
    }

    /// Changes some fields of a summary; a moved start moves the local start with it.
    pub(crate) fn edit(&mut self, id: i64, fields: Payload) -> anyhow::Result<bool> {
        let Some(activity) = self.find(id) else {
            return Ok(false);
        };
        if fields.text("id").is_some() {
            bail!("an activity keeps its id");
        }
        let mut summary: Payload = activity.text.parse()?;
        let start = fields.text("start_date").map(str::to_owned);
        let keeps_local = fields.text("start_date_local").is_some();
        summary.merge(fields);
        if start.is_some() && !keeps_local {
            set_local_start(&mut summary)?;
        }
        self.put(&summary)?;
        Ok(true)
    }

    pub(crate) fn delete(&mut self, id: i64) -> bool {
        let found = self.remove(id);
        if found {
            self.edits.insert(id, None);
        }
        found
    }

    fn insert(&mut self, text: Box<str>) -> anyhow::Result<i64> {
        let facts: Facts = serde_json::from_str(&text).context("read a summary")?;
        let (id, start) = (facts.id, facts.start_date.as_second());
        self.remove(id);
        self.start_of.insert(id, start);
        self.by_start.insert((start, id), Activity { facts, text });
        Ok(id)
    }

    fn remove(&mut self, id: i64) -> bool {
        let Some(start) = self.start_of.remove(&id) else {
            return false;
        };
        self.by_start.remove(&(start, id)).is_some()
    }
}

/// Strava's local start is the wall clock with a false `Z`.
pub(crate) fn set_local_start(summary: &mut Payload) -> anyhow::Result<()> {
    let start: Timestamp = summary
        .value("start_date")
        .context("start_date is not a time")?;
    let offset: f64 = summary.value("utc_offset").unwrap_or_default();
    let local = start + SignedDuration::try_from_secs_f64(offset).context("utc_offset")?;
    summary.set_value("start_date_local", &local)
}
