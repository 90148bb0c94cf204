//! Servers that come from PyPI.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// A program of a Python environment: `python`, or the `.venv` that is nearest above the current
/// folder.
pub(crate) fn program(python: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    let path = match python {
        Some(folder) => folder.join("bin").join(name),
        None => {
            let here = std::env::current_dir().context("find the current folder")?;
            let venvs = here.ancestors().map(|folder| folder.join(".venv"));
            let programs: Vec<_> = venvs.map(|venv| venv.join("bin").join(name)).collect();
            let found = programs.into_iter().find(|path| path.is_file());
            found.with_context(|| {
                let here = here.display();
                format!("no .venv/bin/{name} in {here} or above it: run `make setup`, or name a Python environment by --python")
            })?
        }
    };
    ensure!(
        path.is_file(),
        "no {}: install what is in crates/devstack/requirements*.txt there",
        path.display()
    );
    path.canonicalize()
        .with_context(|| format!("find {}", path.display()))
}
