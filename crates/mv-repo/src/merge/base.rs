//! What two versions are compared with when they are merged.
//!
//! Usually that is their newest common ancestor. After criss-cross merges there are several: they
//! are merged with one another, in memory, path by path: where they agree that entry is the base,
//! texts are merged by line (with markers, where they contradict each other, as git does), and what
//! cannot be merged has no base.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Cursor;
use std::path::Path;

use mv_graph::diff::{self, Change, ChangeKind};
use mv_graph::{Component, FileEntry, Manifest, RepoPath, walk};
use mv_store::{Hash, Kind, Outline, Store, StoreWriter, Task, id_of};

use super::plan::{self, Manner, Side, Texts};
use crate::config::PROJECT_FILE;
use crate::error::Result;
use crate::repo::Repo;
use crate::text_merge::{self, Favor, Labels, MAX_TEXT};

/// Common ancestors that are merged with one another; more are left out.
const MOST_BASES: usize = 8;
/// How often the bases of bases are looked for.
const DEPTH: usize = 3;
/// Bytes of merged texts that are kept in memory; of files beyond that there is no base.
const MOST_TEXT: usize = 128 << 20;

type Entry = (Component, FileEntry);

/// A version, or one made in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    /// None stands for a version without files.
    pub(crate) manifest: Option<Manifest>,
    /// What differs from it.
    differs: BTreeMap<RepoPath, Option<Entry>>,
}

impl Base {
    pub(crate) fn of(manifest: Manifest) -> Base {
        Base { manifest: Some(manifest), differs: BTreeMap::new() }
    }

    /// What a version changed since this one.
    pub(crate) fn changes_to(&self, repo: &Repo, other: &Base) -> Result<Vec<Change>> {
        let (from, to) = (self.manifest.as_ref(), other.manifest.as_ref());
        let changes = diff::changes(repo.store(), from, to)?;
        if self.differs.is_empty() && other.differs.is_empty() {
            return Ok(changes);
        }
        let mut changes: BTreeMap<RepoPath, Change> =
            changes.into_iter().map(|c| (c.path.clone(), c)).collect();
        let paths: HashSet<&RepoPath> = self.differs.keys().chain(other.differs.keys()).collect();
        let (mut before, mut after) = (self.at(repo, &paths)?, other.at(repo, &paths)?);
        for path in paths {
            match change(path, before.remove(path), after.remove(path)) {
                Some(change) => drop(changes.insert(path.clone(), change)),
                None => drop(changes.remove(path)),
            }
        }
        Ok(changes.into_values().collect())
    }

    /// What is at some paths. One walk over all files: a look-up for each path would decode its
    /// directory's tree as often.
    fn at(&self, repo: &Repo, paths: &HashSet<&RepoPath>) -> Result<HashMap<RepoPath, Entry>> {
        let mut found = HashMap::new();
        if let Some(manifest) = &self.manifest {
            diff::visit_files(repo.store(), manifest, &mut |path, component, entry| {
                if paths.contains(&path) {
                    found.insert(path, (component, entry));
                }
                Ok(())
            })?;
        }
        for (path, entry) in &self.differs {
            match entry {
                Some(entry) => drop(found.insert(path.clone(), *entry)),
                None => drop(found.remove(path)),
            }
        }
        Ok(found)
    }
}

fn change(path: &RepoPath, from: Option<Entry>, to: Option<Entry>) -> Option<Change> {
    if from == to {
        return None;
    }
    let kind = match (&from, &to) {
        (Some((_, a)), Some((_, b))) if a.mode.same_type(b.mode) => ChangeKind::Modified,
        (Some(_), Some(_)) => ChangeKind::TypeChange,
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Deleted,
    };
    let component = to.or(from)?.0;
    Some(Change {
        path: path.clone(),
        component,
        kind,
        from: from.map(|(_, e)| e),
        to: to.map(|(_, e)| e),
    })
}

/// The base of two versions, from their best common ancestors; at least one must be given.
pub(crate) fn of(repo: &Repo, ancestors: &[Hash], blobs: &mut Blobs<'_>) -> Result<Base> {
    of_some(repo, ancestors, blobs, DEPTH)
}

fn of_some(repo: &Repo, ancestors: &[Hash], blobs: &mut Blobs<'_>, depth: usize) -> Result<Base> {
    let Some((first, others)) = ancestors.split_first() else { return Ok(Base::default()) };
    let mut merged = Base::of(repo.manifest(first)?);
    if depth == 0 {
        return Ok(merged);
    }
    let labels = Labels::new("one ancestor", "another ancestor");
    for other in others.iter().take(MOST_BASES - 1) {
        let below = walk::merge_bases(repo.store(), first, other)?;
        let base = of_some(repo, &below, blobs, depth - 1)?;
        let other = Base::of(repo.manifest(other)?);
        let ours = Side::new(base.changes_to(repo, &merged)?, Vec::new());
        let theirs = Side::new(base.changes_to(repo, &other)?, Vec::new());
        let manner = Manner { favor: Favor::Neither, labels: &labels };
        let plan = plan::plan(&ours, &theirs, blobs, manner)?;
        merged.differs.extend(plan.put);
        // What could not be merged stands for nothing.
        let unmerged = plan.conflicts.into_iter().filter(|c| !c.marked);
        merged.differs.extend(unmerged.map(|c| (c.path, None)));
    }
    Ok(merged)
}

/// Texts of the repository, and merged ones: kept in memory, and stored once there is a writer.
pub(crate) struct Blobs<'a> {
    store: &'a Store,
    writer: Option<(&'a StoreWriter<'a>, &'a Task)>,
    /// None for one that there was no room for.
    made: HashMap<Hash, Option<Vec<u8>>>,
    room: usize,
}

impl<'a> Blobs<'a> {
    pub(crate) fn new(store: &'a Store) -> Blobs<'a> {
        Blobs { store, writer: None, made: HashMap::new(), room: MOST_TEXT }
    }

    fn hold(&mut self, id: Hash, text: Vec<u8>) {
        if self.made.contains_key(&id) {
            return;
        }
        let rest = self.room.checked_sub(text.len());
        self.room = rest.unwrap_or(self.room);
        self.made.insert(id, rest.map(|_| text));
    }

    /// From now on merged texts are stored.
    pub(crate) fn store_in(&mut self, writer: &'a StoreWriter<'a>, task: &'a Task) {
        self.writer = Some((writer, task));
    }
}

impl Texts for Blobs<'_> {
    fn read(&mut self, entry: &FileEntry) -> Result<Option<Vec<u8>>> {
        if entry.bytes > MAX_TEXT {
            return Ok(None);
        }
        let bytes = match self.made.get(&entry.id) {
            Some(Some(bytes)) => bytes.clone(),
            Some(None) => return Ok(None),
            None => self.store.get(Kind::Blob, &entry.id, MAX_TEXT)?,
        };
        Ok(Some(bytes).filter(|bytes| text_merge::is_text(bytes)))
    }

    fn keep(&mut self, path: &RepoPath, text: Vec<u8>) -> Result<(Hash, u64)> {
        let len = text.len() as u64;
        let Some((writer, task)) = self.writer else {
            let id = id_of(Kind::Blob, &text);
            self.hold(id, text);
            return Ok((id, len));
        };
        let stored = writer.put_file(
            Path::new("a merged text"),
            len,
            &Outline::default(),
            &mut Cursor::new(&text),
            task,
        )?;
        if path.as_bytes() == PROJECT_FILE.as_bytes() {
            // It is asked for once more before it can be read from the repository.
            self.made.insert(stored.0, Some(text));
        }
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_texts_of_bases_take_a_bounded_amount_of_memory() {
        let store = Store::open(Path::new("/nowhere"), &[]);
        let mut blobs = Blobs::new(&store);
        let path: RepoPath = "a".parse().unwrap();
        let mut kept = Vec::new();
        for first in [b'a', b'b', b'b', b'c'] {
            let (id, bytes) = blobs.keep(&path, vec![first; 8]).unwrap();
            kept.push(FileEntry { mode: mv_graph::Mode::File, id, bytes });
            blobs.room = blobs.room.min(8);
        }
        let mut there = |n: usize| blobs.read(&kept[n]).unwrap().is_some();
        assert!(there(0) && there(1) && there(2), "what there was room for");
        assert!(!there(3), "and the rest is no text that can be merged");
    }
}
