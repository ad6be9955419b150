//! Files of a version, and what changed between two versions.
//!
//! The four components of a version are one directory tree seen by a user: [`visit_files`] walks
//! them together, in the order of paths, and refuses a version in which they contradict each
//! other. [`changes`] compares component by component and skips whatever has the same id.
//!
//! Every tree is held to the totals that its parent claims, up to the manifest, so a hostile tree
//! that shares children 10^10 times is refused at the manifest, before anything is walked. Totals
//! count files; directories without files are counted while walking, to a limit of their own.

use mv_store::Hash;

use crate::component::Component;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::objects::Objects;
use crate::path::RepoPath;
use crate::tree::{Mode, Tree, TreeEntry};
use crate::trees::FileEntry;

/// Files of the largest version.
pub const MAX_FILES: u64 = 10_000_000;
/// Directories without a file below them, of one version.
pub const MAX_EMPTY_DIRS: u64 = if cfg!(test) { 10_000 } else { 1_000_000 };

/// One file, symlink or empty directory of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Where it is.
    pub path: RepoPath,
    /// The part it belongs to.
    pub component: Component,
    /// What it is.
    pub entry: FileEntry,
}

/// How a path changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// Only the newer version has it.
    Added,
    /// Content, executable bit or component differ.
    Modified,
    /// Only the older version has it.
    Deleted,
    /// A file became a symlink or an empty directory, or the other way round.
    TypeChange,
}

impl ChangeKind {
    /// The name used in `--json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
            ChangeKind::TypeChange => "typechange",
        }
    }
}

/// One path that differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: RepoPath,
    /// The component in the newer version; of a deleted path, in the older one.
    pub component: Component,
    /// How.
    pub kind: ChangeKind,
    /// What was there; none when added.
    pub from: Option<FileEntry>,
    /// What is there; none when deleted.
    pub to: Option<FileEntry>,
}

/// Every file, symlink and empty directory of a version, in the order of paths.
///
/// # Errors
/// Those of [`visit_files`].
pub fn list(objects: &dyn Objects, manifest: &Manifest) -> Result<Vec<ListedFile>> {
    // The claim is not trusted with memory: it is true once the walk is through.
    let expected = usize::try_from(manifest.totals().0).unwrap_or(usize::MAX).min(1 << 16);
    let mut files = Vec::with_capacity(expected);
    visit_files(objects, manifest, &mut |path, component, entry| {
        files.push(ListedFile { path, component, entry });
        Ok(())
    })?;
    Ok(files)
}

/// Hands out every file, symlink and empty directory of a version in the order of paths. Memory:
/// the trees along one path.
///
/// # Errors
/// [`Error::Corrupt`] when a path is in two components, a file in one is a directory in another, a
/// path is refused, or totals are wrong; and for more than 10 million files; those
/// of [`Tree::read`] and of `visit`.
pub fn visit_files(
    objects: &dyn Objects,
    manifest: &Manifest,
    visit: &mut dyn FnMut(RepoPath, Component, FileEntry) -> Result<()>,
) -> Result<()> {
    check_size(manifest)?;
    let mut roots = Vec::with_capacity(4);
    for component in Component::ALL {
        let part = manifest.component(component);
        roots.push((component, Tree::read_counted(objects, &part.tree, part.files, part.bytes)?));
    }
    Listing { objects, visit, at: Location::default(), empty_dirs: 0 }.overlay(roots)
}

/// Refuses a version of too many files before anything is walked.
fn check_size(manifest: &Manifest) -> Result<()> {
    let (files, _) = manifest.totals();
    if files > MAX_FILES {
        let detail = format!("it has {files} files, more than {MAX_FILES}");
        return Err(Error::corrupt("version", "files", detail));
    }
    Ok(())
}

fn count_empty(count: &mut u64) -> Result<()> {
    *count += 1;
    if *count > MAX_EMPTY_DIRS {
        let detail = format!("it has more than {MAX_EMPTY_DIRS} directories without files");
        return Err(Error::corrupt("version", "files", detail));
    }
    Ok(())
}

/// The directory that a walk is in.
#[derive(Default)]
struct Location {
    path: Vec<u8>,
    depth: usize,
}

impl Location {
    fn enter(&mut self, name: &[u8]) -> usize {
        let before = self.path.len();
        if before > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        self.depth += 1;
        before
    }

    fn leave(&mut self, before: usize) {
        self.path.truncate(before);
        self.depth -= 1;
    }

    /// The path of the directory itself; names were checked when their trees were decoded.
    fn to_path(&self) -> Result<RepoPath> {
        RepoPath::from_checked(&self.path, self.depth)
            .map_err(|fault| Error::corrupt("path", crate::escape::escape_bytes(&self.path), fault))
    }
}

struct Listing<'a> {
    objects: &'a dyn Objects,
    visit: &'a mut dyn FnMut(RepoPath, Component, FileEntry) -> Result<()>,
    at: Location,
    empty_dirs: u64,
}

impl Listing<'_> {
    /// Walks one directory that is in several components. Recursion ends at the deepest path.
    fn overlay(&mut self, mut trees: Vec<(Component, Tree)>) -> Result<()> {
        if let [(component, tree)] = &mut trees[..] {
            return self.single(*component, std::mem::take(tree));
        }
        let mut rest: Vec<_> =
            trees.into_iter().map(|(c, tree)| (c, tree.entries.into_iter().peekable())).collect();
        while let Some(name) =
            rest.iter_mut().filter_map(|(_, e)| e.peek()).map(|e| &e.name).min().cloned()
        {
            let mut same = Vec::with_capacity(1);
            for (component, entries) in &mut rest {
                same.extend(entries.next_if(|e| e.name == name).map(|e| (*component, e)));
            }
            let before = self.at.enter(&name);
            match &same[..] {
                [(component, entry)] => self.entry(*component, entry)?,
                several => self.shared(several)?,
            }
            self.at.leave(before);
        }
        Ok(())
    }

    /// Walks one directory that is in one component only.
    fn single(&mut self, component: Component, tree: Tree) -> Result<()> {
        for entry in &tree.entries {
            let before = self.at.enter(&entry.name);
            self.entry(component, entry)?;
            self.at.leave(before);
        }
        Ok(())
    }

    fn entry(&mut self, component: Component, entry: &TreeEntry) -> Result<()> {
        let path = self.at.to_path()?;
        if entry.mode != Mode::Dir {
            return (self.visit)(path, component, file_of(entry));
        }
        let tree = Tree::read_counted(self.objects, &entry.id, entry.files, entry.bytes)?;
        if entry.files == 0 {
            count_empty(&mut self.empty_dirs)?;
        }
        if tree.entries.is_empty() {
            return (self.visit)(path, component, file_of(entry));
        }
        self.single(component, tree)
    }

    /// A name that is in several components: there it must be a directory in each.
    fn shared(&mut self, entries: &[(Component, TreeEntry)]) -> Result<()> {
        let path = self.at.to_path()?;
        let twice = || Error::corrupt("version", &path, "the path is in two components");
        let mut trees = Vec::with_capacity(entries.len());
        for (component, entry) in entries {
            if entry.mode != Mode::Dir {
                return Err(twice());
            }
            if entry.files == 0 {
                count_empty(&mut self.empty_dirs)?;
            }
            trees.push((
                *component,
                Tree::read_counted(self.objects, &entry.id, entry.files, entry.bytes)?,
            ));
        }
        // Empty in one component and filled by another, it is not empty.
        let filled = trees.iter().any(|(_, tree)| !tree.entries.is_empty());
        if !filled {
            return Err(twice());
        }
        trees.retain(|(_, tree)| !tree.entries.is_empty());
        self.overlay(trees)
    }
}

fn file_of(entry: &TreeEntry) -> FileEntry {
    FileEntry { mode: entry.mode, id: entry.id, bytes: entry.bytes }
}

/// What differs between two versions, in the order of paths; none stands for a version without
/// files. Costs the trees that differ.
///
/// A path that moved to another component is one change, with the new component. A directory that
/// was empty and is filled is no change of its own; one that became empty is added.
///
/// # Errors
/// As [`visit_files`], for what is read; contradictions in what both versions share are not seen.
pub fn changes(
    objects: &dyn Objects,
    from: Option<&Manifest>,
    to: Option<&Manifest>,
) -> Result<Vec<Change>> {
    for manifest in [from, to].into_iter().flatten() {
        check_size(manifest)?;
    }
    let mut all = Vec::new();
    for component in Component::ALL {
        let [old, new] = [from, to].map(|m| m.map(|m| *m.component(component)));
        if old.map(|c| c.tree) == new.map(|c| c.tree) {
            continue;
        }
        let read = |part: Option<crate::ComponentRef>| match part {
            Some(part) => Tree::read_counted(objects, &part.tree, part.files, part.bytes),
            None => Ok(Tree::default()),
        };
        let (old, new) = (read(old)?, read(new)?);
        let mut compare =
            Compare { objects, component, at: Location::default(), empty_dirs: 0, found: &mut all };
        compare.trees(&old, &new)?;
    }
    // Each component came in order; a stable sort merges the runs.
    all.sort_by(|a, b| a.path.cmp(&b.path));
    join_moves(all)
}

struct Compare<'a> {
    objects: &'a dyn Objects,
    component: Component,
    at: Location,
    empty_dirs: u64,
    found: &'a mut Vec<Change>,
}

impl Compare<'_> {
    /// Merges two sorted directories. Recursion ends at the deepest path.
    fn trees(&mut self, old: &Tree, new: &Tree) -> Result<()> {
        let (mut old, mut new) = (old.entries.iter().peekable(), new.entries.iter().peekable());
        loop {
            let (from, to) = match (old.peek(), new.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => (old.next(), None),
                (None, Some(_)) => (None, new.next()),
                (Some(a), Some(b)) => match a.name.cmp(&b.name) {
                    std::cmp::Ordering::Less => (old.next(), None),
                    std::cmp::Ordering::Greater => (None, new.next()),
                    std::cmp::Ordering::Equal => (old.next(), new.next()),
                },
            };
            let Some(name) = from.or(to).map(|e| &e.name) else { return Ok(()) };
            if let (Some(a), Some(b)) = (from, to)
                && (a.id, a.mode, a.bytes, a.files) == (b.id, b.mode, b.bytes, b.files)
            {
                continue;
            }
            let before = self.at.enter(name);
            self.entries(from, to)?;
            self.at.leave(before);
        }
    }

    fn entries(&mut self, from: Option<&TreeEntry>, to: Option<&TreeEntry>) -> Result<()> {
        let path = self.at.to_path()?;
        let (old, old_tree) = self.open(from)?;
        let (new, new_tree) = self.open(to)?;
        if old.is_some() || new.is_some() {
            let kind = match (&old, &new) {
                (Some(old), Some(new)) if old.mode.same_type(new.mode) => ChangeKind::Modified,
                (Some(_), Some(_)) => ChangeKind::TypeChange,
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Deleted,
            };
            self.found.push(Change { path, component: self.component, kind, from: old, to: new });
        }
        if old_tree.entries.is_empty() && new_tree.entries.is_empty() {
            return Ok(());
        }
        self.trees(&old_tree, &new_tree)
    }

    /// What an entry is at its own path, and what it has below.
    fn open(&mut self, entry: Option<&TreeEntry>) -> Result<(Option<FileEntry>, Tree)> {
        match entry {
            None => Ok((None, Tree::default())),
            Some(entry) if entry.mode != Mode::Dir => Ok((Some(file_of(entry)), Tree::default())),
            Some(entry) => {
                let tree = Tree::read_counted(self.objects, &entry.id, entry.files, entry.bytes)?;
                if entry.files == 0 {
                    count_empty(&mut self.empty_dirs)?;
                }
                let at_path = tree.entries.is_empty().then(|| file_of(entry));
                Ok((at_path, tree))
            }
        }
    }
}

/// Joins what left one component and appeared in another at the same path, and drops the removal
/// of an empty directory that now has content.
fn join_moves(sorted: Vec<Change>) -> Result<Vec<Change>> {
    let mut joined: Vec<Change> = Vec::with_capacity(sorted.len());
    for change in sorted {
        match joined.last_mut() {
            Some(last) if last.path == change.path => {
                let (from, to, component) = match (&last, &change) {
                    (Change { to: None, from, .. }, Change { from: None, to, component, .. })
                    | (Change { from: None, to, component, .. }, Change { to: None, from, .. }) => {
                        (*from, *to, *component)
                    }
                    _ => {
                        return Err(Error::corrupt(
                            "version",
                            &change.path,
                            "the path is in two components",
                        ));
                    }
                };
                let same_type = from.zip(to).is_none_or(|(a, b)| a.mode.same_type(b.mode));
                let kind = if same_type { ChangeKind::Modified } else { ChangeKind::TypeChange };
                *last = Change { path: change.path, component, kind, from, to };
            }
            Some(last) if is_filled_by(last, &change) => *last = change,
            _ => joined.push(change),
        }
    }
    Ok(joined)
}

fn is_filled_by(last: &Change, next: &Change) -> bool {
    let was_empty_dir = last.to.is_none() && last.from.is_some_and(|e| e.mode == Mode::Dir);
    was_empty_dir && next.to.is_some() && next.path.starts_with(&last.path)
}

/// The entry of one path in a version, found by reading the trees along it; for a directory with
/// content, `Dir` and its tree's id in the first component that has it.
///
/// # Errors
/// Those of [`Tree::read`].
pub fn lookup(
    objects: &dyn Objects,
    manifest: &Manifest,
    path: &RepoPath,
) -> Result<Option<(Component, FileEntry)>> {
    let mut directory = None;
    for component in Component::ALL {
        match lookup_in(objects, manifest.component(component).tree, path)? {
            Some(entry) if entry.mode != Mode::Dir => {
                return Ok(Some((component, file_of(&entry))));
            }
            Some(entry) if directory.is_none() => directory = Some((component, file_of(&entry))),
            _ => {}
        }
    }
    Ok(directory)
}

fn lookup_in(objects: &dyn Objects, root: Hash, path: &RepoPath) -> Result<Option<TreeEntry>> {
    let mut tree = Tree::read(objects, &root)?;
    let mut names = path.components().peekable();
    while let Some(name) = names.next() {
        let Some(entry) = tree.get(name).cloned() else { return Ok(None) };
        if names.peek().is_none() {
            return Ok(Some(entry));
        }
        if entry.mode != Mode::Dir {
            return Ok(None);
        }
        tree = Tree::read_counted(objects, &entry.id, entry.files, entry.bytes)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
