//! Fetching, and merging what came into the current branch.

use crate::error::{Error, Result};
use crate::fetch::{self, FetchOptions, FetchOutcome};
use crate::merge::{self, Favor, MergeOptions, MergeOutcome};
use crate::repo::Repo;
use crate::session::Session;

/// What to pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// The remote; `origin` or the only one when none is named.
    pub remote: Option<String>,
    /// The branch there; the current one's name when none is given.
    pub branch: Option<String>,
    /// Which side's lines and files are taken where both changed them.
    pub favor: Favor,
    /// Take a remote that was set back or exchanged as it is now.
    pub accept_rewind: bool,
}

/// What was fetched and merged.
#[derive(Clone, Debug)]
pub struct PullOutcome {
    /// What came.
    pub fetched: FetchOutcome,
    /// What became of it.
    pub merged: MergeOutcome,
}

/// Fetches everything from a remote and merges its branch into the current one.
///
/// # Errors
/// Those of `fetch` and `merge`; `UnknownRevision` when the remote has no such branch.
pub fn pull(repo: &Repo, options: &PullOptions, session: &Session) -> Result<PullOutcome> {
    let branch = match (&options.branch, repo.state().head_branch()) {
        (Some(branch), _) => branch.clone(),
        (None, Some(branch)) => branch.to_string(),
        (None, None) => {
            let detail = "HEAD is on no branch: name the branch to pull";
            return Err(Error::invalid("option", detail));
        }
    };
    let fetching = FetchOptions {
        remote: options.remote.clone(),
        accept_rewind: options.accept_rewind,
        ..FetchOptions::default()
    };
    let fetched = fetch::fetch(repo, &fetching, session)?;
    let repo = &repo.fresh(session)?;
    let rev = format!("{}/{branch}", fetched.remote);
    if repo.state().tracked(&fetched.remote, &branch).is_none() {
        return Err(mv_graph::Error::UnknownRevision { text: rev }.into());
    }
    let merging = MergeOptions { rev, favor: options.favor, ..MergeOptions::default() };
    let merged = merge::merge(repo, &merging, session)?;
    Ok(PullOutcome { fetched, merged })
}
