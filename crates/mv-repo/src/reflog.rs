//! What was done to the repository: its state records, newest first.

use mv_graph::{State, Time, chain};
use mv_store::Hash;

use crate::error::Result;
use crate::repo::Repo;

/// One operation.
#[derive(Clone, Debug)]
pub struct ReflogEntry {
    /// The record's number.
    pub generation: u64,
    /// When.
    pub time: Time,
    /// Who.
    pub actor: String,
    /// What, in one line.
    pub operation: String,
    /// The version that HEAD was at afterwards.
    pub head: Option<Hash>,
    /// The branch that HEAD was on afterwards.
    pub branch: Option<String>,
}

/// The latest operations, newest first; all that are kept when there is no limit.
///
/// # Errors
/// `Corrupt`, `Io`.
pub fn reflog(repo: &Repo, limit: Option<usize>) -> Result<Vec<ReflogEntry>> {
    let mut entries = vec![entry(repo.state())];
    let limit = limit.unwrap_or(usize::MAX);
    for record in chain::history(repo.transport(), repo.state()).take(limit.saturating_sub(1)) {
        entries.push(entry(&record?.state));
    }
    entries.truncate(limit);
    Ok(entries)
}

fn entry(state: &State) -> ReflogEntry {
    ReflogEntry {
        generation: state.generation,
        time: state.time,
        actor: state.actor.as_ref().map(ToString::to_string).unwrap_or_default(),
        operation: state.operation.clone(),
        head: state.head_target(),
        branch: state.head_branch().map(ToString::to_string),
    }
}
