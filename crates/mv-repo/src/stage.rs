//! Stages: roles such as `production`, each played by one version at a time.
//!
//! A move is one entry of the stage's ledger, in a pack published first, and one state record that
//! names it. Ledgers are never rewritten: undoing a move, or rolling it back, is another move. A
//! stage whose ledger has grown since it was read is a lost race, so a ledger never forks.

mod policy;
mod registry;

use mv_graph::{LedgerEntry, MoveKind, RefName, Stage, State, ledger};
use mv_store::{Hash, Kind, PackId, StoreWriter};

pub use registry::{Move, at, history, list};

use crate::error::{Error, Result};
use crate::maintain;
use crate::repo::Repo;
use crate::session::Session;

/// What a command did to a stage.
#[derive(Clone, Debug)]
pub struct StageOutcome {
    /// The newest move of the stage, made by this command or found as it should be.
    pub newest: Move,
    /// Whether the command moved it.
    pub moved: bool,
}

/// Gives a role to a version, if the rules of `mv.toml` in the working tree allow it.
///
/// # Errors
/// `Policy`, naming the rule that is broken, for a name that means something else already, and for
/// a version that is not all there; `Invalid` for a reason that is too long or a broken `mv.toml`;
/// `UnknownRevision`, `LostRace`.
pub fn set(
    repo: &Repo,
    name: &RefName,
    rev: &str,
    reason: &str,
    session: &Session,
) -> Result<StageOutcome> {
    let target = repo.resolve(rev, session)?;
    let stage = repo.state().stage(name.as_str());
    if let Some(stage) = stage.filter(|stage| stage.target == Some(target)) {
        return Ok(StageOutcome { newest: registry::newest(repo, stage)?, moved: false });
    }
    check_name(repo.state(), name)?;
    repo.must_be_whole(&[target])?;
    let rules = policy::Rules::read(repo, name, stage.and_then(|s| s.target), target)?;
    rules.check(repo.state())?;
    let called = registry::called(repo, &target);
    let operation = format!("stage {name} -> {called}");
    let to = Goal { to: Some(target), kind: MoveKind::Set, reason };
    move_to(repo, name, &to, &operation, session, &|state| {
        check_name(state, name)?;
        // A tag that was relied upon may have been deleted meanwhile.
        rules.check(state)
    })
}

/// Gives a role back to the version that played it before the present one was set.
///
/// Repeated, it goes further back: a version that was rolled back, or whose move was undone, is
/// passed over. The rules of `mv.toml` are not asked, since the version has played the role before.
///
/// # Errors
/// `Policy` when nobody played the role before, or that version is not all there; `UnknownRevision`
/// for an unknown stage; `Corrupt` for a damaged ledger; `LostRace`.
pub fn rollback(
    repo: &Repo,
    name: &RefName,
    reason: &str,
    session: &Session,
) -> Result<StageOutcome> {
    let stage = registry::find(repo, name.as_str())?;
    let Some(target) = served_before(repo, stage)? else {
        return Err(Error::Policy { what: format!("nobody played `{name}` before") });
    };
    repo.must_be_whole(&[target])?;
    let operation = format!("stage {name} -> {} (rollback)", registry::called(repo, &target));
    let to = Goal { to: Some(target), kind: MoveKind::Rollback, reason };
    move_to(repo, name, &to, &operation, session, &|_| Ok(()))
}

/// Takes a role from the version that plays it. The stage and its ledger stay.
///
/// # Errors
/// `UnknownRevision` for an unknown stage, `LostRace`.
pub fn unset(repo: &Repo, name: &RefName, reason: &str, session: &Session) -> Result<StageOutcome> {
    let stage = registry::find(repo, name.as_str())?;
    if stage.target.is_none() {
        return Ok(StageOutcome { newest: registry::newest(repo, stage)?, moved: false });
    }
    let to = Goal { to: None, kind: MoveKind::Unset, reason };
    move_to(repo, name, &to, &format!("unset stage {name}"), session, &|_| Ok(()))
}

/// What a stage is moved to, and how.
struct Goal<'a> {
    to: Option<Hash>,
    kind: MoveKind,
    reason: &'a str,
}

/// Publishes the entry, then the record that names it. `check` judges the state it is based on.
fn move_to(
    repo: &Repo,
    name: &RefName,
    goal: &Goal<'_>,
    operation: &str,
    session: &Session,
    check: &dyn Fn(&State) -> Result<()>,
) -> Result<StageOutcome> {
    let before = repo.state().stage(name.as_str());
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    let (next, entry) = enter(repo, &writer, name, before, goal, session)?;
    let written = writer.finish()?;
    let roots: Vec<Hash> = goal.to.into_iter().collect();
    repo.advance(session, operation, &written.packs, &roots, &mut |state| {
        // The new entry follows the one that was read, and no other.
        if state.stage(name.as_str()) != before {
            return Err(Error::LostRace { generation: state.generation });
        }
        check(state)?;
        state.set_stage(next.clone());
        Ok(())
    })?;
    maintain::after(repo, session);
    Ok(StageOutcome { newest: Move::of(repo, (next.ledger, entry)), moved: true })
}

/// Writes the next entry of a ledger; returns it and the stage that it leads to.
fn enter(
    repo: &Repo,
    writer: &StoreWriter<'_>,
    name: &RefName,
    before: Option<&Stage>,
    goal: &Goal<'_>,
    session: &Session,
) -> Result<(Stage, LedgerEntry)> {
    let newest = before.map(|stage| registry::newest_entry(repo, stage)).transpose()?;
    let entry = LedgerEntry {
        stage: name.clone(),
        sequence: newest.map_or(1, |entry| entry.sequence.saturating_add(1)),
        previous: before.map(|stage| stage.ledger),
        from: before.and_then(|stage| stage.target),
        to: goal.to,
        kind: goal.kind,
        by: session.author.clone(),
        at: session.now,
        reason: goal.reason.trim().to_owned(),
    };
    let ledger = writer.put(Kind::Blob, &entry.encode()?)?;
    Ok((Stage { name: name.clone(), target: goal.to, ledger }, entry))
}

/// Stages as they are after undo or redo, and the packs that hold the entries which say so.
pub(crate) struct Followed {
    pub(crate) stages: Vec<Stage>,
    pub(crate) packs: Vec<PackId>,
}

/// Brings every stage to where `goal` has it, by new entries. A stage that is there already keeps
/// its ledger as it is.
///
/// The entries are of the given kind; without one, each is of the kind that led there at first.
pub(crate) fn follow(
    repo: &Repo,
    goal: &State,
    kind: Option<MoveKind>,
    reason: &str,
    session: &Session,
) -> Result<Followed> {
    let mut stages = repo.state().stages.clone();
    let moved =
        |stage: &Stage| goal.stage(stage.name.as_str()).and_then(|s| s.target) != stage.target;
    if !stages.iter().any(moved) {
        return Ok(Followed { stages, packs: Vec::new() });
    }
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    for stage in stages.iter_mut().filter(|stage| moved(stage)) {
        let there = goal.stage(stage.name.as_str());
        let kind = match (kind, there) {
            (None, Some(there)) => registry::newest_entry(repo, there)?.kind,
            (kind, _) => kind.unwrap_or(MoveKind::Undo),
        };
        let to = Goal { to: there.and_then(|s| s.target), kind, reason };
        (*stage, _) = enter(repo, &writer, &stage.name, Some(stage), &to, session)?;
    }
    Ok(Followed { stages, packs: writer.finish()?.packs })
}

/// The version that a rollback leads to.
///
/// The ledger is read as a pile: a set puts a version on it, a rollback or an undo takes off what
/// lies on the version that it leads to. So what was rolled back is not come back to.
fn served_before(repo: &Repo, stage: &Stage) -> Result<Option<Hash>> {
    let mut entries = ledger::walk(repo.store(), stage).collect::<mv_graph::Result<Vec<_>>>()?;
    entries.reverse();
    let mut pile: Vec<Option<Hash>> = vec![None];
    for (_, entry) in entries {
        let below = match entry.kind {
            MoveKind::Rollback | MoveKind::Undo => pile.iter().rposition(|id| *id == entry.to),
            MoveKind::Set | MoveKind::Unset => None,
        };
        match below {
            Some(at) => pile.truncate(at + 1),
            None => pile.push(entry.to),
        }
    }
    Ok(pile.into_iter().rev().flatten().find(|id| Some(*id) != stage.target))
}

/// Refuses a name that means a version already; not for a stage that somebody plays.
fn check_name(state: &State, name: &RefName) -> Result<()> {
    let refused = |what: String| Err(Error::Policy { what });
    if state.stage(name.as_str()).is_some_and(|stage| stage.target.is_some()) {
        return Ok(());
    }
    if name.version().is_some() {
        return refused(format!(
            "`{name}` is a version's name; a stage is a role, like `production`"
        ));
    }
    let same = |other: &RefName| other.as_str().to_lowercase() == name.as_str().to_lowercase();
    let unborn = state.head_branch().filter(|b| same(b));
    if let Some(branch) = state.branches.iter().map(|b| &b.name).find(|b| same(b)).or(unborn) {
        return refused(format!("`{branch}` is a branch already"));
    }
    if let Some(tag) = state.tags.iter().map(|t| &t.name).find(|t| same(t)) {
        return refused(format!("`{tag}` is a tag already"));
    }
    match state.stages.iter().map(|s| &s.name).find(|s| *s != name && same(s)) {
        Some(twin) => refused(format!("stage `{twin}` differs only by case")),
        None => Ok(()),
    }
}

/// Refuses a name for a branch or tag that is a stage's: it would mean two versions.
pub(crate) fn check_no_stage(state: &State, name: &RefName) -> Result<()> {
    match state.stage(name.as_str()).filter(|stage| stage.target.is_some()) {
        Some(stage) => Err(Error::Policy { what: format!("`{}` is a stage already", stage.name) }),
        None => Ok(()),
    }
}
