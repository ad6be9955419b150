//! Moving the current branch to another version.

use mv_graph::Head;
use mv_store::Hash;

use crate::checkout::{CheckoutOutcome, Local, Switch, run};
use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;
use crate::unfinished::Unfinished;

/// Where to, and what becomes of the working tree.
#[derive(Clone, Debug, Default)]
pub struct ResetOptions {
    /// The version.
    pub rev: String,
    /// Put the version's files in place as well; what is overwritten is saved for `undo`.
    pub hard: bool,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct ResetOutcome {
    /// The branch that moved; none on a detached HEAD.
    pub branch: Option<String>,
    /// Where it is now.
    pub id: Hash,
    /// How that version is called.
    pub version: String,
    /// What happened to the working tree, if anything.
    pub checkout: Option<CheckoutOutcome>,
}

/// Moves the current branch (or a detached HEAD). Without `hard` the working tree stays, so that
/// what differs shows up as uncommitted.
///
/// # Errors
/// `UnknownRevision`, `LostRace`, `Io`.
pub fn reset(repo: &Repo, options: &ResetOptions, session: &Session) -> Result<ResetOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    let id = repo.resolve(&options.rev, session)?;
    let manifest = repo.manifest(&id)?;
    repo.must_be_whole(&[id])?;
    let head = repo.state().head.clone();
    let edit = |state: &mut mv_graph::State| {
        if state.head != head {
            return Err(Error::LostRace { generation: state.generation });
        }
        match state.head.clone() {
            Head::Branch(name) => state.set_branch(name, id),
            Head::Detached(_) => state.head = Head::Detached(id),
        }
        Ok(())
    };
    let checkout = if options.hard {
        let switch = Switch {
            operation: format!("reset --hard {}", options.rev),
            target: id,
            whole: true,
            scope: &|_, _| true,
            local: Local::Overwrite,
            edit: &edit,
            overlay: None,
            fresh: None,
            merge: None,
        };
        Some(run(repo, &switch, session)?)
    } else {
        Unfinished::refuse(repo)?;
        Unfinished::clear_ended(repo)?;
        repo.advance(session, &format!("reset {}", options.rev), &[], &[id], &mut |state| {
            edit(state)
        })?;
        None
    };
    Ok(ResetOutcome {
        branch: repo.state().head_branch().map(ToString::to_string),
        id,
        version: repo.version_of(&id, &manifest),
        checkout,
    })
}
