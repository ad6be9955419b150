//! Putting a version into the working tree.
//!
//! A checkout is a plan, made without touching anything, and an apply. The plan joins what differs
//! between HEAD and the target with what differs between HEAD and the working tree; whatever
//! would be lost is a conflict. The apply writes files under temporary names and renames them,
//! between setting a mark and publishing the record that moves HEAD, so that a checkout that was
//! killed is reported and finished by the same command.

mod apply;
mod plan;

use std::collections::HashSet;

use mv_graph::diff::ListedFile;
use mv_graph::{Component, Head, Mode, RefName, RepoPath, State};
use mv_store::Hash;

pub(crate) use crate::saved::Fresh;
pub(crate) use plan::Local;

use crate::branch;
use crate::error::{Error, Result};
use crate::fetch;
use crate::mark::Mark;
use crate::partial::View;
use crate::repo::{PathArg, Repo};
use crate::saved::{self, Overlay, Saved};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::unfinished::Unfinished;

/// What to check out.
#[derive(Clone, Debug, Default)]
pub struct CheckoutOptions {
    /// A branch or revision; HEAD when none is given.
    pub target: Option<String>,
    /// A branch to make at the target and to go on.
    pub create_branch: Option<RefName>,
    /// Only these components, and HEAD stays; all when empty.
    pub only: Vec<Component>,
    /// Only these paths, and HEAD stays; all when empty.
    pub paths: Vec<PathArg>,
    /// Overwrite uncommitted work; it is saved for `undo`.
    pub force: bool,
}

/// What a checkout did.
#[derive(Clone, Debug)]
pub struct CheckoutOutcome {
    /// The branch that HEAD is on now.
    pub branch: Option<String>,
    /// The version put in place.
    pub id: Hash,
    /// How it is called.
    pub version: String,
    /// Files written.
    pub written: u64,
    /// Files removed.
    pub removed: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files that could not be put in place, and why. HEAD has not moved if there are any.
    pub failed: Vec<(RepoPath, String)>,
    /// A version that holds what was overwritten.
    pub saved: Option<Hash>,
}

/// A move of HEAD that comes with new content of the working tree.
pub(crate) struct Switch<'a> {
    pub(crate) operation: String,
    pub(crate) target: Hash,
    /// Whether the scope is everything, so that the working tree equals the target afterwards.
    pub(crate) whole: bool,
    /// Which paths the target's content is taken for.
    pub(crate) scope: &'a dyn Fn(Component, &RepoPath) -> bool,
    pub(crate) local: Local,
    /// What to do to the state beside recording what was saved.
    pub(crate) edit: &'a dyn Fn(&mut State) -> Result<()>,
    /// What goes on top of the target: what an undone operation overwrote.
    pub(crate) overlay: Option<Overlay>,
    /// A version that was made for this and that no record names yet.
    pub(crate) fresh: Option<&'a Fresh>,
    /// A merge whose conflicts wait in the target.
    pub(crate) merge: Option<&'a Unfinished>,
}

/// Checks out a branch, a version, or some of its files.
///
/// # Errors
/// `Refused` with the paths whose uncommitted content would be lost; `UnknownRevision`, `Policy`
/// for a branch name that is taken; `LostRace`, `Io`. Files whose content is damaged do not end
/// the checkout: they are listed in the outcome.
pub fn checkout(
    repo: &Repo,
    options: &CheckoutOptions,
    session: &Session,
) -> Result<CheckoutOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    let begun = from_remote(repo, options, session);
    let options = begun.as_ref().unwrap_or(options);
    let text = options.target.as_deref();
    let existing = text.and_then(|t| repo.state().branch(t));
    if let Some(new) = &options.create_branch
        && text.is_none_or(|t| t == "HEAD")
        && !options.force
        && options.only.is_empty()
        && options.paths.is_empty()
    {
        return branch_here(repo, new, session);
    }
    let name = text.unwrap_or("HEAD");
    let target = match existing {
        Some(branch) => branch.target,
        None => repo.resolve(name, session)?,
    };
    if !options.only.is_empty() || !options.paths.is_empty() {
        if options.create_branch.is_some() {
            return Err(Error::invalid("option", "`-b` does not go with `--only` or paths"));
        }
        return partial(repo, name, target, options, session);
    }
    if !options.force {
        Unfinished::refuse(repo)?;
    }
    let head = match (&options.create_branch, existing) {
        (Some(new), _) => {
            branch::check_free(repo.state(), new)?;
            Some(Head::Branch(new.clone()))
        }
        (None, Some(branch)) => Some(Head::Branch(branch.name.clone())),
        (None, None) if text.is_none_or(|t| t == "HEAD") => None,
        (None, None) => Some(Head::Detached(target)),
    };
    let made = options.create_branch.clone();
    let operation = match &made {
        Some(new) => format!("checkout -b {new} {name}"),
        None => format!("checkout {name}"),
    };
    let switch = Switch {
        operation,
        target,
        whole: true,
        scope: &|_, _| true,
        local: if options.force { Local::Overwrite } else { Local::Refuse },
        edit: &|state| {
            if let Some(new) = &made {
                branch::check_free(state, new)?;
                state.set_branch(new.clone(), target);
            }
            if let Some(Head::Branch(on)) = &head
                && state.branch(on.as_str()).map(|b| b.target) != Some(target)
            {
                return Err(Error::LostRace { generation: state.generation });
            }
            if let Some(head) = &head {
                state.head = head.clone();
            }
            Ok(())
        },
        overlay: None,
        fresh: None,
        merge: None,
    };
    run(repo, &switch, session)
}

/// A branch that only a remote has, and only one, is made here by its bare name, unless only files of
/// it are wanted.
fn from_remote(
    repo: &Repo,
    options: &CheckoutOptions,
    session: &Session,
) -> Option<CheckoutOptions> {
    let name = options.target.as_deref()?;
    let part = !options.only.is_empty() || !options.paths.is_empty();
    if options.create_branch.is_some() || repo.state().branch(name).is_some() {
        return None;
    }
    let mut tracked = repo.state().tracking.iter().filter(|t| t.branch.as_str() == name);
    let (Some(one), None) = (tracked.next(), tracked.next()) else { return None };
    let unknown = |e: &Error| matches!(e, Error::Graph(mv_graph::Error::UnknownRevision { .. }));
    repo.resolve(name, session).err().filter(unknown)?;
    Some(CheckoutOptions {
        target: Some(format!("{}/{name}", one.remote)),
        create_branch: Some(one.branch.clone()).filter(|_| !part),
        ..options.clone()
    })
}

/// `checkout -b` from where HEAD is: the working tree stays as it is, whatever is in it. Before the
/// first commit there is no branch to make: HEAD goes on another that does not exist.
fn branch_here(repo: &Repo, new: &RefName, session: &Session) -> Result<CheckoutOutcome> {
    let target = repo.state().head_target();
    let version = target.map(|id| Ok::<_, Error>(repo.version_of(&id, &repo.manifest(&id)?)));
    let version = version.transpose()?.unwrap_or_default();
    repo.advance(session, &format!("checkout -b {new} HEAD"), &[], &[], &mut |state| {
        if state.head_target() != target {
            return Err(Error::LostRace { generation: state.generation });
        }
        branch::check_free(state, new)?;
        if let Some(target) = target {
            state.set_branch(new.clone(), target);
        }
        state.head = Head::Branch(new.clone());
        Ok(())
    })?;
    Ok(CheckoutOutcome {
        branch: Some(new.to_string()),
        id: target.unwrap_or(Hash::ZERO),
        version,
        written: 0,
        removed: 0,
        bytes: 0,
        failed: Vec::new(),
        saved: None,
    })
}

/// Takes some files of a version into the working tree; HEAD stays. Files of the scope that the
/// version does not have are removed if a whole component is taken.
fn partial(
    repo: &Repo,
    name: &str,
    target: Hash,
    options: &CheckoutOptions,
    session: &Session,
) -> Result<CheckoutOutcome> {
    let scope = |component: Component, path: &RepoPath| {
        (options.only.is_empty() || options.only.contains(&component))
            && crate::repo::covered(&options.paths, path)
    };
    crate::restore::check_paths(repo, &target, &options.paths)?;
    let view = view_of(&options.only, &options.paths);
    let switch = Switch {
        operation: format!("checkout {name} (some files)"),
        target,
        whole: false,
        scope: &scope,
        local: if options.force { Local::Overwrite } else { Local::Refuse },
        edit: &|_| Ok(()),
        overlay: None,
        fresh: None,
        merge: None,
    };
    run_widened(repo, view, &switch, session)
}

/// The files that are asked for by name.
pub(crate) fn view_of(only: &[Component], paths: &[PathArg]) -> View {
    let named = paths.iter().filter_map(|arg| match arg {
        PathArg::Path(path) => Some(path.clone()),
        PathArg::Root => None,
    });
    let named: Vec<RepoPath> =
        if paths.contains(&PathArg::Root) { Vec::new() } else { named.collect() };
    View::new(only, &named)
}

/// Runs with files that are asked for by name; in a part of a repository they belong to what is here
/// from then on.
pub(crate) fn run_widened(
    repo: &Repo,
    view: View,
    switch: &Switch<'_>,
    session: &Session,
) -> Result<CheckoutOutcome> {
    if repo.partial().is_none() {
        return run(repo, switch, session);
    }
    let wide = repo.fresh(session)?.widened(view);
    let outcome = run(&wide, switch, session)?;
    if outcome.failed.is_empty() {
        wide.save_partial(session)?;
    }
    Ok(outcome)
}

/// Plans, saves what would be lost if that was asked for, applies, and publishes the record.
pub(crate) fn run(repo: &Repo, switch: &Switch<'_>, session: &Session) -> Result<CheckoutOutcome> {
    let mut snapshot = Snapshot::take_leniently(repo, session)?;
    if !switch.whole && switch.overlay.is_none() && switch.merge.is_none() {
        // Some files of a version would end the mark that tells of a checkout cut off before.
        Mark::refuse_pending(repo, session, &snapshot)?;
    }
    repo.must_be_whole(&[switch.target])?;
    let target = repo.manifest(&switch.target)?;
    let plan = plan::plan(repo, &mut snapshot, &target, switch, session)?;
    refuse_too_large(repo, &snapshot, &plan)?;
    let fetched = fetch_contents(repo, &plan, session)?;
    let repo = fetched.as_ref().unwrap_or(repo);
    let (overwritten, placed) = (&plan.overwritten, instead(&plan, switch));
    let operation = &switch.operation;
    let saved =
        saved::keep(repo, &snapshot, overwritten, &placed, switch.fresh, operation, session)?;
    let undoable = !(overwritten.is_empty() && placed.is_empty());
    let unchanged = plan.is_empty();
    let cursor = repo.state().cursor;
    // What is overwritten must be named by a record before the first file is: whatever ends this
    // checkout, `undo` then finds it.
    let with_saved = saved.as_ref().map(|saved| publish_saved(repo, saved, switch, session));
    let with_saved = with_saved.transpose()?;
    let repo = with_saved.as_ref().unwrap_or(repo);
    let operation = switch.operation.clone();
    let mark = Mark {
        target: switch.target,
        done: false,
        after: repo.state().generation,
        boot_id: session.boot_id.clone(),
        operation,
    };
    if !unchanged {
        mark.set(repo, session)?;
    }
    if let Some(merge) = switch.merge {
        merge.set(repo, session)?;
    }
    let applied = apply::apply(repo, &snapshot, &plan, session)?;
    let version = repo.version_of(&switch.target, &target);
    let mut outcome = CheckoutOutcome {
        branch: repo.state().head_branch().map(ToString::to_string),
        id: switch.target,
        version,
        written: applied.written,
        removed: applied.removed,
        bytes: applied.bytes,
        failed: applied.failed,
        saved: saved.as_ref().map(|s| s.id).filter(|_| !overwritten.is_empty()),
    };
    if !outcome.failed.is_empty() {
        return Ok(outcome);
    }
    if switch.whole {
        // Before the record: after it, the mark would count as done and the merge would still wait.
        Unfinished::clear(repo)?;
    }
    let roots: Vec<Hash> = saved.iter().map(|s| s.id).chain([switch.target]).collect();
    let now = repo.state();
    let record = repo.advance(session, &switch.operation, &[], &roots, &mut |state| {
        if state.head != now.head {
            return Err(Error::LostRace { generation: state.generation });
        }
        if state.before == now.cursor {
            // Both records are one operation to the user.
            state.before = cursor;
        }
        state.saved = saved.as_ref().map(|s| s.id).filter(|_| undoable);
        state.touched_worktree = !unchanged;
        (switch.edit)(state)
    })?;
    let head = record.state.head_target();
    apply::save_cache(repo, &snapshot, &plan, &applied.stats, head, session);
    if !unchanged || Mark::read(repo).is_ok_and(|m| m.is_some_and(|m| !m.done)) {
        // The record stands. Losing this write only means that the next command finds out.
        drop(mark.finish(repo, session));
    }
    outcome.branch = record.state.head_branch().map(ToString::to_string);
    Ok(outcome)
}

/// In a part of a repository, fetches what is to be written and is not here, before anything is
/// touched; returns the repository after it.
fn fetch_contents(repo: &Repo, plan: &plan::Plan, session: &Session) -> Result<Option<Repo>> {
    let files = plan.write.iter().filter(|file| file.entry.mode != Mode::Dir);
    let blobs: Vec<Hash> = files.map(|file| file.entry.id).collect();
    if !fetch::contents(repo, &blobs, session)? {
        return Ok(None);
    }
    let fresh = repo.fresh(session)?;
    // Packs that no record names yet are this operation's own.
    let own: Vec<_> =
        repo.store().pack_ids().filter(|pack| !fresh.state().packs.contains(pack)).collect();
    Ok(Some(fresh.with_packs(&own).like(repo)))
}

/// Refuses to begin what the disk has no room for: a few stored bytes may claim to be petabytes.
fn refuse_too_large(repo: &Repo, snapshot: &Snapshot, plan: &plan::Plan) -> Result<()> {
    let needed = plan.write.iter().fold(0u64, |sum, file| sum.saturating_add(file.entry.bytes));
    // What is replaced makes room, but a file only after the new one is whole.
    let replaced = plan.write.iter().map(|file| &file.path).chain(&plan.remove);
    let sizes = replaced.filter_map(|path| snapshot.scan.get(path)).map(|found| found.stat.size);
    let needed = needed.saturating_sub(sizes.sum());
    let disk = rustix::fs::statvfs(repo.root())
        .map_err(|e| Error::io("ask for the free space of", repo.root().to_path_buf(), e))?;
    if needed <= disk.f_bavail.saturating_mul(disk.f_frsize) {
        return Ok(());
    }
    for file in plan.write.iter().filter(|f| matches!(f.entry.mode, Mode::File | Mode::Exec)) {
        let (id, claimed) = (&file.entry.id, file.entry.bytes);
        if repo.store().len_of(id)? != claimed {
            let detail = format!("it does not have the {claimed} bytes that the tree says");
            return Err(mv_store::Error::corrupt("blob", id, detail).into());
        }
    }
    Err(Error::io(
        "write the version's files below",
        repo.root().to_path_buf(),
        rustix::io::Errno::NOSPC,
    ))
}

/// What is put where something is overwritten, or above or below it; when only some files are taken
/// from a version, which no ref tells afterwards, all that is put in place.
fn instead(plan: &plan::Plan, switch: &Switch<'_>) -> Vec<ListedFile> {
    let lost: HashSet<&RepoPath> = plan.overwritten.iter().collect();
    let above: HashSet<RepoPath> = plan.overwritten.iter().flat_map(|p| p.ancestors()).collect();
    let touches = |path: &RepoPath| {
        lost.contains(path)
            || above.contains(path)
            || path.ancestors().any(|dir| lost.contains(&dir))
    };
    plan.write.iter().filter(|file| !switch.whole || touches(&file.path)).cloned().collect()
}

/// Publishes a record that names what is about to be overwritten; returns the repository after it.
fn publish_saved(
    repo: &Repo,
    saved: &Saved,
    switch: &Switch<'_>,
    session: &Session,
) -> Result<Repo> {
    let aim = if switch.fresh.is_some() { "preparing" } else { "saving what it overwrites" };
    let operation = format!("{} ({aim})", switch.operation);
    let now = repo.state();
    repo.advance(session, &operation, &saved.packs, &[saved.id], &mut |state| {
        if state.head != now.head {
            return Err(Error::LostRace { generation: state.generation });
        }
        state.saved = Some(saved.id);
        state.touched_worktree = true;
        Ok(())
    })?;
    repo.fresh(session)
}
