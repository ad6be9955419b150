//! The environment that a version was made in: interpreter, packages, system, devices.
//!
//! It is captured at each commit from files alone: neither the interpreter nor pip is run, the
//! process environment is not recorded, and a capture never makes a commit fail. `interpreter`
//! finds the Python, `site` and `conda` read what is installed, `machine` the rest; `document` is
//! what is stored.

mod changes;
mod conda;
mod document;
mod export;
mod interpreter;
mod look;
mod machine;
mod site;

use std::path::Path;

use mv_graph::Manifest;
use mv_store::{Hash, Kind, StoreWriter};

use crate::error::Result;
use crate::repo::Repo;
use crate::surroundings::Surroundings;

pub use changes::{EnvironmentChange, changes};
pub use document::{CondaPackage, Environment, MAX_ENVIRONMENT};
pub use export::{Export, conda_environment, requirements};

/// The present environment of the project at `root`. Costs a look at one file for each package.
#[must_use]
pub fn capture(root: &Path, surroundings: &Surroundings) -> Environment {
    capture_noting(root, surroundings, &mut Vec::new())
}

/// As [`capture`]; adds to `notes` what was there but could not be read.
pub fn capture_noting(
    root: &Path,
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) -> Environment {
    let mut environment = Environment::default();
    machine::describe(surroundings, &mut environment);
    let Some(python) = interpreter::find(root, surroundings, notes) else { return environment };
    let conda = python.conda_meta.as_deref().map(|dir| conda::scan(dir, notes));
    environment.conda = conda.unwrap_or_default();
    let packages = site::scan(&python.sites, &environment.conda, root, notes);
    environment.packages = packages.versions;
    environment.origins = packages.origins;
    environment.python = python.version;
    environment.implementation = Some(python.implementation.to_owned());
    environment.interpreter = Some(python.kind.to_owned());
    environment
}

/// The environment that was captured with a version; none when nothing was.
///
/// # Errors
/// `Missing`, `Corrupt`, `Unsupported`.
pub fn read(repo: &Repo, manifest: &Manifest) -> Result<Option<Environment>> {
    let Some(id) = manifest.environment else { return Ok(None) };
    let bytes = repo.store().get(Kind::Blob, &id, MAX_ENVIRONMENT)?;
    Environment::decode(&bytes, &id).map(Some)
}

/// Captures the environment for a version that is being written; none when nothing is known.
///
/// # Errors
/// `Io`, when the object cannot be written.
pub(crate) fn store(
    root: &Path,
    surroundings: &Surroundings,
    writer: &StoreWriter<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Hash>> {
    let environment = capture_noting(root, surroundings, notes);
    if environment.is_empty() {
        return Ok(None);
    }
    match environment.encode() {
        Ok(bytes) => Ok(Some(writer.put(Kind::Blob, &bytes)?)),
        Err(error) => {
            notes.push(error.to_string());
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
