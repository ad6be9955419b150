//! [`suggest`]: the rules of the contract, applied to the bytes of two versions.
//!
//! - **major**: tensors removed, renamed, reshaped or retyped; a model's inputs, outputs or
//!   architecture changed; a model file gone; columns of a table removed or retyped;
//!   `feature_set_version` changed
//! - **minor**: other weights in the same tensors; tensors, columns or model files added
//! - **patch**: everything else
//!
//! The strongest one wins. If a model file changed and no tensors can be read in it, there is no
//! suggestion at all: even a certain major change would be half of the truth.

use std::collections::HashMap;

use mv_graph::diff::{Change, changes};
use mv_graph::{Component, FileEntry, Manifest, RepoPath, Scalar};
use mv_store::{Hash, Progress, Store};

use super::architecture;
use super::columns;
use super::tensors::{self, Content, Weights};
use super::{Advice, BumpKind, Suggestion, named};
use crate::error::Result;
use crate::file_bytes::{FileBytes, is_file, is_in_worktree};
use crate::repo::Repo;

/// The param or metadata that says which features a model takes.
const FEATURES: &str = "feature_set_version";

/// Which number the newer of two versions should get, and why. Both and what they hold are in `store`.
///
/// Reads the headers of model files and tables that differ. Where two model files have the same
/// tensors, their bytes are compared: all of them in small files, in large ones up to the first
/// that differ.
///
/// # Errors
/// `Missing`, `Corrupt`, `Io`, `Cancelled`.
pub fn suggest(
    store: &Store,
    old: &Manifest,
    new: &Manifest,
    progress: &Progress,
) -> Result<Advice> {
    let changes = changes(store, Some(old), Some(new))?;
    let open = |_: &RepoPath, entry: &FileEntry| FileBytes::stored(store, entry);
    let values = [
        ("environment", old.environment != new.environment),
        ("params", old.params != new.params),
        ("metrics", old.metrics != new.metrics),
        ("metadata", old.metadata != new.metadata),
    ];
    let values: Vec<_> =
        values.iter().filter(|(_, differ)| *differ).map(|(name, _)| *name).collect();
    Look::new(store, &open, progress).advise(old, Some(new), &changes, &values)
}

/// The same for the working tree, whose files differ from a version by these changes. Params and
/// metadata of a version that is not made yet are unknown and say nothing; `values` names what else
/// differs, for the reason: `environment`, `params`, `metrics`.
///
/// # Errors
/// As [`suggest`]; `Blocked` and `Changed` for a working file that is not what it was.
pub fn suggest_for_files(
    repo: &Repo,
    old: &Manifest,
    changes: &[Change],
    values: &[&'static str],
    progress: &Progress,
) -> Result<Advice> {
    let root = repo.root_dir()?;
    let open = |path: &RepoPath, entry: &FileEntry| match is_in_worktree(repo, path, entry)? {
        true => FileBytes::working(&root, path),
        false => FileBytes::stored(repo.store(), entry),
    };
    Look::new(repo.store(), &open, progress).advise(old, None, changes, values)
}

/// Opens a file of the newer side.
type Open<'a> = dyn Fn(&RepoPath, &FileEntry) -> Result<FileBytes> + 'a;

/// Which of two versions a file belongs to.
#[derive(Clone, Copy)]
enum Side {
    Old,
    New,
}

/// What was found so far.
struct Look<'a> {
    store: &'a Store,
    open: &'a Open<'a>,
    progress: &'a Progress,
    /// In the order in which they were found.
    found: Vec<(BumpKind, String)>,
    /// Weights that differ in the same tensors.
    weights: Weights,
}

impl<'a> Look<'a> {
    fn new(store: &'a Store, open: &'a Open<'a>, progress: &'a Progress) -> Look<'a> {
        Look { store, open, progress, found: Vec::new(), weights: Weights::default() }
    }

    fn advise(
        mut self,
        old: &Manifest,
        new: Option<&Manifest>,
        changes: &[Change],
        values: &[&'static str],
    ) -> Result<Advice> {
        if let Some(new) = new {
            self.features(old, new);
        }
        let opaque = self.models(changes)?;
        if !opaque.is_empty() {
            return Ok(Advice::Undecided(opaque));
        }
        self.architectures(changes)?;
        self.tables(changes)?;
        Ok(Advice::Bump(self.conclude(|| rest(changes, values))))
    }

    /// A set of features that got another version. One that is no longer given, or given for the
    /// first time, says nothing.
    fn features(&mut self, old: &Manifest, new: &Manifest) {
        let (before, after) = (features(old), features(new));
        for (name, from) in &before {
            let Some((_, to)) = after.iter().find(|(other, to)| other == name && to != from) else {
                continue;
            };
            let text = format!("{} changed {} -> {}", named(name), shown(from), shown(to));
            self.found.push((BumpKind::Major, text));
        }
    }

    /// Looks at model files; gives back those that changed and cannot be read.
    fn models(&mut self, changes: &[Change]) -> Result<Vec<RepoPath>> {
        let (mut opaque, mut gone, mut come) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes.iter().filter(|c| c.component == Component::Model) {
            self.progress.check()?;
            let path = &change.path;
            match (&change.from, &change.to) {
                (Some(from), Some(to)) if from.id == to.id => {}
                (Some(from), Some(to)) if is_file(from) && is_file(to) => {
                    if self.pair((path, from), (path, to))? == Readable::No {
                        opaque.push(path.clone());
                    }
                }
                (Some(_), Some(_)) => opaque.push(path.clone()),
                (Some(from), None) => gone.push((path, from)),
                (None, Some(to)) => come.push((path, to)),
                (None, None) => {}
            }
        }
        self.moved(gone, come)?;
        Ok(opaque)
    }

    /// Files that went and files that came: the same one under another name, or else lost and added.
    fn moved(
        &mut self,
        mut gone: Vec<(&RepoPath, &FileEntry)>,
        mut come: Vec<(&RepoPath, &FileEntry)>,
    ) -> Result<()> {
        let ids: HashMap<Hash, usize> = come.iter().enumerate().map(|(n, c)| (c.1.id, n)).collect();
        let mut taken = vec![false; come.len()];
        gone.retain(|(_, entry)| match ids.get(&entry.id) {
            Some(at) => {
                taken[*at] = true;
                false
            }
            None => true,
        });
        let mut kept = taken.iter();
        come.retain(|_| kept.next() == Some(&false));
        let mut schemas: HashMap<Hash, Vec<(&RepoPath, &FileEntry)>> = HashMap::new();
        let mut added = Vec::new();
        for (path, entry) in come {
            self.progress.check()?;
            match self.content(Side::New, path, entry)? {
                Content::Tensors(model) => {
                    schemas.entry(tensors::schema(&model)).or_default().push((path, entry));
                }
                Content::Opaque => added.push(path),
                Content::Other => {}
            }
        }
        for (path, entry) in gone {
            self.progress.check()?;
            let content = self.content(Side::Old, path, entry)?;
            let same = match &content {
                Content::Tensors(model) => schemas.get_mut(&tensors::schema(model)),
                Content::Opaque => None,
                Content::Other => continue,
            };
            match same.and_then(Vec::pop) {
                Some(renamed) => drop(self.pair((path, entry), renamed)?),
                None => {
                    let text = format!("model file {} is gone", path.display_escaped());
                    self.found.push((BumpKind::Major, text));
                }
            }
        }
        added.extend(schemas.into_values().flatten().map(|(path, _)| path));
        added.sort();
        for path in added {
            let text = format!("model file {} added", path.display_escaped());
            self.found.push((BumpKind::Minor, text));
        }
        Ok(())
    }

    /// Compares two model files.
    fn pair(
        &mut self,
        old: (&RepoPath, &FileEntry),
        new: (&RepoPath, &FileEntry),
    ) -> Result<Readable> {
        let before = self.content(Side::Old, old.0, old.1)?;
        let after = self.content(Side::New, new.0, new.1)?;
        match (before, after) {
            (Content::Tensors(before), Content::Tensors(after)) => {
                let (interface, added) = tensors::compare(&before, &after, new.0);
                let same = interface.is_empty() && added.is_empty();
                self.found.extend(interface.into_iter().map(|text| (BumpKind::Major, text)));
                self.found.extend(added.into_iter().map(|text| (BumpKind::Minor, text)));
                if same {
                    let from = self.bytes(Side::Old, old.0, old.1)?;
                    let to = self.bytes(Side::New, new.0, new.1)?;
                    let sides = [(&before, &from), (&after, &to)];
                    self.weights.compare(new.0, sides, self.progress)?;
                }
                Ok(Readable::Yes)
            }
            (Content::Other, Content::Other) => Ok(Readable::Yes),
            _ => Ok(Readable::No),
        }
    }

    fn content(&self, side: Side, path: &RepoPath, entry: &FileEntry) -> Result<Content> {
        if !is_file(entry) {
            return Ok(Content::Other);
        }
        tensors::content(path, &self.bytes(side, path, entry)?)
    }

    fn bytes(&self, side: Side, path: &RepoPath, entry: &FileEntry) -> Result<FileBytes> {
        match side {
            Side::Old => FileBytes::stored(self.store, entry),
            Side::New => (self.open)(path, entry),
        }
    }

    /// Looks at what configurations say of a model's architecture.
    fn architectures(&mut self, changes: &[Change]) -> Result<()> {
        for change in changes {
            let Some(from) = change.from.filter(is_file) else { continue };
            let to = change.to.filter(is_file);
            let differs = to.is_none_or(|to| to.id != from.id);
            if !differs || !architecture::is_config(&change.path, change.component) {
                continue;
            }
            self.progress.check()?;
            let path = &change.path;
            let before = architecture::read(path, &self.bytes(Side::Old, path, &from)?)?;
            let after = match &to {
                Some(to) => architecture::read(path, &self.bytes(Side::New, path, to)?)?,
                None => Default::default(),
            };
            let texts = architecture::compare(&before, &after, &change.path);
            self.found.extend(texts.into_iter().map(|text| (BumpKind::Major, text)));
        }
        Ok(())
    }

    /// Looks at the columns of tables.
    fn tables(&mut self, changes: &[Change]) -> Result<()> {
        for change in changes.iter().filter(|c| c.component == Component::Data) {
            let (Some(from), Some(to)) = (change.from.filter(is_file), change.to.filter(is_file))
            else {
                continue;
            };
            if from.id == to.id {
                continue;
            }
            self.progress.check()?;
            let old = self.bytes(Side::Old, &change.path, &from)?;
            let new = self.bytes(Side::New, &change.path, &to)?;
            let (lost, added) = columns::compare(&change.path, &old, &new)?;
            self.found.extend(lost.into_iter().map(|text| (BumpKind::Major, text)));
            self.found.extend(added.into_iter().map(|text| (BumpKind::Minor, text)));
        }
        Ok(())
    }

    /// The strongest finding, with the number of those that are as strong.
    fn conclude(mut self, rest: impl FnOnce() -> String) -> Suggestion {
        if let Some(text) = self.weights.reason() {
            self.found.insert(0, (BumpKind::Minor, text));
        }
        let kind = self.found.iter().map(|(kind, _)| *kind).max().unwrap_or(BumpKind::Patch);
        let mut as_strong = self.found.into_iter().filter(|(k, _)| *k == kind);
        let Some((_, mut reason)) = as_strong.next() else {
            return Suggestion { kind, reason: rest() };
        };
        let more = as_strong.count();
        if more > 0 {
            let noun = if more == 1 { "change" } else { "changes" };
            reason.push_str(&format!(" and {more} more {noun}"));
        }
        Suggestion { kind, reason }
    }
}

/// Whether a changed model file could be read on both sides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readable {
    Yes,
    No,
}

/// Every param and metadata of that name, alone or at the end of a dotted one.
fn features(manifest: &Manifest) -> Vec<(&str, Scalar)> {
    let named = |name: &str| name == FEATURES || name.ends_with(".feature_set_version");
    let params = manifest.params.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let metadata =
        manifest.metadata.iter().map(|(name, value)| (name.as_str(), Scalar::parse(value)));
    params.chain(metadata).filter(|(name, _)| named(name)).collect()
}

/// What differs apart from interfaces and weights: `only code and params differ`.
fn rest(changes: &[Change], values: &[&'static str]) -> String {
    let mut parts: Vec<&str> = Component::ALL
        .into_iter()
        .filter(|component| changes.iter().any(|c| c.component == *component))
        .map(
            |component| if component == Component::Env { "lock files" } else { component.as_str() },
        )
        .collect();
    parts.extend(values);
    match parts.as_slice() {
        [] => "nothing differs".to_owned(),
        // The others are plural, or are read so.
        [one @ ("code" | "data" | "model" | "environment" | "metadata")] => {
            format!("only {one} differs")
        }
        [one] => format!("only {one} differ"),
        [first @ .., last] => format!("only {} and {last} differ", first.join(", ")),
    }
}

fn shown(value: &Scalar) -> String {
    let text = value.to_string();
    mv_graph::escape(&text[..text.floor_char_boundary(80)]).to_string()
}
