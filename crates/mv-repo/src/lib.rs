//! One repository: what is in the work tree, and the operations a user asks for.
//!
//! This crate joins the objects of `mv-store` and their meaning in `mv-graph` with a directory on
//! disk. It reads no clock, environment or terminal: all of that is handed in as a [`Session`].
//!
//! Operations are free functions in a module of their name: `fn status(&Repo, &StatusOptions,
//! &Session) -> Result<Status>`. They return what they did; printing is the caller's.
//!
//! Modules are listed bottom-up; each uses only those above it.

mod error;
mod url;

mod address;
mod partial;

pub mod config;
pub mod layout;
pub mod worktree;

mod surroundings;

mod connector;

mod session;

pub mod remote;

mod repo;

pub mod environment;
pub mod file_bytes;
pub mod renames;
pub mod source;

mod line_changes;
mod outline;
mod snapshot;
mod text_merge;
mod unfinished;

mod mark;

pub mod measures;

mod depot;
mod maintain;
mod tracking;

pub mod remotes;

pub mod fetch;

pub mod stage;

pub mod bump;
pub mod tag;

pub mod branch;
pub mod status;

pub mod commit;
mod saved;

pub mod checkout;
pub mod reset;
pub mod restore;
pub mod undo;

pub mod merge;

pub mod clone;
pub mod pull;
pub mod push;

pub mod log;
pub mod ls;
pub mod reflog;
pub mod versions;

pub mod archive;
pub mod cat;
pub mod diff;
pub mod tensor;

pub mod bisect;

pub mod du;
pub mod fsck;
pub mod gc;
pub mod repack;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use error::{Error, Result};
pub use remote::{Address, Connect, Connector};
pub use repo::{InitOptions, InitOutcome, PathArg, Repo, WAITING};
pub use session::Session;
pub use surroundings::{Machine, Surroundings};
pub use tracking::RefChange;
pub use url::without_credentials;
