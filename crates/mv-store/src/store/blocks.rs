//! Visiting the blocks of one pack, for those who copy or check it.

use std::ops::Range;

use super::Store;
use crate::codec::Encoding;
use crate::error::Result;
use crate::hash::{Hash, Kind};
use crate::list::List;

/// A block as it lies in a pack, and decoded.
pub(crate) struct WholeBlock {
    pub(crate) kind: Kind,
    pub(crate) encoding: Encoding,
    pub(crate) raw_len: u64,
    pub(crate) stored: Vec<u8>,
    /// Empty for a list.
    pub(crate) raw: Vec<u8>,
}

/// The objects of a block, each with its range of the decoded bytes.
pub(crate) type Members = Vec<(Hash, Range<usize>)>;

impl Store {
    /// Visits the blocks of a pack in stored order, decoded, each with its objects.
    pub(crate) fn each_block(
        &self,
        slot: usize,
        visit: &mut dyn FnMut(&WholeBlock, &Members) -> Result<()>,
    ) -> Result<()> {
        self.each_block_lenient(slot, &mut |block, members| visit(&block?, members))
    }

    /// The same, going on after a block that does not decode.
    pub(crate) fn each_block_lenient(
        &self,
        slot: usize,
        visit: &mut dyn FnMut(Result<WholeBlock>, &Members) -> Result<()>,
    ) -> Result<()> {
        let pack = self.pack(slot)?;
        let file = self.file(slot)?;
        let mut members: Vec<Members> = vec![Vec::new(); pack.index.blocks() as usize];
        for n in 0..pack.index.objects() {
            let (place, _) = pack.index.place(n)?;
            let start = place.start as usize;
            members[place.block as usize]
                .push((pack.index.id(n), start..start + place.len as usize));
        }
        for (n, mut members) in (0..).zip(members) {
            members.sort_by_key(|(_, range)| (range.start, range.end));
            let block = pack.index.block(n).and_then(|block| {
                let stored = pack.stored(&file, &block)?;
                let raw = match block.encoding {
                    Encoding::Raw => stored.clone(),
                    Encoding::Zstd => pack.decoded(&file, &block)?,
                    Encoding::List => {
                        let name = members.first().map_or(Hash::ZERO, |(id, _)| *id);
                        List::decode(&stored, Some(block.raw_len), &name)?;
                        Vec::new()
                    }
                };
                Ok(WholeBlock {
                    kind: block.kind,
                    encoding: block.encoding,
                    raw_len: block.raw_len,
                    stored,
                    raw,
                })
            });
            visit(block, &members)?;
        }
        Ok(())
    }
}
