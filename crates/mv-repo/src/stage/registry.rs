//! Who plays which role, and who played it when: what the ledgers say.

use mv_graph::{LedgerEntry, MoveKind, Person, Stage, Time, ledger};
use mv_store::Hash;

use crate::error::Result;
use crate::repo::Repo;

/// One move of a stage, as its ledger tells it.
#[derive(Clone, Debug)]
pub struct Move {
    /// The stage.
    pub name: String,
    /// The number of the move; the first is 1.
    pub sequence: u64,
    /// When.
    pub at: Time,
    /// Who moved it.
    pub by: Person,
    /// The version that played the role until then, and how it is called now.
    pub from: Option<(Hash, String)>,
    /// The version that plays it from then on, and how it is called now; none when nobody does.
    pub to: Option<(Hash, String)>,
    /// Why; any text, possibly empty.
    pub reason: String,
    /// How it came to this.
    pub kind: MoveKind,
    /// The id of the ledger's entry.
    pub id: Hash,
}

impl Move {
    /// An entry of a ledger with its versions by name.
    pub(super) fn of(repo: &Repo, (id, entry): (Hash, LedgerEntry)) -> Move {
        let version = |id: Hash| (id, called(repo, &id));
        Move {
            name: entry.stage.to_string(),
            sequence: entry.sequence,
            at: entry.at,
            by: entry.by,
            from: entry.from.map(version),
            to: entry.to.map(version),
            reason: entry.reason,
            kind: entry.kind,
            id,
        }
    }
}

/// For each stage that somebody plays, by name, the move that gave the role to that version.
///
/// # Errors
/// `Missing` or `Corrupt` for a damaged ledger.
pub fn list(repo: &Repo) -> Result<Vec<Move>> {
    let played = repo.state().stages.iter().filter(|stage| stage.target.is_some());
    played.map(|stage| newest(repo, stage)).collect()
}

/// The moves of one stage, or of all, oldest first. Costs an object a move.
///
/// # Errors
/// `UnknownRevision` for an unknown stage; `Missing` or `Corrupt` for a damaged ledger.
pub fn history(repo: &Repo, name: Option<&str>) -> Result<Vec<Move>> {
    let stages = match name {
        Some(name) => vec![find(repo, name)?],
        None => repo.state().stages.iter().collect(),
    };
    let mut moves: Vec<(i64, Move)> = Vec::new();
    for stage in stages {
        let first = moves.len();
        for entry in ledger::walk(repo.store(), stage) {
            moves.push((0, Move::of(repo, entry?)));
        }
        moves[first..].reverse();
        // Between stages the clock decides; within one the numbers do, whatever the clock said.
        let mut latest = i64::MIN;
        for (at, one) in &mut moves[first..] {
            latest = latest.max(one.at.ns);
            *at = latest;
        }
    }
    moves.sort_by_key(|(at, _)| *at);
    Ok(moves.into_iter().map(|(_, one)| one).collect())
}

/// The move that was a stage's last one at a time: who played the role then. None when it had not
/// been moved by then or nobody played it.
///
/// # Errors
/// As [`history`].
pub fn at(repo: &Repo, name: &str, time: Time) -> Result<Option<Move>> {
    let entry = ledger::entry_at(repo.store(), find(repo, name)?, time)?;
    Ok(entry.map(|entry| Move::of(repo, entry)).filter(|one| one.to.is_some()))
}

/// The stage of a name.
pub(super) fn find<'a>(repo: &'a Repo, name: &str) -> Result<&'a Stage> {
    let unknown = || mv_graph::Error::UnknownRevision { text: name.to_owned() };
    Ok(repo.state().stage(name).ok_or_else(unknown)?)
}

/// The newest move of a stage.
pub(super) fn newest(repo: &Repo, stage: &Stage) -> Result<Move> {
    Ok(Move::of(repo, (stage.ledger, newest_entry(repo, stage)?)))
}

/// The newest entry of a stage's ledger, held against the stage.
pub(super) fn newest_entry(repo: &Repo, stage: &Stage) -> Result<LedgerEntry> {
    let missing = || mv_graph::Error::corrupt("ledger entry", stage.ledger, "there is none");
    let (_, entry) = ledger::walk(repo.store(), stage).next().ok_or_else(missing)??;
    Ok(entry)
}

/// How a version is called. One that cannot be read still has a tag or an id: the history of a
/// stage must not depend on all of its versions being sound.
pub(super) fn called(repo: &Repo, id: &Hash) -> String {
    match repo.manifest(id) {
        Ok(manifest) => repo.version_of(id, &manifest),
        Err(_) => repo.tags_of(id).into_iter().next().unwrap_or_else(|| id.short()),
    }
}
