//! Merging another version into the current one.
//!
//! If the current version is an ancestor of the other, the branch moves on: a fast-forward. If not,
//! both are compared with their common base, path by path (`plan`), and a version with two parents
//! is made from trees, not from the working tree. The working tree is then switched as by a
//! checkout: between a mark and the record that moves HEAD.
//!
//! With conflicts, the version that is made holds the files with markers. It is put into the working
//! tree, HEAD stays, and `.mv/worktree/merge` says what is left to decide; `commit` makes the merge
//! version, [`abort`] goes back.

mod base;
mod build;
mod plan;
mod way_out;

use mv_graph::{Head, RepoPath, State, walk};
use mv_store::{Hash, StoreWriter, Unit};

use base::{Base, Blobs};
use build::Merge;
use plan::{Manner, Plan};

pub use crate::text_merge::Favor;
pub use crate::unfinished::{Conflict, ConflictKind};
pub use way_out::{abort, decide};

use crate::checkout::{CheckoutOutcome, Fresh, Local, Switch, run};
use crate::error::{Error, Result};
use crate::maintain;
use crate::mark::Mark;
use crate::repo::Repo;
use crate::session::Session;
use crate::text_merge::Labels;
use crate::unfinished::Unfinished;

/// What to merge, and how.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions {
    /// The version to merge into the current one.
    pub rev: String,
    /// Which side's lines and files are taken where both changed them.
    pub favor: Favor,
    /// Make a version of its own even where the branch could just move on.
    pub no_ff: bool,
    /// Merge a version that has no history in common.
    pub allow_unrelated: bool,
    /// Why, for people; `merge branch 'x'` when none is given.
    pub message: Option<String>,
}

/// What a merge did.
#[derive(Clone, Debug, Default)]
pub struct MergeOutcome {
    /// The version that HEAD is at now; none while there are conflicts.
    pub id: Option<Hash>,
    /// How it is called.
    pub version: String,
    /// The branch that moved; none on a detached HEAD.
    pub branch: Option<String>,
    /// Whether there was nothing to merge.
    pub already_up_to_date: bool,
    /// Whether the branch just moved on.
    pub fast_forward: bool,
    /// Files that have changes of both sides.
    pub merged: Vec<RepoPath>,
    /// What must be decided before the merge can be committed, by path.
    pub conflicts: Vec<Conflict>,
    /// Files written.
    pub written: u64,
    /// Files removed.
    pub removed: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files that could not be put in place, and why. Nothing is merged if there are any.
    pub failed: Vec<(RepoPath, String)>,
}

/// Merges a version into the current one.
///
/// # Errors
/// `Refused` with the paths whose uncommitted content is in the way (with conflicts: all of it),
/// `Merging` while another merge waits, `Policy` for a version without common history,
/// `UnknownRevision`, `Invalid` for a blank message, `LostRace`, `Io`.
pub fn merge(repo: &Repo, options: &MergeOptions, session: &Session) -> Result<MergeOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    // A merge that was cut off while it wrote files is begun anew.
    if cut_off(repo)?.is_none_or(|operation| operation.starts_with("merge --")) {
        Unfinished::refuse(repo)?;
    }
    let theirs = repo.resolve(&options.rev, session)?;
    let Some(ours) = repo.state().head_target() else {
        return fast_forward(repo, options, theirs, session);
    };
    if walk::is_ancestor(repo.store(), &theirs, &ours)? {
        return Ok(MergeOutcome {
            id: Some(ours),
            version: repo.version_of(&ours, &repo.manifest(&ours)?),
            branch: repo.state().head_branch().map(ToString::to_string),
            already_up_to_date: true,
            ..MergeOutcome::default()
        });
    }
    let bases = walk::merge_bases(repo.store(), &ours, &theirs)?;
    if bases == [ours] && !options.no_ff {
        return fast_forward(repo, options, theirs, session);
    }
    if bases.is_empty() && !options.allow_unrelated {
        let what = format!("`{}` and the current version have no history in common", options.rev);
        return Err(Error::Policy { what });
    }
    // Both are read whole: a version of which something is missing must not become a parent.
    repo.must_be_whole(&[theirs])?;
    three_way(repo, options, [ours, theirs], &bases, session)
}

/// Moves the branch, and the working tree with it, on to a version that continues the current one.
fn fast_forward(
    repo: &Repo,
    options: &MergeOptions,
    target: Hash,
    session: &Session,
) -> Result<MergeOutcome> {
    let head = (repo.state().head.clone(), repo.state().head_target());
    let switch = Switch {
        operation: operation(options),
        target,
        whole: true,
        scope: &|_, _| true,
        local: Local::Refuse,
        edit: &|state| move_head(state, &head, target),
        overlay: None,
        fresh: None,
        merge: None,
    };
    let done = run(repo, &switch, session)?;
    Ok(MergeOutcome { fast_forward: true, ..outcome(done, Plan::default()) })
}

fn move_head(state: &mut State, from: &(Head, Option<Hash>), to: Hash) -> Result<()> {
    if state.head != from.0 || state.head_target() != from.1 {
        return Err(Error::LostRace { generation: state.generation });
    }
    match state.head.clone() {
        Head::Branch(name) => state.set_branch(name, to),
        Head::Detached(_) => state.head = Head::Detached(to),
    }
    Ok(())
}

fn three_way(
    repo: &Repo,
    options: &MergeOptions,
    sides: [Hash; 2],
    bases: &[Hash],
    session: &Session,
) -> Result<MergeOutcome> {
    let [ours, theirs] = sides;
    let branch = repo.state().head_branch().map(ToString::to_string);
    let labels = Labels::new(branch.as_deref().unwrap_or("HEAD"), &options.rev);
    let mut merge = Merge {
        repo,
        base: Base::default(),
        ours: Base::of(repo.manifest(&ours)?),
        theirs: Base::of(repo.manifest(&theirs)?),
        blobs: Blobs::new(repo.store()),
    };
    merge.base = base::of(repo, bases, &mut merge.blobs)?;
    let task = session.progress.task("merging", Unit::Bytes);
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    merge.blobs.store_in(&writer, &task);
    let plan = merge.plan(Manner { favor: options.favor, labels: &labels })?;
    let message = match &options.message {
        Some(message) => message.clone(),
        None => default_message(repo, &options.rev),
    };
    let version = merge.version(&plan, sides, message, &writer, session)?;
    drop(merge);
    let written = writer.finish()?;
    let fresh = Fresh { version, packs: written.packs };
    let repo = &repo.with_packs(&fresh.packs);
    if !plan.conflicts.is_empty() {
        let conflicts = plan.conflicts.clone();
        // The next record only prepares; the one after it is the merge.
        let after = repo.state().generation.saturating_add(1);
        let unfinished = Unfinished { ours, theirs, left: version, after, labels, conflicts };
        return leave_unfinished(repo, options, plan, &unfinished, &fresh, session);
    }
    let head = (repo.state().head.clone(), Some(ours));
    let switch = Switch {
        operation: operation(options),
        target: version,
        whole: true,
        scope: &|_, _| true,
        local: Local::Refuse,
        edit: &|state| move_head(state, &head, version),
        overlay: None,
        fresh: Some(&fresh),
        merge: None,
    };
    let done = run(repo, &switch, session)?;
    maintain::after(repo, session);
    Ok(outcome(done, plan))
}

/// Puts files with markers into the working tree; HEAD stays.
fn leave_unfinished(
    repo: &Repo,
    options: &MergeOptions,
    plan: Plan,
    unfinished: &Unfinished,
    fresh: &Fresh,
    session: &Session,
) -> Result<MergeOutcome> {
    let head = (repo.state().head.clone(), Some(unfinished.ours));
    let switch = Switch {
        operation: operation(options),
        target: fresh.version,
        whole: false,
        scope: &|_, _| true,
        // `--abort` could not give back what is not committed.
        local: Local::RefuseAny,
        edit: &|state| {
            let same = state.head == head.0 && state.head_target() == head.1;
            if same { Ok(()) } else { Err(Error::LostRace { generation: state.generation }) }
        },
        overlay: None,
        fresh: Some(fresh),
        merge: Some(unfinished),
    };
    let done = run(repo, &switch, session)?;
    let conflicts = plan.conflicts.clone();
    Ok(MergeOutcome { id: None, version: String::new(), conflicts, ..outcome(done, plan) })
}

/// Whether a merge waits to be committed.
///
/// # Errors
/// `Io`.
pub fn is_merging(repo: &Repo) -> Result<bool> {
    Ok(Unfinished::of(repo)?.is_some())
}

/// A merge, or going back from one, that was cut off while it wrote files.
fn cut_off(repo: &Repo) -> Result<Option<String>> {
    let mark = Mark::read(repo)?.filter(|m| !m.done && m.operation.starts_with("merge "));
    Ok(mark.map(|m| m.operation))
}

fn operation(options: &MergeOptions) -> String {
    format!("merge {}", options.rev)
}

fn default_message(repo: &Repo, rev: &str) -> String {
    let state = repo.state();
    match () {
        () if state.branch(rev).is_some() => format!("merge branch '{rev}'"),
        () if state.tag(rev).is_some() => format!("merge tag '{rev}'"),
        () => format!("merge {rev}"),
    }
}

fn outcome(done: CheckoutOutcome, plan: Plan) -> MergeOutcome {
    MergeOutcome {
        id: Some(done.id),
        version: done.version,
        branch: done.branch,
        already_up_to_date: false,
        fast_forward: false,
        merged: plan.merged,
        conflicts: Vec::new(),
        written: done.written,
        removed: done.removed,
        bytes: done.bytes,
        failed: done.failed,
    }
}
