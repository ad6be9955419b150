//! What differs between the working tree and the version it is based on.

use mv_graph::diff::Change;
use mv_store::Hash;

use crate::error::Result;
use crate::mark::Mark;
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::{Depth, Snapshot};
use crate::unfinished::{Conflict, Unfinished};

/// How to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusOptions {}

/// The working tree's standing.
#[derive(Clone, Debug)]
pub struct Status {
    /// The branch that HEAD is on.
    pub branch: Option<String>,
    /// The version that the working tree is based on.
    pub head: Option<Hash>,
    /// How that version is called.
    pub version: Option<String>,
    /// What differs from it, by path.
    pub changes: Vec<Change>,
    /// Things that are not versioned although nothing ignores them, and why.
    pub skipped: Vec<(String, String)>,
    /// An operation that was cut off, or a merge that is not committed yet.
    pub unfinished: Option<String>,
    /// What is left to decide of a merge; none when there is no merge.
    pub conflicts: Option<Vec<Conflict>>,
}

/// Compares the working tree with HEAD. Costs a stat of each file; only files that the stat cache
/// cannot vouch for are read.
///
/// # Errors
/// `Io`, `BadName`, `Corrupt`.
pub fn status(repo: &Repo, _: &StatusOptions, session: &Session) -> Result<Status> {
    let mut snapshot = Snapshot::take(repo, session)?;
    snapshot.examine(Depth::Differs, session)?;
    let changes = snapshot.changes();
    snapshot.remember(repo, session);
    let cut_off = Mark::pending(repo, session, &snapshot)?.map(|mark| mark.describe());
    let merge = Unfinished::of(repo)?.filter(|_| cut_off.is_none());
    let conflicts =
        merge.as_ref().map(|merge| merge.open(repo, &mut snapshot, session)).transpose()?;
    let waits = merge.map(|m| m.describe(conflicts.as_ref().map_or(0, Vec::len)));
    let version = snapshot.head.as_ref().map(|(id, manifest)| repo.version_of(id, manifest));
    Ok(Status {
        branch: repo.state().head_branch().map(ToString::to_string),
        head: snapshot.head.as_ref().map(|(id, _)| *id),
        version,
        changes,
        skipped: skipped(&snapshot),
        unfinished: cut_off.or(waits),
        conflicts,
    })
}

pub(crate) fn skipped(snapshot: &Snapshot) -> Vec<(String, String)> {
    snapshot.scan.skipped().iter().map(|s| (s.path.to_string(), s.why.clone())).collect()
}
