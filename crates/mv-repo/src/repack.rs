//! Gathering small packs, here or on a remote, so that a long history is read as quickly as a short
//! one. Nothing is dropped: what no ref reaches is for `gc`.

use mv_store::{Unit, plan_repack};

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::maintain::{self, READERS_GRACE};
use crate::remotes;
use crate::repo::Repo;
use crate::session::Session;

/// What was gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepackOutcome {
    /// Packs that others stand for now.
    pub packs_before: u64,
    /// Packs that stand for them.
    pub packs_after: u64,
    /// Their bytes before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// Gathers the small packs of this repository.
///
/// # Errors
/// `LostRace` when somebody else was first, `Corrupt`, `Io`.
pub fn repack(repo: &Repo, session: &Session) -> Result<RepackOutcome> {
    let _lock = repo.lock()?;
    let repo = &repo.fresh(session)?;
    let depot = Depot::Here(repo);
    let Some((plan, written)) = gather(&depot, session)? else {
        return Ok(RepackOutcome::default());
    };
    maintain::retire(repo, session, "repack", &plan.packs, &[], &written.packs, READERS_GRACE)?;
    Ok(outcome(&plan, &written))
}

/// Gathers the small packs of a remote. Anybody may do this, while others push and clone.
///
/// # Errors
/// As [`repack`]; `UnknownRemote`, `Remote`.
pub fn repack_remote(repo: &Repo, name: Option<&str>, session: &Session) -> Result<RepackOutcome> {
    let mut remote = remotes::connect(repo, name, false, session)?;
    remote.state()?;
    remote.store.open_indexes()?;
    let gathered = gather(&Depot::There(&remote, repo), session)?;
    let Some((plan, written)) = gathered else { return Ok(RepackOutcome::default()) };
    let (old, new) = (&plan.packs, &written.packs);
    match maintain::retire_remote(&mut remote, "repack", old, &[], new, READERS_GRACE, session) {
        Err(Error::Graph(mv_graph::Error::LostRace { generation })) => {
            Err(Error::LostRace { generation })
        }
        other => other,
    }?;
    remote.forget_old_indexes();
    Ok(outcome(&plan, &written))
}

fn gather(
    depot: &Depot<'_>,
    session: &Session,
) -> Result<Option<(mv_store::Merge, mv_store::Written)>> {
    let plan = plan_repack(&depot.store().packs()?);
    if plan.packs.is_empty() {
        return Ok(None);
    }
    let task = session.progress.task("gathering packs", Unit::Bytes);
    task.set_total(plan.bytes);
    let written = depot.rewrite(&plan.packs, &|_| true, session, &task)?;
    Ok(Some((plan, written)))
}

fn outcome(plan: &mv_store::Merge, written: &mv_store::Written) -> RepackOutcome {
    RepackOutcome {
        packs_before: plan.packs.len() as u64,
        packs_after: written.packs.len() as u64,
        bytes_before: plan.bytes,
        bytes_after: written.stored_bytes,
    }
}
