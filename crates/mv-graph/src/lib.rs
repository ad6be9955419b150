//! What the stored bytes of `mv` mean: trees, versions, and the chain of state records.
//!
//! A **manifest** is one version; it names four **trees** and its parents. A **state record** names
//! the refs and the live packs; creating the record of the next generation is the only way a
//! repository ever changes. This crate encodes and decodes them, walks and compares them, and
//! finds the version that a user means.
//!
//! What this crate promises:
//!
//! - one value has one byte string, and a decoder accepts no other;
//! - hostile bytes give an error: no panic, no memory beyond a small multiple of the input;
//! - what a checked type holds (`RepoPath`, `RefName`, a decoded manifest) was checked.
//!
//! What it leaves to others: where bytes are kept (`mv-store`), working files and commands
//! (`mv-repo`), what a user sees (`mv-cli`). It reads no clock and no environment.
//!
//! Modules are listed bottom-up; each uses only those above it.

mod escape;

mod error;

mod component;
mod line;
mod objects;
mod path;
mod time;
mod wire;

mod person;
mod scalar;

mod manifest;
mod refs;
mod tree;

mod state;
mod trees;

pub mod chain;
pub mod diff;
pub mod ledger;
pub mod missing;
pub mod reach;
pub mod walk;

pub mod revision;

#[cfg(test)]
mod testing;

pub use chain::Record;
pub use component::{Component, ComponentRef};
pub use diff::{Change, ChangeKind, ListedFile};
pub use error::{Error, Result};
pub use escape::{escape, escape_bytes, escape_multiline, is_unprintable};
pub use ledger::{LedgerEntry, MoveKind};
pub use manifest::{MAX_MANIFEST, MAX_MESSAGE, MAX_METADATA, MAX_PARENTS, Manifest, Source};
pub use objects::Objects;
pub use path::{
    MAX_COMPONENT, MAX_DEPTH, MAX_PATH, PathError, RepoPath, check_component, is_protected,
};
pub use person::Person;
pub use refs::{
    Branch, Head, MAX_REF_NAME, RefName, RemoteSeen, Retired, Stage, Tag, Tracking, parse_version,
};
pub use scalar::{F64Bits, Scalar};
pub use state::{MAX_REFS, State};
pub use time::{DayEdge, Time};
pub use tree::{MAX_ENTRIES, MAX_SYMLINK, Mode, Tree, TreeEntry};
pub use trees::{FileEntry, build_trees};
