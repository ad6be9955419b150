//! The object store of `mv`: bytes in, ids out, and the same bytes back.
//!
//! An **object** is bytes whose id is their BLAKE3. Objects live in **packs**: immutable files
//! that hold compressed **blocks** and end in an index. A large file is one object stored as a
//! *list* of **chunks**, cut where its content says, so that an edit stores only what changed.
//!
//! What this crate promises:
//!
//! - every object is compared with its id when it is written and again when it is read;
//! - a pack appears under its final name only when it is whole and durable;
//! - stored bytes are hostile: any length, count or offset is checked before it is used.
//!
//! What it leaves to others: which packs are live (the state chain of `mv-graph`), what objects
//! mean, and who may delete them.
//!
//! Modules are listed bottom-up; each uses only those above it.

mod error;
pub mod fs;
mod hash;
mod progress;
mod transport;

mod dir_transport;
mod lanes;
mod probe;
mod shared_dir;

mod effort;

mod codec;
pub mod cut;
mod list;
mod nearer;
mod outline;
pub mod pack;

mod store;

mod encode;
mod tables;
mod writer;

mod windows;

mod changed_runs;
mod grouping;

mod file_writer;

mod copier;

mod consolidate;
mod rescue;
mod verify;

mod transfer;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use codec::{Element, Encoding};
pub use consolidate::{Merge, copy_rest, merge_packs, plan_merge, plan_repack};
pub use dir_transport::DirTransport;
pub use effort::Effort;
pub use error::{Error, Fault, IoContext, Result};
pub use hash::{BlobHasher, Hash, HashPrefix, Kind, Nonce, Nonces, id_of, nonce_hex};
pub use list::ListItem;
pub use outline::{Outline, Part, Similar};
pub use pack::{MAX_CHUNK, PackId};
pub use probe::probe;
pub use progress::{Progress, Task, TaskSnapshot, Unit};
pub use rescue::{Trust, rescue, rescue_lists};
pub use shared_dir::SharedDir;
pub use store::{OpenElsewhere, PackInfo, Store, StoredAs};
pub use transfer::{Recipient, Transfer, adopt, packs_below, verify_lists};
pub use transport::{NEWEST, Source, Stat, Transport};
pub use verify::{
    PackCheck, PackProblem, Sampled, Share, sample_pack, verify_indexes, verify_pack,
};
pub use writer::{Encodings, StoreWriter, Written};
