//! Making the merged version, from trees.

use std::collections::BTreeSet;

use mv_graph::diff::{self, ListedFile};
use mv_graph::{Manifest, Mode, RepoPath, Scalar};
use mv_store::{Hash, Kind, StoreWriter};

use super::base::{Base, Blobs};
use super::plan::{self, Manner, Plan, Side, Texts};
use crate::commit::{around, blank, store_trees};
use crate::config::{PROJECT_FILE, ProjectConfig};
use crate::error::{Error, Result};
use crate::renames::renames;
use crate::repo::Repo;
use crate::session::Session;
use crate::worktree::Rules;

/// Two versions, their base, and where their texts are.
pub(super) struct Merge<'a> {
    pub(super) repo: &'a Repo,
    pub(super) base: Base,
    pub(super) ours: Base,
    pub(super) theirs: Base,
    pub(super) blobs: Blobs<'a>,
}

impl Merge<'_> {
    pub(super) fn plan(&mut self, manner: Manner<'_>) -> Result<Plan> {
        let side = |side: &Base| {
            let changes = self.base.changes_to(self.repo, side)?;
            let renames = renames(self.repo, &changes)?;
            Ok::<_, Error>(Side::new(changes, renames))
        };
        let (ours, theirs) = (side(&self.ours)?, side(&self.theirs)?);
        plan::plan(&ours, &theirs, &mut self.blobs, manner)
    }

    /// Stores the merged version; returns its id.
    pub(super) fn version(
        &mut self,
        plan: &Plan,
        parents: [Hash; 2],
        message: String,
        writer: &StoreWriter<'_>,
        session: &Session,
    ) -> Result<Hash> {
        let none = || blank(self.repo, String::new(), session);
        let [base, ours, theirs] = [&self.base, &self.ours, &self.theirs]
            .map(|side| side.manifest.clone().unwrap_or_else(none));
        let mut files = diff::list(self.repo.store(), &ours)?;
        files.retain(|file| !plan.put.contains_key(&file.path));
        files.extend(plan.put.iter().filter_map(|(path, item)| {
            let (component, entry) = (*item)?;
            Some(ListedFile { path: path.clone(), component, entry })
        }));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        drop_filled(&mut files);
        self.place(&mut files, [&ours, &theirs])?;
        let (components, _) = store_trees(&files, writer)?;
        let mut manifest = Manifest {
            parents: parents.to_vec(),
            components,
            environment: None,
            model_name: merged_value(&base.model_name, &ours.model_name, &theirs.model_name),
            params: merged_values(&base.params, &ours.params, &theirs.params),
            metrics: merged_values(&base.metrics, &ours.metrics, &theirs.metrics),
            metadata: Vec::new(),
            message,
            author: session.author.clone(),
            created: session.now,
            source: None,
        };
        // What could not be learned of the environment is told by the next commit.
        around(self.repo, &mut manifest, writer, session)?;
        manifest.validate()?;
        Ok(writer.put(Kind::Manifest, &manifest.encode()?)?)
    }

    /// Puts every file into the component that the merged `mv.toml` says, if the sides have
    /// different ones; else the sides agree already.
    fn place(&mut self, files: &mut [ListedFile], sides: [&Manifest; 2]) -> Result<()> {
        let path: RepoPath = PROJECT_FILE.parse().map_err(|e| Error::invalid("path", e))?;
        let mut had = Vec::new();
        for side in sides {
            had.push(diff::lookup(self.repo.store(), side, &path)?.map(|(_, entry)| entry.id));
        }
        if had.first() == had.last() {
            return Ok(());
        }
        let config = match files.iter().find(|file| file.path == path) {
            Some(file) => match self.blobs.read(&file.entry)? {
                Some(text) => ProjectConfig::parse(&text),
                None => return Ok(()),
            },
            None => Ok(ProjectConfig::default()),
        };
        // A broken one says nothing; the next commit will.
        let Ok(rules) = config.and_then(|config| Rules::new(&config)) else { return Ok(()) };
        for file in files {
            file.component = rules.component_of(&file.path, file.entry.mode == Mode::Dir);
        }
        Ok(())
    }
}

/// A directory that was empty on one side and is filled by the other is no entry of its own.
fn drop_filled(files: &mut Vec<ListedFile>) {
    let dirs: BTreeSet<RepoPath> =
        files.iter().filter(|f| f.entry.mode == Mode::Dir).map(|f| f.path.clone()).collect();
    if dirs.is_empty() {
        return;
    }
    let filled: BTreeSet<RepoPath> =
        files.iter().flat_map(|f| f.path.ancestors()).filter(|dir| dirs.contains(dir)).collect();
    files.retain(|file| !filled.contains(&file.path));
}

/// What one side changed; ours when both did.
fn merged_value<T: Clone + PartialEq>(base: &T, ours: &T, theirs: &T) -> T {
    if ours == base { theirs.clone() } else { ours.clone() }
}

/// The same by name.
fn merged_values(
    base: &[(String, Scalar)],
    ours: &[(String, Scalar)],
    theirs: &[(String, Scalar)],
) -> Vec<(String, Scalar)> {
    let find = |values: &[(String, Scalar)], name: &str| {
        let at = values.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        values.get(at).map(|(_, value)| value.clone())
    };
    let names: BTreeSet<&String> = ours.iter().chain(theirs).map(|(name, _)| name).collect();
    let value = |name: &&String| {
        merged_value(&find(base, name), &find(ours, name), &find(theirs, name))
            .map(|value| ((*name).clone(), value))
    };
    names.iter().filter_map(value).collect()
}
