//! Going back one operation, and forward again.
//!
//! Every record says which generation its refs and HEAD equal (`cursor`) and which one a normal
//! operation started from (`before`). Undo publishes a record that equals `before` again; redo one
//! that equals what was undone. The working tree follows only if the operation had touched it, and
//! what a forced operation overwrote comes back from its saved version. The ledgers of stages are
//! never taken back: a stage that was moved is moved again, which its ledger says.

use mv_graph::{MoveKind, State, Tag, chain};
use mv_store::Hash;

use crate::checkout::{CheckoutOutcome, Local, Switch, run};
use crate::error::{Error, Result};
use crate::remote::last_state;
use crate::repo::Repo;
use crate::saved::Overlay;
use crate::session::Session;
use crate::stage;
use crate::text_merge::Labels;
use crate::unfinished::Unfinished;

/// What was undone or redone.
#[derive(Clone, Debug)]
pub struct UndoOutcome {
    /// The operation, as the reflog names it.
    pub operation: String,
    /// The version that HEAD is at now.
    pub head: Option<Hash>,
    /// The branch that HEAD is on now.
    pub branch: Option<String>,
    /// Files written into the working tree.
    pub written: u64,
    /// Files removed from it.
    pub removed: u64,
    /// What could not be put in place; nothing was undone if there is any.
    pub failed: Vec<(mv_graph::RepoPath, String)>,
}

/// Undoes the last operation that is not undone yet.
///
/// # Errors
/// `Policy` when there is nothing (more) to undo, `Refused` when uncommitted work is in the way,
/// `LostRace`, `Io`.
pub fn undo(repo: &Repo, session: &Session) -> Result<UndoOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    let now = repo.state();
    Unfinished::clear_ended(repo)?;
    let undone = at(repo, now.cursor)?.ok_or_else(|| nothing("undo"))?;
    stay_in_merge(repo, &undone, session)?;
    let goal = at(repo, undone.before)?.ok_or_else(|| nothing("undo"))?;
    let mut redo = now.redo.clone();
    redo.push(now.cursor);
    let overlay = undone.saved.map(|id| Overlay::undoing(repo, &id)).transpose()?;
    reopen_merge(repo, &undone, &goal, session)?;
    let touched = undone.touched_worktree;
    let entered = Some(MoveKind::Undo);
    let step = Step { verb: "undo", operation: undone.operation, entered, goal, redo, overlay };
    step.take(repo, touched, session)
}

/// Redoes what was undone last.
///
/// # Errors
/// As [`undo`].
pub fn redo(repo: &Repo, session: &Session) -> Result<UndoOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    Unfinished::clear_ended(repo)?;
    let mut redo = repo.state().redo.clone();
    let next = redo.pop().ok_or_else(|| nothing("redo"))?;
    let goal = at(repo, next)?.ok_or_else(|| nothing("redo"))?;
    match Unfinished::of(repo)? {
        // The commit of that very merge comes back.
        Some(merge) if ![merge.ours, merge.left].map(Some).contains(&goal.head_target()) => {
            return Err(merge.error(Vec::new()));
        }
        _ => {}
    }
    let touched = goal.touched_worktree;
    let overlay = goal.saved.map(|id| Overlay::redoing(repo, &id)).transpose()?;
    let operation = goal.operation.clone();
    let step = Step { verb: "redo", operation, entered: None, goal, redo, overlay };
    step.take(repo, touched, session)
}

/// What was done since a merge began can be undone, the merge itself only by `merge --abort`. When a
/// side that was taken is given back, its conflicts are open again.
fn stay_in_merge(repo: &Repo, undone: &State, session: &Session) -> Result<()> {
    let Some(mut merge) = Unfinished::of(repo)? else { return Ok(()) };
    if undone.before < merge.after {
        return Err(merge.error(Vec::new()));
    }
    if undone.operation.starts_with("merge --") {
        merge.conflicts.iter_mut().for_each(|conflict| conflict.decided = false);
        merge.set(repo, session)?;
    }
    Ok(())
}

/// When the commit of a merge is undone, its files stay in the working tree; that they are a merge
/// is written down before the record that makes it so, so that it is never forgotten.
fn reopen_merge(repo: &Repo, undone: &State, goal: &State, session: &Session) -> Result<()> {
    let (Some(left), Some(ours)) = (undone.head_target(), goal.head_target()) else {
        return Ok(());
    };
    if undone.touched_worktree || left == ours || !undone.operation.starts_with("commit") {
        return Ok(());
    }
    match repo.manifest(&left)?.parents[..] {
        [first, theirs] if first == ours => {
            let branch = goal.head_branch().map_or("HEAD", |name| name.as_str());
            let labels = Labels::new(branch, &theirs.short());
            let merge = Unfinished {
                ours,
                theirs,
                left,
                after: goal.cursor,
                labels,
                conflicts: Vec::new(),
            };
            merge.set(repo, session)
        }
        _ => Ok(()),
    }
}

fn nothing(verb: &str) -> Error {
    Error::Policy { what: format!("there is nothing to {verb}") }
}

/// The number of a semantic version that a remote has seen is never used again, whatever is undone
/// here: its tag leaves a tombstone.
fn keep_shared_numbers(repo: &Repo, before: &[Tag], state: &mut State) {
    let remotes: Vec<State> = repo
        .state()
        .remotes
        .iter()
        .filter_map(|seen| last_state(repo.layout(), &seen.remote))
        .collect();
    for tag in before.iter().filter(|tag| tag.is_semver()) {
        let shared = remotes.iter().any(|remote| remote.tag(tag.name.as_str()).is_some());
        if shared && state.tag(tag.name.as_str()).is_none() {
            state.set_tag(Tag { target: None, ..tag.clone() });
        }
    }
}

/// The state of a generation; none when it is not kept any more or never was.
fn at(repo: &Repo, generation: u64) -> Result<Option<State>> {
    if generation == repo.state().generation {
        return Ok(Some(repo.state().clone()));
    }
    match chain::read(repo.transport(), generation) {
        Ok(record) => Ok(Some(record.state)),
        Err(mv_graph::Error::Store(mv_store::Error::Absent { .. })) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

struct Step {
    verb: &'static str,
    operation: String,
    /// How a move of a stage is entered; as what it was at first when none is given.
    entered: Option<MoveKind>,
    goal: State,
    redo: Vec<u64>,
    overlay: Option<Overlay>,
}

impl Step {
    fn take(self, repo: &Repo, worktree: bool, session: &Session) -> Result<UndoOutcome> {
        let name = format!("{} {}", self.verb, self.operation);
        let now = repo.state();
        let fresh = self.goal.targets();
        repo.must_be_whole(&fresh)?;
        let reason = format!("{}: {}", self.verb, self.operation);
        let followed = stage::follow(repo, &self.goal, self.entered, &reason, session)?;
        let edit = |state: &mut State| {
            // A record that saves what is overwritten, or one of upkeep, may lie between.
            let same = state.head == now.head
                && state.branches == now.branches
                && state.tags == now.tags
                && state.stages == now.stages;
            let retired =
                |pack| state.condemned.iter().chain(&state.deleting).any(|r| r.pack == pack);
            if !same || followed.packs.iter().any(|pack| retired(*pack)) {
                return Err(Error::LostRace { generation: state.generation });
            }
            state.head = self.goal.head.clone();
            state.branches = self.goal.branches.clone();
            state.tags = self.goal.tags.clone();
            keep_shared_numbers(repo, &now.tags, state);
            state.stages = followed.stages.clone();
            state.add_packs(&followed.packs);
            state.cursor = self.goal.cursor;
            state.redo = self.redo.clone();
            Ok(())
        };
        let target = self.goal.head_target();
        // What a merge that waits has put there, or taken away, is not the undone operation's.
        let merging = Unfinished::of(repo)?.is_some();
        let checkout = match target {
            Some(target) if worktree => {
                let switch = Switch {
                    operation: name,
                    target,
                    whole: self.overlay.is_none() && !merging,
                    scope: &|_, _| !merging,
                    local: Local::RefuseNew,
                    edit: &edit,
                    overlay: self.overlay,
                    fresh: None,
                    merge: None,
                };
                Some(run(repo, &switch, session)?)
            }
            _ => {
                repo.advance(session, &name, &followed.packs, &fresh, &mut |state| edit(state))?;
                None
            }
        };
        let count = |of: fn(&CheckoutOutcome) -> u64| checkout.as_ref().map_or(0, of);
        Ok(UndoOutcome {
            head: target,
            branch: self.goal.head_branch().map(ToString::to_string),
            written: count(|c| c.written),
            removed: count(|c| c.removed),
            failed: checkout.map_or_else(Vec::new, |c| c.failed),
            operation: self.operation,
        })
    }
}
