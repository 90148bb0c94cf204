//! The names of the tasks, from `iac/tasks.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::run::Refused;

/// The tasks that exist.
#[derive(Debug, Deserialize)]
pub struct Tasks {
    tasks: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    log_prefix: String,
}

/// One task's names.
#[derive(Debug, Clone)]
pub struct Task {
    /// Also its container.
    pub name: String,
    /// First part of its log stream's name.
    pub log_prefix: String,
}

impl Tasks {
    /// Reads `file`, or the nearest `iac/tasks.json`.
    pub fn find(file: Option<&Path>) -> anyhow::Result<Self> {
        let path = match file {
            Some(file) => file.to_owned(),
            None => nearest()?,
        };
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("read {}", path.display()))
            .context(Refused)?;
        serde_json::from_str(&text).with_context(|| format!("understand {}", path.display()))
    }

    /// The task of that name; the error lists those that exist.
    pub fn task(&self, name: &str) -> anyhow::Result<Task> {
        let entry = self.tasks.get(name).with_context(|| {
            let known: Vec<&str> = self.tasks.keys().map(String::as_str).collect();
            format!("no task {name:?}; the tasks are {}", known.join(", "))
        });
        let entry = entry.context(Refused)?;
        Ok(Task {
            name: name.to_owned(),
            log_prefix: entry.log_prefix.clone(),
        })
    }
}

fn nearest() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir().context("find the current folder")?;
    let mut found = here.ancestors().map(|folder| folder.join("iac/tasks.json"));
    found
        .find(|file| file.is_file())
        .context("no iac/tasks.json here or above: name one by --tasks-file")
        .context(Refused)
}
