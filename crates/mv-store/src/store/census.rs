//! What a snapshot holds, object by object: for gc.

use super::{Found, Store};
use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{Hash, Kind};
use crate::pack::PackId;

/// How an object is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredAs {
    /// What it is.
    pub kind: Kind,
    /// The encoding of its block.
    pub encoding: Encoding,
    /// Its bytes; of a list, what it stands for.
    pub raw_bytes: u64,
    /// Its share of the block's stored bytes; at least 1.
    pub stored_bytes: u64,
}

impl Store {
    /// How an object is stored, whatever its kind.
    ///
    /// # Errors
    /// `Missing`, or what opening a pack gives.
    pub fn stored_as(&self, id: &Hash) -> Result<StoredAs> {
        let found = self.locate(id)?.ok_or(Error::Missing { kind: Kind::Blob, id: *id })?;
        let (encoding, raw_bytes) = (found.block.encoding, found.raw_len());
        Ok(StoredAs {
            kind: found.block.kind,
            encoding,
            raw_bytes,
            stored_bytes: found.stored_len(),
        })
    }

    /// The ids of all objects of a kind, sorted, each once.
    ///
    /// # Errors
    /// What opening a pack gives.
    pub fn ids_of(&self, kind: Kind) -> Result<Vec<Hash>> {
        let mut ids = Vec::new();
        for slot in 0..self.0.slots.len() {
            let index = &self.pack(slot)?.index;
            for n in 0..index.objects() {
                if index.place(n)?.1.kind == kind {
                    ids.push(index.id(n));
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// The stored bytes of a pack's objects that are wanted, and of all; of a block that several
    /// share, each object's part by its raw length.
    ///
    /// # Errors
    /// `Stale` for a pack that is not in the snapshot, or what opening it gives.
    pub fn live_bytes(&self, pack: PackId, wanted: &dyn Fn(&Hash) -> bool) -> Result<(u64, u64)> {
        let slot = self.pack_ids().position(|id| id == pack);
        let slot = slot.ok_or_else(|| Error::Stale { name: pack.to_string() })?;
        let index = &self.pack(slot)?.index;
        let (mut live, mut all) = (0, 0);
        for n in 0..index.objects() {
            let (place, block) = index.place(n)?;
            let stored = Found { slot, place, block }.stored_len();
            all += stored;
            live += if wanted(&index.id(n)) { stored } else { 0 };
        }
        Ok((live, all))
    }
}
