//! What is in the work tree, and how it differs from the stat cache.
//!
//! A [`Scan`] holds one vector per directory, and none for a directory whose files are exactly
//! those of the cache: those are read where the cache has them. So a tree without changes costs
//! the system calls, a comparison a file and a few bytes a directory. Three questions are cheap:
//!
//! - [`Scan::is_unchanged`] and [`Scan::differences`]: against the cache, touching only what differs;
//! - [`Scan::files`]: everything in path order, without allocating, for building trees;
//! - [`Scan::get`]: one path.
//!
//! A file is not opened here. Whether it *changed* is only known when it is hashed: a difference
//! says that the cache cannot vouch for it. Saving what was learned is in `cache_save`.

use mv_graph::{Component, Mode, RepoPath};
use mv_store::{Hash, Progress, Unit};

use super::beneath::Root;
use super::components::Rules;
use super::order::{compare, is_below, join, split};
use super::scanned::{OwnFiles, ScannedDir};
use super::stat::Stat;
use super::stat_cache::{CacheEntry, StatCache};
use super::walk::{Walk, repo_path};
use crate::error::Result;

/// More threads than this do not help on a local disk, and each may hold two directories open.
const MAX_THREADS: usize = 8;

/// How to scan.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// Threads; none for as many as rayon has, at most eight.
    pub threads: Option<usize>,
}

/// Everything in a work tree that is not ignored, at one moment.
#[derive(Debug)]
pub struct Scan {
    pub(super) cache: StatCache,
    pub(super) dirs: Vec<ScannedDir>,
    pub(super) rules: Hash,
    skipped: Vec<Skipped>,
}

/// Something that is not versioned although nothing ignores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where.
    pub path: RepoPath,
    /// Why, in words; escaped.
    pub why: String,
}

/// A file, symlink or empty directory in the work tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where it belongs.
    pub component: Component,
    /// What it is; `Dir` is a directory with nothing in it.
    pub mode: Mode,
    /// Its stat; zero for an empty directory.
    pub stat: Stat,
    /// Its content, when the cache vouches for it; none for an empty directory.
    pub known: Option<Hash>,
}

/// A [`Found`] and where it is, borrowed from the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRef<'a> {
    /// The directory, empty for the root.
    pub dir: &'a [u8],
    /// The name in it.
    pub name: &'a [u8],
    /// What is there.
    pub found: Found,
}

/// A path at which the cache cannot vouch for the work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub path: RepoPath,
    /// What the cache has; none if the path was added.
    pub before: Option<CacheEntry>,
    /// What is there; none if the path was deleted or is ignored now.
    pub now: Option<Found>,
}

/// Scans the work tree. The cache may be of any age; what it says is only used where it holds.
///
/// # Errors
/// `Io` for a directory that cannot be read; `BadName` for a name that cannot be stored;
/// `Changed` if a directory is replaced meanwhile; `Store(Cancelled)`.
pub fn scan(
    root: &Root,
    rules: &Rules,
    cache: &StatCache,
    options: &ScanOptions,
    progress: &Progress,
) -> Result<Scan> {
    let task = progress.task("looking at files", Unit::Items);
    let threads = options.threads.unwrap_or_else(rayon::current_num_threads).clamp(1, MAX_THREADS);
    let (dirs, skipped) = Walk::new(root, rules, cache, progress, &task).run(threads)?;
    Ok(Scan { cache: cache.clone(), dirs, rules: rules.fingerprint(), skipped })
}

impl Scan {
    /// Special files, nested repositories and bad ignore files, by path.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The number of files, symlinks and empty directories.
    #[must_use]
    pub fn len(&self) -> u64 {
        let count =
            |index: usize| self.dir_len(index) + usize::from(self.dirs[index].empty.is_some());
        (0..self.dirs.len()).map(|index| count(index) as u64).sum()
    }

    /// Whether there is nothing to version.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the work tree is exactly what the cache has: its `head`, if it has one.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.dirs.iter().all(|dir| dir.own.is_none() || self.is_new_without_files(dir))
            && self.dirs.iter().all(|dir| dir.empty == self.empty_before(dir))
            && self.vanished().next().is_none()
    }

    /// Whether a cache saved now would be of no more use than the one there is.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let current = |dir: &ScannedDir| {
            dir.own.is_none()
                && dir.cached.is_some_and(|i| {
                    let view = self.cache.view(i);
                    view.chain == dir.chain && view.empty == dir.empty
                })
        };
        self.rules == self.cache.header().rules
            && self.dirs.len() == self.cache.dirs()
            && self.dirs.iter().all(current)
    }

    /// Every path at which the cache does not vouch for the work tree, in path order.
    ///
    /// # Errors
    /// `BadName` for a damaged cache.
    pub fn differences(&self) -> Result<Vec<Difference>> {
        let mut all = Vec::new();
        for (index, dir) in self.dirs.iter().enumerate() {
            if let Some(own) = &dir.own {
                self.compare_files(index, own, &mut all)?;
            }
            let before = self.empty_before(dir);
            if before != dir.empty {
                let path = repo_path(&dir.path)?;
                let (before, now) = (before.map(empty_entry), dir.empty.map(empty_found));
                all.push(Difference { path, before, now });
            }
        }
        for index in self.vanished() {
            let view = self.cache.view(index);
            for entry in (0..view.len()).filter_map(|i| view.get(i)) {
                let path = repo_path(&join(view.path, entry.name))?;
                all.push(Difference { path, before: Some(entry.entry), now: None });
            }
            if let Some(component) = view.empty {
                let before = Some(empty_entry(component));
                all.push(Difference { path: repo_path(view.path)?, before, now: None });
            }
        }
        all.sort_unstable_by(|a: &Difference, b| a.path.cmp(&b.path));
        // A file that became an empty directory, or the reverse, is one difference.
        all.dedup_by(|later, kept| {
            let same = later.path == kept.path;
            if same {
                kept.before = kept.before.or(later.before);
                kept.now = kept.now.or(later.now);
            }
            same
        });
        Ok(all)
    }

    /// Everything there is, in path order.
    #[must_use]
    pub fn files(&self) -> Files<'_> {
        Files { scan: self, open: Vec::new(), next: 0 }
    }

    /// What is at a path.
    #[must_use]
    pub fn get(&self, path: &RepoPath) -> Option<Found> {
        let (parent, name) = split(path.as_bytes());
        if let Some(dir) = self.find(path.as_bytes()) {
            return self.dirs[dir].empty.map(empty_found);
        }
        let index = self.find(parent)?;
        let dir = &self.dirs[index];
        let at = match (&dir.own, dir.cached) {
            (Some(own), _) => {
                let (mut low, mut high) = (0, own.entries.len());
                while low < high {
                    let middle = low + (high - low) / 2;
                    if own.name(middle) < name { low = middle + 1 } else { high = middle }
                }
                low
            }
            (None, Some(cached)) => self.cache.view(cached).search(name).ok()?,
            (None, None) => return None,
        };
        self.file(index, at).filter(|file| file.name == name).map(|file| file.found)
    }

    /// Whether a path is a directory that is not ignored.
    #[must_use]
    pub fn is_dir(&self, path: &RepoPath) -> bool {
        self.has_dir(path.as_bytes())
    }

    pub(super) fn has_dir(&self, path: &[u8]) -> bool {
        self.find(path).is_some()
    }

    fn find(&self, path: &[u8]) -> Option<usize> {
        self.dirs.binary_search_by(|dir| compare(&dir.path, path)).ok()
    }

    fn dir_len(&self, index: usize) -> usize {
        let dir = &self.dirs[index];
        match (&dir.own, dir.cached) {
            (Some(own), _) => own.entries.len(),
            (None, Some(cached)) => self.cache.view(cached).len(),
            (None, None) => 0,
        }
    }

    /// One file of a directory; none past the end.
    pub(super) fn file(&self, index: usize, at: usize) -> Option<FileRef<'_>> {
        let dir = &self.dirs[index];
        let view = dir.cached.map(|cached| self.cache.view(cached));
        let Some(own) = &dir.own else {
            let cached = view?.get(at)?;
            let CacheEntry { component, mode, stat, id } = cached.entry;
            let found = Found { component, mode, stat, known: Some(id) };
            return Some(FileRef { dir: &dir.path, name: cached.name, found });
        };
        let entry = own.entries.get(at)?;
        let known = view.filter(|_| entry.known).and_then(|v| v.get(entry.cached as usize));
        let (component, mode, stat) = (entry.component, entry.mode, entry.stat);
        let found = Found { component, mode, stat, known: known.map(|c| c.entry.id) };
        Some(FileRef { dir: &dir.path, name: own.name(at), found })
    }

    fn is_new_without_files(&self, dir: &ScannedDir) -> bool {
        dir.cached.is_none() && dir.own.as_ref().is_none_or(|own| own.entries.is_empty())
    }

    fn empty_before(&self, dir: &ScannedDir) -> Option<Component> {
        dir.cached.and_then(|cached| self.cache.view(cached).empty)
    }

    /// The cache's directories that are gone and took something along.
    fn vanished(&self) -> impl Iterator<Item = usize> {
        let mut seen = self.dirs.iter().filter_map(|dir| dir.cached).peekable();
        (0..self.cache.dirs()).filter(move |&index| {
            let view = self.cache.view(index);
            seen.next_if_eq(&index).is_none() && (view.len() > 0 || view.empty.is_some())
        })
    }

    fn compare_files(&self, index: usize, own: &OwnFiles, all: &mut Vec<Difference>) -> Result<()> {
        let dir = &self.dirs[index];
        let view = dir.cached.map(|cached| self.cache.view(cached));
        let mut next_cached = 0;
        let mut deleted = |until: usize, all: &mut Vec<Difference>| -> Result<()> {
            for cached in (next_cached..until).filter_map(|i| view.and_then(|v| v.get(i))) {
                let path = repo_path(&join(&dir.path, cached.name))?;
                all.push(Difference { path, before: Some(cached.entry), now: None });
            }
            next_cached = until + 1;
            Ok(())
        };
        for (at, entry) in own.entries.iter().enumerate() {
            if entry.cached != u32::MAX {
                deleted(entry.cached as usize, all)?;
            }
            if entry.same {
                continue;
            }
            let Some(file) = self.file(index, at) else { continue };
            let before = view.and_then(|v| v.get(entry.cached as usize)).map(|c| c.entry);
            all.push(Difference { path: file.path()?, before, now: Some(file.found) });
        }
        deleted(view.map_or(0, |v| v.len()), all)
    }
}

fn empty_found(component: Component) -> Found {
    Found { component, mode: Mode::Dir, stat: Stat::default(), known: None }
}

fn empty_entry(component: Component) -> CacheEntry {
    CacheEntry { component, mode: Mode::Dir, stat: Stat::default(), id: Hash::ZERO }
}

impl FileRef<'_> {
    /// The path from the root.
    ///
    /// # Errors
    /// `BadName` for a damaged cache.
    pub fn path(&self) -> Result<RepoPath> {
        repo_path(&join(self.dir, self.name))
    }
}

/// The files of a scan in path order; see [`Scan::files`].
#[derive(Debug)]
pub struct Files<'a> {
    scan: &'a Scan,
    /// The directories around the next file, outermost first, and how far each has been read.
    open: Vec<(usize, usize)>,
    next: usize,
}

impl<'a> Iterator for Files<'a> {
    type Item = FileRef<'a>;

    fn next(&mut self) -> Option<FileRef<'a>> {
        loop {
            let dirs = &self.scan.dirs;
            let next = dirs.get(self.next);
            let Some((index, at)) = self.open.last_mut() else {
                next?;
                self.open.push((self.next, 0));
                self.next += 1;
                continue;
            };
            // Directories are in path order, so the next one is inside this one or past it.
            let inside = next.filter(|next| is_below(&next.path, &dirs[*index].path));
            let file = self.scan.file(*index, *at);
            let Some(dir) = inside.filter(|dir| file.is_none_or(|f| split(&dir.path).1 < f.name))
            else {
                if file.is_some() {
                    *at += 1;
                    return file;
                }
                self.open.pop();
                continue;
            };
            if let Some(component) = dir.empty {
                self.next += 1;
                let (dir, name) = split(&dir.path);
                return Some(FileRef { dir, name, found: empty_found(component) });
            }
            self.open.push((self.next, 0));
            self.next += 1;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
