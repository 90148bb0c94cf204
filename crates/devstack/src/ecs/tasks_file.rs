//! Reads `iac/tasks.json` and fills its `${name}`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// The batch tasks of the platform, as Terraform reads them too.
#[derive(Debug, Clone, Deserialize)]
pub struct TasksFile {
    version: u32,
    pub(super) tasks: BTreeMap<String, TaskEntry>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct TaskEntry {
    pub(super) image: String,
    pub(super) cpu: u32,
    pub(super) memory: u32,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) log_prefix: String,
    pub(super) stop_timeout_seconds: u32,
}

impl TasksFile {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        text.parse()
            .with_context(|| format!("understand {}", path.display()))
    }
}

impl std::str::FromStr for TasksFile {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let file: Self = serde_json::from_str(text)?;
        if file.version != 1 {
            bail!("version {} is not known here, only 1 is", file.version);
        }
        Ok(file)
    }
}

/// Puts the values of `${name}` into `text`; a name without a value is an error that says it.
pub(super) fn fill(text: &str, values: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after
            .split_once('}')
            .with_context(|| format!("`${{` is never closed in {text:?}"))?;
        let value = values
            .get(name)
            .with_context(|| format!("nothing is given for ${{{name}}}"))?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("empty".to_owned(), String::new()),
        ])
    }

    #[test]
    fn every_name_is_filled_wherever_it_stands() {
        assert_eq!(fill("${a}/x:${a}", &values()).unwrap(), "1/x:1");
        assert_eq!(fill("${empty}", &values()).unwrap(), "");
        assert_eq!(fill("$a {a}", &values()).unwrap(), "$a {a}");
    }

    #[test]
    fn a_name_without_a_value_is_named() {
        assert!(
            fill("${b}", &values())
                .unwrap_err()
                .to_string()
                .contains("${b}")
        );
        assert!(fill("${a", &values()).is_err());
    }

    #[test]
    fn the_repositorys_own_file_is_understood() {
        let file = TasksFile::read(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../iac/tasks.json"
        )))
        .unwrap();
        assert!(file.tasks.contains_key("strava-extract"));
    }

    #[test]
    fn a_newer_version_is_refused() {
        assert!(r#"{"version":2,"tasks":{}}"#.parse::<TasksFile>().is_err());
    }
}
