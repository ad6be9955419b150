//! State records that a gc deletes, and with them what undo could go back to.

use mv_graph::chain;
use mv_store::Transport;

use super::GcPlan;
use crate::error::Result;
use crate::maintain::{KEEP_RECORDS, expired};
use crate::remote::Remote;
use crate::repo::Repo;
use crate::session::Session;

/// Lists the records before the oldest one that is kept: they may lead to versions that go.
pub(super) fn before(repo: &Repo, oldest: u64, plan: &mut GcPlan) -> Result<()> {
    let all = chain::generations(repo.transport())?;
    plan.drop_records = all.into_iter().filter(|generation| *generation < oldest).collect();
    if !plan.drop_records.is_empty() {
        plan.undo_ends = Some(chain::read(repo.transport(), oldest)?.state.operation);
    }
    Ok(())
}

/// Lists the oldest records of a remote, beyond those that others may go on from.
pub(super) fn expired_on(remote: &Remote, session: &Session) -> Result<Vec<u64>> {
    let mut generations = chain::generations(&*remote.transport)?;
    let kept = usize::try_from(chain::KEPT).unwrap_or(64);
    generations.truncate(generations.len().saturating_sub(kept));
    let mut old = Vec::new();
    for generation in generations {
        let record = chain::read(&*remote.transport, generation)?;
        if !expired(record.state.time, session.now, KEEP_RECORDS) {
            break;
        }
        old.push(generation);
    }
    Ok(old)
}

/// Deletes the records of a plan; one that somebody else deleted is gone as well.
pub(super) fn prune(transport: &dyn Transport, plan: &GcPlan) -> Result<u64> {
    for generation in &plan.drop_records {
        transport.delete(&chain::name_of(*generation))?;
    }
    Ok(plan.drop_records.len() as u64)
}
