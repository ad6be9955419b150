//! Packs: immutable files that hold objects and end in their own index.
//!
//! ```text
//! header   magic "MVPK", version u32 = 1, nonce [16]                        24 bytes
//! blocks   stored bytes, one after the other without gaps
//! footer   ids     objects x id [32]          strictly ascending
//!          order   objects x ordinal u32      of the n-th id: its number in stored order
//!          starts  objects x start u32        by ordinal: where it begins in its decoded block
//!          blocks  blocks  x { offset u64, raw_len u64, stored_len u32, first u32,
//!                              encoding u8, kind u8, 0 u16 }
//!          bases   bases   x { block u32, id [32] }   by block, those of one block in their order
//! trailer  objects u32, blocks u32, bases u32, 0 u32, footer offset u64,
//!          BLAKE3 of the footer and the 24 bytes before, magic "MVPKEND1"   64 bytes
//! ```
//!
//! All numbers are little-endian. A **block** is what is read and decoded at once: one chunk, or
//! several small objects of one kind that were compressed together. `first` is the ordinal of its
//! first object; it has the objects up to the next block's `first`, at least one. In the decoded
//! block they follow one another without gaps: an object ends where the next one begins, the last
//! at `raw_len`. A list block has one object, whose length is `raw_len`. **Bases** name the
//! objects that a block is coded against, so that gc and push know of them without decoding.
//!
//! A pack's id is the BLAKE3 of the whole file. The nonce makes it unique even if two writers pack
//! the same objects, which the deletion protocol needs (`docs/CONCURRENCY.md`).

mod builder;
pub(crate) mod copy;
mod index;
mod reader;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::Encoding;
use crate::hash::{Hash, Kind};

pub(crate) use builder::{ClosedPack, PackBuilder, Stored};
pub(crate) use index::PackIndex;
pub(crate) use reader::{Home, Pack, PackFile, RemoteHome, keep_index};

/// A pack's name: the BLAKE3 of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PackId(pub Hash);

impl PackId {
    /// Where the pack is kept, below the repository folder.
    #[must_use]
    pub fn file_name(&self) -> String {
        let hex = self.0.to_hex();
        format!("packs/{}/{hex}", &hex[..2])
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(crate) const HEADER_MAGIC: [u8; 4] = *b"MVPK";
pub(crate) const VERSION: u32 = 1;
pub(crate) const TRAILER_MAGIC: [u8; 8] = *b"MVPKEND1";
pub(crate) const HEADER_LEN: u64 = 24;
pub(crate) const TRAILER_LEN: u64 = 64;
pub(crate) const ID_LEN: usize = 32;
/// An ordinal and a start.
pub(crate) const PLACE_LEN: usize = 8;
pub(crate) const BLOCK_LEN: usize = 28;
pub(crate) const BASE_LEN: usize = 36;

/// Objects in one pack, at most.
pub(crate) const MAX_OBJECTS: u32 = 16 << 20;
/// Records of bases in one pack, at most.
pub(crate) const MAX_BASE_RECORDS: u32 = 32 << 20;
/// Bytes of one pack after which the next one is begun.
pub(crate) const FULL_PACK: u64 = 3 << 30;
/// Raw bytes of the largest object that is stored as one block: a tree.
pub(crate) const MAX_RAW: u64 = 64 << 20;
/// Raw bytes of the largest chunk.
pub const MAX_CHUNK: u64 = 16 << 20;
/// Raw bytes of a block that several objects share, at most.
pub(crate) const MAX_SHARED: u64 = 1 << 20;
/// The same for a block of differences to other objects.
pub(crate) const MAX_SHARED_DIFF: u64 = 4 << 20;
/// Stored bytes of a block beyond its raw bytes, at most: what a codec writes before the first of them.
pub(crate) const MAX_OVERHEAD: u64 = 64;
/// Objects that one block is coded against.
pub(crate) const MAX_BASES: usize = 512;
/// Raw bytes of the objects that one block is coded against.
pub(crate) const MAX_BASE_BYTES: u64 = 32 << 20;

/// One stored block, as the index describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its number in the pack.
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) raw_len: u64,
    pub(crate) stored_len: u32,
    /// The ordinal of its first object.
    pub(crate) first: u32,
    pub(crate) encoding: Encoding,
    pub(crate) kind: Kind,
}

/// Where an object lies: a block of the pack, and a range of what it decodes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: u32,
    pub(crate) start: u32,
    pub(crate) len: u32,
}
