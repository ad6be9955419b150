//! What is remembered of a remote's refs, and how a ref that moved is told.

use mv_graph::{RefName, RemoteSeen, State, Tracking};
use mv_store::Hash;

/// A ref that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefChange {
    /// Its name.
    pub name: String,
    /// Where it was; none when it is new.
    pub from: Option<Hash>,
    /// Where it is; none when it was deleted.
    pub to: Option<Hash>,
}

/// Notes the newest record that was seen of a remote.
pub(crate) fn remember_seen(state: &mut State, name: &RefName, seen: Option<RemoteSeen>) {
    state.remotes.retain(|r| r.remote != *name);
    state.remotes.extend(seen);
    state.remotes.sort_by(|a, b| a.remote.cmp(&b.remote));
}

/// Notes where a branch of a remote stands, keeping the order.
pub(crate) fn set_tracking(state: &mut State, one: Tracking) {
    state.tracking.retain(|t| (&t.remote, &t.branch) != (&one.remote, &one.branch));
    state.tracking.push(one);
    state.tracking.sort_by(|a, b| (&a.remote, &a.branch).cmp(&(&b.remote, &b.branch)));
}
