//! Everything ambient that an operation needs, handed in by the caller: libraries read no clock,
//! no environment and no randomness of their own.

use mv_graph::{Person, Time};
use mv_store::{Nonces, Progress};

use crate::connector::Connector;
use crate::surroundings::Surroundings;

/// The circumstances of one command.
#[derive(Debug)]
pub struct Session {
    /// The time recorded in what is written. It decides politeness, never safety.
    pub now: Time,
    /// Who acts.
    pub author: Person,
    /// Where unique names come from.
    pub nonces: Nonces,
    /// Identifies this boot of the machine: a checkout that another boot did not finish flushing
    /// is told from one that was edited.
    pub boot_id: String,
    /// The user's number: a repository folder of another user is refused.
    pub uid: u32,
    /// Opens repositories that belong to other users as well.
    pub trust_any_owner: bool,
    /// The machine and the shell, for the environment that a version is made in.
    pub surroundings: Surroundings,
    /// How remotes are reached.
    pub connector: Connector,
    /// Counters to watch, and the way to stop.
    pub progress: Progress,
}
