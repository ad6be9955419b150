//! What a checkout will do, and whether it may.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use mv_graph::diff::{self, ListedFile};
use mv_graph::{Component, FileEntry, Manifest, Mode, RepoPath};
use mv_store::Hash;

use super::Switch;
use crate::error::{Error, Result};
use crate::mark::Mark;
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::{Candidate, Content, Depth, Snapshot, content_of};
use crate::unfinished::Unfinished;
use crate::worktree::scan::Found;

/// What happens to uncommitted work that is in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    /// The checkout is refused.
    Refuse,
    /// The checkout is refused for content that is not in the repository; other content is replaced.
    RefuseNew,
    /// The checkout is refused for anything uncommitted in a file that HEAD or the target has.
    RefuseAny,
    /// It is saved and overwritten.
    Overwrite,
}

/// What a checkout will do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Files, symlinks and empty directories to put in place, by path.
    pub(crate) write: Vec<ListedFile>,
    /// Files to take away, by path.
    pub(crate) remove: Vec<RepoPath>,
    /// Files whose content is lost from the working tree and is in no version, by path.
    pub(crate) overwritten: Vec<RepoPath>,
    /// The working tree's files that are already as the target has them.
    pub(crate) settled: Vec<(RepoPath, Content)>,
    /// Whether the working tree will equal the target.
    pub(crate) exact: bool,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.write.is_empty() && self.remove.is_empty()
    }
}

/// Makes the plan.
///
/// For each path, with what HEAD, the target and the working tree have:
///
/// | the working tree has | then |
/// |---|---|
/// | what the target has | nothing is done |
/// | what HEAD has, or nothing where HEAD has something | the target's is put in place |
/// | something else, and the target has what HEAD has | it stays (with `--force`: is overwritten) |
/// | something else | conflict |
pub(crate) fn plan(
    repo: &Repo,
    snapshot: &mut Snapshot,
    target: &Manifest,
    switch: &Switch<'_>,
    session: &Session,
) -> Result<Plan> {
    let mut wanted = changes_to(repo, snapshot, target, switch)?;
    add_overlay(repo, &mut wanted, switch)?;
    // A checkout that was cut off leaves files of its target: they are nobody's work.
    let leftovers = Leftovers::of(repo, snapshot, switch, session)?;
    // Of what differs from HEAD only that is read which something may happen to.
    let concerned = |c: &Candidate| {
        let in_scope = c.base.is_some_and(|(component, _)| (switch.scope)(component, &c.path));
        wanted.contains_key(&c.path)
            || leftovers.entries.contains_key(&c.path)
            || leftovers.of_merge.contains(&c.path)
            || (c.base.is_none() && c.now.is_some_and(|now| now.mode == Mode::Dir))
            || (in_scope
                && (matches!(switch.local, Local::Overwrite | Local::RefuseAny)
                    || leftovers.emptied))
    };
    snapshot.examine_some(Depth::Content, &concerned, session)?;
    let local: BTreeMap<&RepoPath, &Candidate> =
        snapshot.candidates.iter().filter(|c| c.change().is_some()).map(|c| (&c.path, c)).collect();
    let mut plan = Plan { exact: switch.whole, ..Plan::default() };
    let mut conflicts = BTreeSet::new();
    let asked: BTreeSet<&RepoPath> =
        switch.merge.iter().flat_map(|merge| &merge.conflicts).map(|c| &c.path).collect();
    for (path, want) in &wanted {
        match local.get(path) {
            // Not fetched, and nobody asks for it: it stays where it is.
            None if want.is_some_and(|(component, _)| snapshot.leaves(component, path))
                && !asked.contains(path) => {}
            None if want.is_none() && snapshot.scan.get(path).is_none() => {}
            None => plan.put(path, want),
            Some(candidate) => {
                let content = candidate.content;
                match content {
                    // Not there, and not wanted: a file may stand where its directory was.
                    None if want.is_none() => {}
                    None => plan.put(path, want),
                    Some(c)
                        if want.is_some_and(|w| w.1 == c.entry)
                            && (switch.local != Local::RefuseAny
                                || leftovers.entries.get(path) == Some(&c.entry)) =>
                    {
                        plan.settled.push((path.clone(), c));
                    }
                    Some(c)
                        if leftovers.has(
                            path,
                            &c.entry,
                            want.as_ref().or(candidate.base.as_ref()).map(|(_, entry)| entry),
                        ) =>
                    {
                        plan.put(path, want);
                    }
                    Some(_) if switch.local == Local::Overwrite => {
                        plan.overwritten.push(path.clone());
                        plan.put(path, want);
                    }
                    Some(c)
                        if switch.local == Local::RefuseNew
                            && repo.store().contains(&c.entry.id) =>
                    {
                        plan.put(path, want);
                    }
                    Some(_) => drop(conflicts.insert(path.clone())),
                }
            }
        }
    }
    for (path, candidate) in &local {
        if wanted.contains_key(*path) {
            continue;
        }
        let component = candidate.base.map(|(c, _)| c).or(candidate.now.map(|now| now.component));
        if !component.is_some_and(|component| (switch.scope)(component, path)) {
            plan.exact = false;
            continue;
        }
        let base = candidate.base;
        let version = base.as_ref().map(|(_, entry)| entry);
        let leftover = candidate.content.is_some_and(|c| leftovers.has(path, &c.entry, version));
        match (base, candidate.now) {
            // A deleted file comes back: nothing is lost by that.
            (Some(base), None) => plan.put(path, &Some(base)),
            (Some(base), Some(_)) if leftover => plan.put(path, &Some(base)),
            (None, Some(_)) if leftover => plan.put(path, &None),
            (Some(base), Some(_)) if switch.local == Local::Overwrite => {
                plan.overwritten.push((*path).clone());
                plan.put(path, &Some(base));
            }
            (Some(_), Some(_)) if switch.local == Local::RefuseAny => {
                conflicts.insert((*path).clone());
            }
            // What a merge added and the user edited goes with the merge.
            (None, Some(_))
                if switch.local == Local::Overwrite && leftovers.of_merge.contains(*path) =>
            {
                plan.overwritten.push((*path).clone());
                plan.put(path, &None);
            }
            _ => plan.exact = false,
        }
    }
    plan.write.sort_by(|a, b| a.path.cmp(&b.path));
    plan.remove.sort();
    obstacles(snapshot, &mut plan, switch, &mut conflicts)?;
    if !switch.whole {
        // Taking some files from a version is undone by putting back what was there before.
        let replaced = plan.write.iter().map(|f| &f.path).chain(&plan.remove);
        let there: Vec<_> =
            replaced.filter(|path| snapshot.scan.get(path).is_some()).cloned().collect();
        plan.overwritten.extend(there);
    }
    if !conflicts.is_empty() {
        let what = format!("`{}` would overwrite uncommitted work", switch.operation);
        return Err(Error::Refused { what, paths: conflicts.into_iter().collect() });
    }
    plan.overwritten.sort();
    plan.overwritten.dedup();
    Ok(plan)
}

impl Plan {
    fn put(&mut self, path: &RepoPath, want: &Option<(Component, FileEntry)>) {
        match want {
            Some((component, entry)) => {
                self.write.push(ListedFile {
                    path: path.clone(),
                    component: *component,
                    entry: *entry,
                });
            }
            None => self.remove.push(path.clone()),
        }
    }
}

type Wanted = BTreeMap<RepoPath, Option<(Component, FileEntry)>>;

/// What the target has at each path where it differs from HEAD, within the scope.
fn changes_to(
    repo: &Repo,
    snapshot: &Snapshot,
    target: &Manifest,
    switch: &Switch<'_>,
) -> Result<Wanted> {
    let from = snapshot.head.as_ref().map(|(_, manifest)| manifest);
    let changes = diff::changes(repo.store(), from, Some(target))?;
    let inside = changes.into_iter().filter(|c| (switch.scope)(c.component, &c.path));
    Ok(inside.map(|c| (c.path, c.to.map(|to| (c.component, to)))).collect())
}

fn add_overlay(repo: &Repo, wanted: &mut Wanted, switch: &Switch<'_>) -> Result<()> {
    let Some(overlay) = &switch.overlay else { return Ok(()) };
    for file in diff::list(repo.store(), &overlay.drop)? {
        wanted.insert(file.path, None);
    }
    let put = diff::list(repo.store(), &overlay.put)?;
    // Where these were, the version's own files had given way: one to a directory, others to a file.
    let at: BTreeSet<&RepoPath> = put.iter().map(|file| &file.path).collect();
    let above: BTreeSet<RepoPath> = put.iter().flat_map(|file| file.path.ancestors()).collect();
    wanted.retain(|path, want| {
        want.is_none() || !(above.contains(path) || path.ancestors().any(|dir| at.contains(&dir)))
    });
    for file in put {
        wanted.insert(file.path, Some((file.component, file.entry)));
    }
    Ok(())
}

/// What a checkout that was cut off, by a kill or with the power, may have left behind.
struct Leftovers {
    /// What its target has where that differs from HEAD.
    entries: BTreeMap<RepoPath, FileEntry>,
    /// Paths that an unfinished merge put something at, when that merge ends here.
    of_merge: BTreeSet<RepoPath>,
    /// Whether files that it wrote may have lost their content with the power.
    emptied: bool,
}

impl Leftovers {
    fn of(
        repo: &Repo,
        snapshot: &Snapshot,
        switch: &Switch<'_>,
        session: &Session,
    ) -> Result<Leftovers> {
        let mark = Mark::read(repo)?;
        let emptied = mark.as_ref().is_some_and(|m| !m.done || m.boot_id != session.boot_id);
        let mut entries = BTreeMap::new();
        let changes = |target: Hash| {
            let from = snapshot.head.as_ref().map(|(_, manifest)| manifest);
            // Of a damaged mark the target is not known.
            let known = (target != Hash::ZERO).then(|| repo.manifest(&target));
            let target = known.transpose()?;
            let changes = diff::changes(repo.store(), from, target.as_ref())?;
            Ok::<_, Error>(changes.into_iter().filter_map(|c| Some((c.path, c.to?))))
        };
        if let Some(mark) = mark.filter(|mark| !mark.done) {
            entries.extend(changes(mark.target)?);
        }
        let mut of_merge = BTreeSet::new();
        if switch.whole
            && let Some(merge) = Unfinished::of(repo)?
        {
            let put: Vec<_> = changes(merge.left)?.collect();
            of_merge.extend(put.iter().map(|(path, _)| path.clone()));
            entries.extend(put);
            // Taking their side of a conflict puts there what the merge itself had not.
            let concerned = |path: &RepoPath| {
                let is_conflict =
                    |at: &RepoPath| merge.conflicts.binary_search_by(|c| c.path.cmp(at)).is_ok();
                is_conflict(path) || path.ancestors().any(|dir| is_conflict(&dir))
            };
            for (path, entry) in changes(merge.theirs)? {
                if concerned(&path) {
                    of_merge.insert(path.clone());
                    entries.entry(path).or_insert(entry);
                }
            }
        }
        Ok(Leftovers { entries, of_merge, emptied })
    }

    /// Whether a file is the checkout's and not the user's. Where a version has bytes, a file
    /// without any holds nothing that could be lost.
    fn has(&self, path: &RepoPath, found: &FileEntry, version: Option<&FileEntry>) -> bool {
        let is_file = |entry: &FileEntry| matches!(entry.mode, Mode::File | Mode::Exec);
        self.entries.get(path) == Some(found)
            || (found.mode == Mode::Dir && self.has_below(path))
            || (self.emptied
                && found.bytes == 0
                && is_file(found)
                && version.is_some_and(|v| v.bytes > 0 && is_file(v)))
    }
}

impl Leftovers {
    /// Whether a directory was made for a file that never came.
    fn has_below(&self, dir: &RepoPath) -> bool {
        let from = (Bound::Excluded(dir), Bound::Unbounded);
        self.entries
            .range::<RepoPath, _>(from)
            .next()
            .is_some_and(|(path, _)| path.starts_with(dir))
    }
}

/// Looks for what the scan does not list and a write would destroy: ignored and special files, and
/// files of the user's where directories must be or the other way round.
fn obstacles(
    snapshot: &Snapshot,
    plan: &mut Plan,
    switch: &Switch<'_>,
    conflicts: &mut BTreeSet<RepoPath>,
) -> Result<()> {
    let removed: BTreeSet<&RepoPath> = plan.remove.iter().collect();
    let written: BTreeSet<&RepoPath> = plan.write.iter().map(|f| &f.path).collect();
    let mut found: Vec<RepoPath> = Vec::new();
    let mut checked: BTreeSet<RepoPath> = BTreeSet::new();
    for file in &plan.write {
        // A file where one of the path's directories must be.
        for dir in file.path.ancestors() {
            if !checked.insert(dir.clone()) || removed.contains(&dir) {
                continue;
            }
            if let Some((mode, _)) = snapshot.root.stat(&dir)?
                && mode != Some(Mode::Dir)
            {
                found.push(dir);
            }
        }
        let known = snapshot.scan.get(&file.path).is_some();
        match snapshot.root.stat(&file.path) {
            Ok(None) | Err(Error::Blocked { .. }) => {}
            Ok(Some((Some(Mode::Dir), _))) if file.entry.mode != Mode::Dir => {
                let below = snapshot.everything_below(&file.path)?;
                found.extend(below.into_iter().filter(|path| !removed.contains(path)));
            }
            Ok(Some((Some(Mode::Dir), _))) => {}
            // The scan does not know it: it is ignored, or no file at all.
            Ok(Some(_)) if !known => found.push(file.path.clone()),
            Ok(Some(_)) => {}
            Err(e) => return Err(e),
        }
    }
    for path in found {
        // What the plan itself replaces was judged above.
        if written.contains(&path) && snapshot.scan.get(&path).is_some() {
            continue;
        }
        if switch.local == Local::Overwrite && snapshot.is_storable(&path)? {
            if !written.contains(&path) {
                plan.remove.push(path.clone());
            }
            plan.overwritten.push(path);
        } else {
            conflicts.insert(path);
        }
    }
    plan.remove.sort();
    plan.remove.dedup();
    Ok(())
}

impl Snapshot {
    /// Every file and empty directory below one of the working tree, ignored ones included.
    fn everything_below(&self, dir: &RepoPath) -> Result<Vec<RepoPath>> {
        let mut files = Vec::new();
        let mut dirs = vec![dir.clone()];
        while let Some(at) = dirs.pop() {
            let names = self.root.names(&at)?;
            if names.is_empty() && at != *dir {
                files.push(at);
                continue;
            }
            for (name, mode) in names {
                let path = at
                    .join(&name)
                    .map_err(|why| Error::BadName { name: at.to_path(), why: why.to_string() })?;
                if mode == Some(Mode::Dir) { dirs.push(path) } else { files.push(path) }
            }
        }
        Ok(files)
    }

    /// Whether a path holds something that a version can hold, hence that can be saved.
    fn is_storable(&self, path: &RepoPath) -> Result<bool> {
        Ok(matches!(self.root.stat(path)?, Some((Some(_), _))))
    }
}

/// What is known of a file that was just put in place.
pub(crate) fn placed(file: &ListedFile, stat: crate::worktree::Stat) -> Content {
    let found = Found {
        component: file.component,
        mode: file.entry.mode,
        stat,
        known: Some(file.entry.id),
    };
    content_of(&found, file.entry)
}
