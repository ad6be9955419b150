//! What becomes of each path when two versions are merged.
//!
//! A pure function of what the two sides changed since their base, and of texts:
//!
//! | ours | theirs | then |
//! |---|---|---|
//! | as the base | anything | theirs is taken |
//! | anything | as the base | ours stays |
//! | changed | changed in the same way | ours stays |
//! | changed a text | changed it elsewhere | both changes |
//! | changed | deleted, or the other way round | conflict; the changed one is there |
//! | changed | changed otherwise | conflict; ours is there, or a text with markers |
//!
//! A file that one side renamed is one path with two names: what the other side changed goes to the
//! new name. The executable bit is merged by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use mv_graph::diff::Change;
use mv_graph::{Component, FileEntry, Mode, RepoPath};

use crate::config::{PROJECT_FILE, ProjectConfig};
use crate::error::Result;
use crate::file_bytes::is_file;
use crate::renames::Rename;
use crate::text_merge::{self, Favor, Labels};
use crate::unfinished::{Conflict, ConflictKind};
use crate::worktree::Rules;

/// What one side changed since the base.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) changes: BTreeMap<RepoPath, Change>,
    /// New names by old ones.
    pub(crate) renames: BTreeMap<RepoPath, RepoPath>,
}

impl Side {
    pub(crate) fn new(changes: Vec<Change>, renames: Vec<Rename>) -> Side {
        Side {
            changes: changes.into_iter().map(|c| (c.path.clone(), c)).collect(),
            renames: renames.into_iter().map(|r| (r.from, r.to)).collect(),
        }
    }

    /// What the side has where it changed something.
    fn to(&self, path: &RepoPath) -> Option<FileEntry> {
        self.changes.get(path).and_then(|c| c.to)
    }

    /// Whether the side has something below a path where it changed something.
    fn has_below(&self, dir: &RepoPath) -> bool {
        let from = (Bound::Excluded(dir), Bound::Unbounded);
        let below = self.changes.range::<RepoPath, _>(from);
        below.take_while(|(path, _)| path.starts_with(dir)).any(|(_, change)| change.to.is_some())
    }

    fn component(&self, path: &RepoPath) -> Option<Component> {
        self.changes.get(path).filter(|c| c.to.is_some()).map(|c| c.component)
    }
}

/// Where texts come from and go to.
pub(crate) trait Texts {
    /// A file's bytes; none when it is no text that can be merged by line.
    fn read(&mut self, entry: &FileEntry) -> Result<Option<Vec<u8>>>;
    /// Keeps a merged text; gives its id and length.
    fn keep(&mut self, path: &RepoPath, text: Vec<u8>) -> Result<(mv_store::Hash, u64)>;
}

/// How to decide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner<'a> {
    pub(crate) favor: Favor,
    pub(crate) labels: &'a Labels,
}

/// What the merged version has where it differs from ours.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// None where it has nothing.
    pub(crate) put: BTreeMap<RepoPath, Option<(Component, FileEntry)>>,
    /// Files that have changes of both sides.
    pub(crate) merged: Vec<RepoPath>,
    /// By path.
    pub(crate) conflicts: Vec<Conflict>,
}

/// Makes the plan.
///
/// # Errors
/// Those of `texts`.
pub(crate) fn plan(
    ours: &Side,
    theirs: &Side,
    texts: &mut dyn Texts,
    manner: Manner<'_>,
) -> Result<Plan> {
    let mut work =
        Work { ours, theirs, texts, manner, done: BTreeSet::new(), plan: Plan::default() };
    work.renamed()?;
    work.others()?;
    work.clashes();
    let mut plan = work.plan;
    plan.merged.sort();
    plan.conflicts.sort_by(|a, b| a.path.cmp(&b.path));
    plan.merged.retain(|path| plan.conflicts.binary_search_by(|c| c.path.cmp(path)).is_err());
    Ok(plan)
}

struct Work<'a> {
    ours: &'a Side,
    theirs: &'a Side,
    texts: &'a mut dyn Texts,
    manner: Manner<'a>,
    /// Paths that were dealt with together with a renamed one.
    done: BTreeSet<RepoPath>,
    plan: Plan,
}

/// How one file comes out.
struct Decision {
    entry: Option<FileEntry>,
    conflict: Option<(ConflictKind, bool)>,
    merged: bool,
}

impl Decision {
    fn take(entry: Option<FileEntry>) -> Decision {
        Decision { entry, conflict: None, merged: false }
    }
}

/// A file and what base, ours and theirs have of it, under whichever name.
#[derive(Clone, Copy)]
struct Three {
    base: Option<FileEntry>,
    ours: Option<FileEntry>,
    theirs: Option<FileEntry>,
}

impl Work<'_> {
    /// Files that a side renamed, unless the new name is also taken by something else.
    fn renamed(&mut self) -> Result<()> {
        let (ours, theirs) = (self.ours, self.theirs);
        let free = |side: &Side, other: &Side, from: &RepoPath, to: &RepoPath| {
            side.changes.contains_key(from)
                && (!other.changes.contains_key(to) || other.renames.get(from) == Some(to))
        };
        for (from, to) in ours.renames.iter().filter(|(from, to)| free(ours, theirs, from, to)) {
            let Some(change) = theirs.changes.get(from) else { continue };
            let base = change.from;
            let mine = ours.to(to);
            let moved = theirs.renames.get(from).filter(|other| free(theirs, ours, from, other));
            match moved {
                Some(other) => {
                    let three = Three { base, ours: mine, theirs: theirs.to(other) };
                    self.settle(to, three)?;
                    if other != to {
                        self.renamed_twice(to, other);
                    }
                    self.done.insert(other.clone());
                }
                None if change.to.is_none() => {
                    self.rename_delete(to, Three { base, ours: mine, theirs: None });
                }
                None => self.settle(to, Three { base, ours: mine, theirs: change.to })?,
            }
            self.done.extend([from.clone(), to.clone()]);
        }
        for (from, to) in theirs.renames.iter().filter(|(from, to)| free(theirs, ours, from, to)) {
            let Some(change) = ours.changes.get(from) else { continue };
            if self.done.contains(from) {
                continue;
            }
            let (base, other) = (change.from, theirs.to(to));
            if change.to.is_none() {
                self.rename_delete(to, Three { base, ours: None, theirs: other });
            } else {
                self.settle(to, Three { base, ours: change.to, theirs: other })?;
                self.put(from, None);
            }
            self.done.extend([from.clone(), to.clone()]);
        }
        Ok(())
    }

    fn others(&mut self) -> Result<()> {
        for (path, change) in &self.theirs.changes {
            if self.done.contains(path) {
                continue;
            }
            match self.ours.changes.get(path) {
                None => self.put(path, change.to),
                // A directory that one side left empty and the other filled is one in both.
                Some(mine) if is_dir(mine.to) && self.theirs.has_below(path) => {}
                Some(_) if is_dir(change.to) && self.ours.has_below(path) => {
                    self.put(path, None);
                }
                Some(mine) => {
                    let three = Three { base: mine.from, ours: mine.to, theirs: change.to };
                    self.settle(path, three)?;
                }
            }
        }
        Ok(())
    }

    /// Decides one file and notes it.
    fn settle(&mut self, path: &RepoPath, three: Three) -> Result<()> {
        let decision = self.decide(path, three)?;
        self.put(path, decision.entry);
        if let Some((kind, marked)) = decision.conflict {
            self.conflict(path, kind, marked, decision.entry, three);
        } else if decision.merged {
            self.plan.merged.push(path.clone());
        }
        Ok(())
    }

    fn put(&mut self, path: &RepoPath, entry: Option<FileEntry>) {
        if entry == self.ours.to(path) && self.ours.changes.contains_key(path) {
            return;
        }
        let component = self.ours.component(path).or(self.theirs.component(path));
        let component = component.unwrap_or(Component::Code);
        self.plan.put.insert(path.clone(), entry.map(|entry| (component, entry)));
    }

    fn conflict(
        &mut self,
        path: &RepoPath,
        kind: ConflictKind,
        marked: bool,
        left: Option<FileEntry>,
        three: Three,
    ) {
        let Three { ours, theirs, .. } = three;
        let path = path.clone();
        self.plan.conflicts.push(Conflict {
            path,
            kind,
            marked,
            left,
            ours,
            theirs,
            decided: false,
        });
    }

    fn rename_delete(&mut self, path: &RepoPath, three: Three) {
        let left = match self.manner.favor {
            Favor::Ours => three.ours,
            Favor::Theirs => three.theirs,
            Favor::Neither => three.ours.or(three.theirs),
        };
        self.put(path, left);
        if self.manner.favor == Favor::Neither {
            self.conflict(path, ConflictKind::RenameDelete, false, left, three);
        }
    }

    /// Ours renamed a file to `mine`, theirs to `other`. The content was merged under our name.
    fn renamed_twice(&mut self, mine: &RepoPath, other: &RepoPath) {
        let theirs = self.theirs.to(other);
        match self.manner.favor {
            Favor::Ours => {}
            Favor::Theirs => {
                self.put(mine, None);
                self.put(other, theirs);
            }
            Favor::Neither => {
                let three = Three { base: None, ours: None, theirs };
                self.conflict(other, ConflictKind::RenameRename, false, None, three);
            }
        }
    }

    fn decide(&mut self, path: &RepoPath, three: Three) -> Result<Decision> {
        let Three { base, ours, theirs } = three;
        if ours == theirs || theirs == base {
            return Ok(Decision::take(ours));
        }
        if ours == base {
            return Ok(Decision::take(theirs));
        }
        let (Some(mine), Some(other)) = (ours, theirs) else {
            let deleted_by_ours = ours.is_none();
            let kind = if deleted_by_ours {
                ConflictKind::DeletedByOurs
            } else {
                ConflictKind::DeletedByTheirs
            };
            return Ok(self.by_side(kind, three, ours.or(theirs)));
        };
        if !(is_file(&mine) && is_file(&other)) {
            let kind = match () {
                () if !mine.mode.same_type(other.mode) => ConflictKind::Type,
                () if base.is_none() => ConflictKind::BothAdded,
                () => ConflictKind::Symlink,
            };
            return Ok(self.by_side(kind, three, ours));
        }
        self.decide_files(path, base.filter(is_file), mine, other)
    }

    /// Takes the favoured side, or leaves a file there and a conflict.
    fn by_side(&self, kind: ConflictKind, three: Three, left: Option<FileEntry>) -> Decision {
        match self.manner.favor {
            Favor::Ours => Decision::take(three.ours),
            Favor::Theirs => Decision::take(three.theirs),
            Favor::Neither => {
                Decision { entry: left, conflict: Some((kind, false)), merged: false }
            }
        }
    }

    fn decide_files(
        &mut self,
        path: &RepoPath,
        base: Option<FileEntry>,
        mine: FileEntry,
        other: FileEntry,
    ) -> Result<Decision> {
        let three = Three { base, ours: Some(mine), theirs: Some(other) };
        // Of two modes one is the base's, unless there is none: then nothing says which is meant.
        let mode = match (base, self.manner.favor) {
            (Some(base), _) if mine.mode == base.mode => other.mode,
            (None, Favor::Theirs) => other.mode,
            _ => mine.mode,
        };
        let content = |from: FileEntry| Some(FileEntry { mode, ..from });
        if mine.id == other.id {
            if mine.mode != other.mode && base.is_none() && self.manner.favor == Favor::Neither {
                return Ok(self.by_side(ConflictKind::Mode, three, Some(mine)));
            }
            return Ok(Decision::take(content(mine)));
        }
        let base_id = base.map(|b| b.id);
        if base_id == Some(other.id) || base_id == Some(mine.id) {
            let entry = content(if base_id == Some(other.id) { mine } else { other });
            return Ok(Decision { entry, conflict: None, merged: true });
        }
        let added = base.is_none();
        let kind = if added { ConflictKind::BothAdded } else { ConflictKind::Binary };
        let whole = self.by_side(kind, three, content(mine));
        let (Some(left), Some(right)) = (self.texts.read(&mine)?, self.texts.read(&other)?) else {
            return Ok(whole);
        };
        let base = match base {
            None => Vec::new(),
            Some(base) => match self.texts.read(&base)? {
                Some(text) => text,
                None => return Ok(whole),
            },
        };
        let Manner { favor, labels } = self.manner;
        let Some(result) = text_merge::merge(&base, &left, &right, favor, labels) else {
            return Ok(whole);
        };
        let conflict = result.conflicts > 0;
        let kind = if added { ConflictKind::BothAdded } else { ConflictKind::Text };
        if path.as_bytes() == PROJECT_FILE.as_bytes() && (conflict || !is_sound(&result.text)) {
            // With markers in it, no command could tell what belongs to the project.
            return Ok(self.by_side(kind, three, content(mine)));
        }
        let (id, bytes) = self.texts.keep(path, result.text)?;
        let entry = Some(FileEntry { mode, id, bytes });
        Ok(Decision { entry, conflict: conflict.then_some((kind, true)), merged: true })
    }

    /// Where one side has a file and the other a directory with something in it, ours stays.
    fn clashes(&mut self) {
        let clashes = self.find_clashes();
        for dir in clashes {
            let mine = self.ours.to(&dir).filter(|e| e.mode != Mode::Dir);
            let theirs_wins = self.manner.favor == Favor::Theirs;
            let below = |path: &RepoPath| *path != dir && path.starts_with(&dir);
            let other = self.plan.put.get(&dir).copied().flatten().map(|(_, entry)| entry);
            let other = self.theirs.to(&dir).filter(|e| e.mode != Mode::Dir).or(other);
            match (mine.is_some(), theirs_wins) {
                // Our file stays, theirs below it do not come.
                (true, false) => self.plan.put.retain(|path, _| *path != dir && !below(path)),
                (true, true) => drop(self.plan.put.insert(dir.clone(), None)),
                // Our directory stays, their file does not come.
                (false, false) => drop(self.plan.put.remove(&dir)),
                (false, true) => {
                    let there = self.ours.changes.values().filter(|c| c.to.is_some());
                    let gone: Vec<_> =
                        there.map(|c| &c.path).filter(|p| below(p)).cloned().collect();
                    self.plan.put.retain(|path, _| !below(path));
                    self.plan.put.extend(gone.into_iter().map(|path| (path, None)));
                }
            }
            self.plan.conflicts.retain(|c| c.path != dir && !below(&c.path));
            if self.manner.favor == Favor::Neither {
                let theirs = if mine.is_some() { None } else { other };
                let three = Three { base: None, ours: mine, theirs };
                self.conflict(&dir, ConflictKind::FileDirectory, false, mine, three);
            }
        }
    }

    /// Files of the result that have something of the result below them.
    fn find_clashes(&self) -> Vec<RepoPath> {
        let mine = self.ours.changes.iter().filter(|(path, _)| !self.plan.put.contains_key(path));
        let mine = mine.filter_map(|(path, change)| Some((path, change.to?)));
        let put = self.plan.put.iter().filter_map(|(path, item)| Some((path, (*item)?.1)));
        let present: BTreeMap<&RepoPath, FileEntry> = mine.chain(put).collect();
        let mut found: Vec<RepoPath> = Vec::new();
        let mut file: Option<&RepoPath> = None;
        // What is below a path comes right after it.
        for (path, entry) in present {
            match file.filter(|file| path.starts_with(file)) {
                Some(file) if found.last() != Some(file) => found.push(file.clone()),
                Some(_) => {}
                None => file = Some(path).filter(|_| entry.mode != Mode::Dir),
            }
        }
        found
    }
}

fn is_dir(entry: Option<FileEntry>) -> bool {
    entry.is_some_and(|entry| entry.mode == Mode::Dir)
}

/// Whether a merged `mv.toml` can be read.
fn is_sound(text: &[u8]) -> bool {
    ProjectConfig::parse(text).is_ok_and(|config| Rules::new(&config).is_ok())
}
