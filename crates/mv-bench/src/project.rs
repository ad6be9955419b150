//! [`Project`]: a temporary project whose repository the measured program makes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::failure::{At, Result};
use crate::measure::{self, Ran, Watched};

/// A project folder; removed with this value.
#[derive(Debug)]
pub(crate) struct Project {
    dir: TempDir,
    mv: PathBuf,
    stored: Cell<u64>,
}

/// What a commit stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committed {
    /// Bytes of the pack files that were not there before. After some commits they hold gathered
    /// small packs too.
    pub(crate) written: u64,
    /// Bytes of this version's packs, as the program tells it.
    pub(crate) claimed: u64,
    /// Wall time.
    pub(crate) seconds: f64,
}

impl Project {
    /// Makes a repository with one version that holds only its settings, so that later versions
    /// are measured without those.
    pub(crate) fn create(mv: &Path, work: &Path) -> Result<Project> {
        fs::create_dir_all(work).at("create", work)?;
        let dir = tempfile::Builder::new().prefix("mv-bench-").tempdir_in(work)?;
        let project = Project { dir, mv: mv.to_path_buf(), stored: Cell::new(0) };
        project.run(&["init", "--name", "bench"])?;
        project.commit()?;
        Ok(project)
    }

    /// A place in the project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file as a training run does: anew, under its name.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).at("create", folder)?;
        }
        fs::write(&path, bytes).at("write", &path)
    }

    /// Runs the program in the project.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Ran> {
        measure::run(&mut self.command(arguments))
    }

    /// Runs the program and reads how much memory it took; stops it when `limit` is over.
    pub(crate) fn watch(&self, arguments: &[&str], limit: Duration) -> Result<Watched> {
        measure::watch(&mut self.command(arguments), limit)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.mv);
        command.current_dir(self.dir.path()).arg("--no-progress").args(arguments);
        command.env("MV_AUTHOR_NAME", "Bench").env("MV_AUTHOR_EMAIL", "bench@example.org");
        command
    }

    /// Commits what is there.
    pub(crate) fn commit(&self) -> Result<Committed> {
        let before = self.packs()?;
        let ran = self.run(&["--json", "commit", "-m", "measured"])?;
        let written = self.new_bytes(&before)?;
        let document: Value = serde_json::from_slice(&ran.output)?;
        let claimed = bytes_of(&document, "stored_bytes")?;
        self.stored.set(self.stored.get() + claimed);
        Ok(Committed { written, claimed, seconds: ran.seconds })
    }

    /// Gathers small packs. Packs that were gathered may stay for a while for those who still read
    /// them, so what the folder holds does not tell what is in use.
    pub(crate) fn repack(&self) -> Result<()> {
        let before = self.packs()?;
        let ran = self.run(&["--json", "repack"])?;
        let document: Value = serde_json::from_slice(&ran.output)?;
        let gathered = bytes_of(&document, "bytes_before")?;
        let stored = self.stored.get() + self.new_bytes(&before)?;
        self.stored.set(stored.saturating_sub(gathered));
        Ok(())
    }

    /// Bytes of all packs that are in use: what commits and `repack` added, less what was gathered.
    pub(crate) fn stored(&self) -> u64 {
        self.stored.get()
    }

    /// The pack files that are there, with their sizes.
    fn packs(&self) -> Result<BTreeMap<PathBuf, u64>> {
        let mut packs = BTreeMap::new();
        let mut folders = vec![self.path(".mv/packs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).at("list", &folder)? {
                let entry = entry?;
                let found = entry.metadata()?;
                if found.is_dir() {
                    folders.push(entry.path());
                } else {
                    packs.insert(entry.path(), found.len());
                }
            }
        }
        Ok(packs)
    }

    /// Bytes of the pack files that are new since then.
    fn new_bytes(&self, before: &BTreeMap<PathBuf, u64>) -> Result<u64> {
        let packs = self.packs()?;
        Ok(packs.iter().filter(|(path, _)| !before.contains_key(*path)).map(|(_, len)| len).sum())
    }
}

fn bytes_of(document: &Value, field: &str) -> Result<u64> {
    document[field].as_u64().ok_or_else(|| format!("no `{field}` in {document}").into())
}
