//! Storing everything anew, as small as it gets, with the newest versions the quickest to read.
//!
//! At a commit the newest version is coded against the one before, for that is what is there. Here it
//! is turned round: what branches, tags and stages name is stored whole or one step from it, and older
//! versions are coded against newer ones. Bytes of which nothing is known are compressed with more
//! work. Ids, and so versions, stay what they are. A remote's packs are only gathered into fewer.

mod anew;
mod history;
mod meanwhile;

use mv_graph::chain;
use mv_store::{Merge, PackInfo, Unit, Written, plan_repack};

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::maintain::{self, READERS_GRACE};
use crate::remotes;
use crate::repo::Repo;
use crate::session::Session;
use history::History;

/// The operation of a record after which there is nothing to repack.
const OPERATION: &str = "repack";
/// The same beside commits, whose packs are left as they are.
const BESIDE_OTHERS: &str = "repack beside commits";
/// Operations that change packs and nothing else.
const UPKEEP: [&str; 3] = ["gc", "merge packs", "gather packs"];

/// What was done.
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

/// Stores everything in this repository anew. Costs about what committing all versions again would,
/// and until the next gc the room of both.
///
/// # Errors
/// `LostRace` when somebody else was first, `Corrupt` for anything damaged: then nothing changes; `Io`.
pub fn repack(repo: &Repo, session: &Session) -> Result<RepackOutcome> {
    let before = &repo.fresh(session)?;
    if before.state().packs.is_empty() || is_repacked(before)? {
        return Ok(RepackOutcome::default());
    }
    let history = History::of(before, session)?;
    let mut written = anew::store(before, &history, session)?;
    // Only now: whoever commits meanwhile need not wait for as long as all of that took.
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    // A pack that was merged meanwhile stays as what it became.
    let live = |pack: &PackInfo| repo.state().packs.binary_search(&pack.id).is_ok();
    let old: Vec<PackInfo> = before.store().packs()?.into_iter().filter(live).collect();
    let (packs, bytes) = (old.iter().map(|p| p.id).collect(), old.iter().map(|p| p.bytes).sum());
    let plan = Merge { packs, bytes };
    // What commits wrote meanwhile stays as it is, until the next repack.
    let all = repo.state().packs.len() == old.len();
    let operation = if all { OPERATION } else { BESIDE_OTHERS };
    let copied = meanwhile::copied(repo, &plan.packs, &written.packs, session)?;
    written.packs.extend(copied.packs);
    written.stored_bytes += copied.stored_bytes;
    maintain::retire(repo, session, operation, &plan.packs, &[], &written.packs, READERS_GRACE)?;
    Ok(outcome(&plan, &written))
}

/// Whether the packs are those of the last repack, and since then nothing happened but upkeep. A
/// branch or tag that moved makes other versions quick to read.
fn is_repacked(repo: &Repo) -> Result<bool> {
    let newest = repo.state();
    let mut operation = newest.operation.clone();
    for record in chain::history(repo.transport(), newest) {
        if operation == OPERATION || !UPKEEP.contains(&operation.as_str()) {
            break;
        }
        let state = record?.state;
        if state.packs != newest.packs {
            return Ok(false);
        }
        operation = state.operation;
    }
    Ok(operation == OPERATION)
}

/// Gathers the small packs of this repository, as they are.
///
/// # Errors
/// As [`repack`].
pub fn gather_packs(repo: &Repo, session: &Session) -> Result<RepackOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    let depot = Depot::Here(repo);
    let Some((plan, written)) = gather(&depot, session)? else {
        return Ok(RepackOutcome::default());
    };
    maintain::retire(
        repo,
        session,
        "gather packs",
        &plan.packs,
        &[],
        &written.packs,
        READERS_GRACE,
    )?;
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

fn gather(depot: &Depot<'_>, session: &Session) -> Result<Option<(Merge, Written)>> {
    let plan = plan_repack(&depot.store().packs()?);
    if plan.packs.is_empty() {
        return Ok(None);
    }
    let task = session.progress.task("gathering packs", Unit::Bytes);
    task.set_total(plan.bytes);
    let written = depot.rewrite(&plan.packs, &[], &|_| true, session, &task)?;
    Ok(Some((plan, written)))
}

fn outcome(plan: &Merge, written: &Written) -> RepackOutcome {
    RepackOutcome {
        packs_before: plan.packs.len() as u64,
        packs_after: written.packs.len() as u64,
        bytes_before: plan.bytes,
        bytes_after: written.stored_bytes,
    }
}
