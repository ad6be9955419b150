//! The work tree: what is in it, what changed since last time, and writing into it.
//!
//! Everything goes through directory handles and never follows a symlink. Modules are listed
//! bottom-up; each uses only those above it.

mod order;
mod stat;

mod beneath;
mod cache_file;
pub mod components;
pub mod content;
pub mod ignore;

mod cache_writer;
pub mod stat_cache;

mod scanned;
mod walk;

pub mod scan;

mod cache_save;

pub mod materialize;

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

pub use beneath::Root;
pub use components::Rules;
pub use content::{read_link, read_stable};
pub use materialize::{LARGE, Writer};
pub use scan::{Difference, FileRef, Found, Scan, ScanOptions, Skipped, scan};
pub use stat::Stat;
pub use stat_cache::{CacheEntry, CacheHeader, CacheUpdate, StatCache, stamp};
