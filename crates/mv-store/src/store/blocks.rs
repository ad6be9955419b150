//! Visiting the blocks of one pack, for those who copy or check it.

use std::ops::Range;
use std::sync::Arc;

use super::Store;
use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{Hash, Kind, id_of};
use crate::list::List;
use crate::pack::{Block, Pack, PackFile};

/// A block as it lies in a pack, and decoded.
pub(crate) struct WholeBlock {
    pub(crate) kind: Kind,
    pub(crate) encoding: Encoding,
    pub(crate) raw_len: u64,
    pub(crate) stored: Vec<u8>,
    /// The objects that it is coded against.
    pub(crate) bases: Vec<Hash>,
    /// Empty for a list, and for a raw block, whose stored bytes are the bytes.
    decoded: Vec<u8>,
}

impl WholeBlock {
    /// The decoded bytes; empty for a list.
    pub(crate) fn raw(&self) -> &[u8] {
        match self.encoding {
            Encoding::Raw => &self.stored,
            Encoding::List => &[],
            _ => &self.decoded,
        }
    }

    /// Whether an object's bytes are what its id says. A list's are its chunks', which are not here.
    pub(crate) fn has(&self, id: &Hash, range: &Range<usize>) -> bool {
        self.encoding == Encoding::List
            || self.raw().get(range.clone()).is_some_and(|bytes| id_of(self.kind, bytes) == *id)
    }
}

/// The objects of a block, each with its range of the decoded bytes, in their order there.
pub(crate) type Members = Vec<(Hash, Range<usize>)>;

/// One pack of a snapshot, block by block. Costs four bytes an object.
pub(crate) struct Blocks<'a> {
    /// Where bases are read.
    nearest: Store,
    pack: &'a Pack,
    pub(crate) file: Arc<PackFile>,
    /// The number in the index of each object, by its place in stored order.
    by_ordinal: Vec<u32>,
}

impl<'a> Blocks<'a> {
    pub(crate) fn of(store: &'a Store, slot: usize) -> Result<Blocks<'a>> {
        let pack = store.pack(slot)?;
        let objects = pack.index.objects();
        let mut by_ordinal = vec![u32::MAX; objects as usize];
        for n in 0..objects {
            if let Some(place) = by_ordinal.get_mut(pack.index.ordinal(n) as usize) {
                *place = n;
            }
        }
        Ok(Blocks { nearest: store.clone(), pack, file: store.file(slot)?, by_ordinal })
    }

    /// The same, with the objects that blocks are coded against read from another store.
    pub(crate) fn with_bases_from(mut self, nearest: &Store) -> Blocks<'a> {
        self.nearest = nearest.clone();
        self
    }

    pub(crate) fn count(&self) -> u32 {
        self.pack.index.blocks()
    }

    pub(crate) fn block(&self, n: u32) -> Result<Block> {
        self.pack.index.block(n)
    }

    pub(crate) fn members(&self, n: u32) -> Result<Members> {
        let first = self.block(n)?.first as usize;
        let next = match n + 1 < self.count() {
            true => self.block(n + 1)?.first as usize,
            false => self.by_ordinal.len(),
        };
        let bad = || Error::corrupt("pack", self.pack.id, "its order names an object twice");
        let numbers = self.by_ordinal.get(first..next).ok_or_else(bad)?;
        let member = |&number: &u32| {
            if number == u32::MAX {
                return Err(bad());
            }
            let (place, _) = self.pack.index.place(number)?;
            let start = place.start as usize;
            Ok((self.pack.index.id(number), start..start + place.len as usize))
        };
        numbers.iter().map(member).collect()
    }

    /// Reads and decodes a block.
    pub(crate) fn read(&self, n: u32) -> Result<WholeBlock> {
        let block = self.block(n)?;
        let stored = self.pack.stored(&self.file, &block)?;
        self.decode(&block, stored)
    }

    /// Decodes a block that was read.
    pub(crate) fn decode(&self, block: &Block, stored: Vec<u8>) -> Result<WholeBlock> {
        let mut decoded = Vec::new();
        match block.encoding {
            Encoding::Raw => {}
            Encoding::List => {
                let member = self.by_ordinal.get(block.first as usize).copied();
                let name = member.filter(|n| *n != u32::MAX).map(|n| self.pack.index.id(n));
                List::decode(&stored, Some(block.raw_len), &name.unwrap_or(Hash::ZERO))?;
            }
            _ => {
                let base = self.nearest.base_bytes(self.pack, block)?;
                decoded = self.pack.decode(&stored, &base, block)?;
            }
        }
        let bases = self.pack.index.bases(block)?;
        let (kind, encoding, raw_len) = (block.kind, block.encoding, block.raw_len);
        Ok(WholeBlock { kind, encoding, raw_len, stored, bases, decoded })
    }
}
