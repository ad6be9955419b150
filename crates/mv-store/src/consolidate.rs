//! Merging small packs, so that a year of daily commits is read as quickly as the first.
//!
//! Packs are ranked by size, each rank eight times the one below. When a rank holds eight packs,
//! it and all smaller ones become one pack: a byte is rewritten about once a rank, and a
//! repository has at most seven packs a rank.

use std::collections::HashSet;
use std::path::Path;

use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{Hash, Nonces};
use crate::pack::PackId;
use crate::progress::Task;
use crate::store::blocks::{Blocks, Members, WholeBlock};
use crate::store::{PackInfo, Store};
use crate::writer::{SMALL, StoreWriter, Written};

/// Packs of one rank that are merged.
const FANOUT: usize = 8;
/// The smallest rank's bound, in bytes.
const RANK_ZERO: u64 = 32 << 10;
/// Packs from this size on are left alone, so that what follows a commit rewrites 256 MiB at most.
const LARGE: u64 = 32 << 20;

/// Whether a pack is one of those that are merged with others.
pub(crate) fn small_pack(bytes: u64) -> bool {
    bytes < LARGE
}

/// Packs that should become one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// The packs to replace.
    pub packs: Vec<PackId>,
    /// Their bytes.
    pub bytes: u64,
}

/// Says which packs to merge, if any. Pure.
#[must_use]
pub fn plan_merge(packs: &[PackInfo]) -> Option<Merge> {
    let rank = |bytes: u64| (0..).find(|&r| bytes < RANK_ZERO << (3 * r)).unwrap_or(20);
    let small: Vec<_> = packs.iter().filter(|p| small_pack(p.bytes)).collect();
    let highest =
        (0..=5).rev().find(|&r| small.iter().filter(|p| rank(p.bytes) == r).count() >= FANOUT)?;
    let chosen: Vec<_> = small.into_iter().filter(|p| rank(p.bytes) <= highest).collect();
    Some(Merge {
        bytes: chosen.iter().map(|p| p.bytes).sum(),
        packs: chosen.iter().map(|p| p.id).collect(),
    })
}

/// Says which packs to gather at leisure: all that are small, if there are two. Pure.
#[must_use]
pub fn plan_repack(packs: &[PackInfo]) -> Merge {
    let chosen: Vec<_> = packs.iter().filter(|p| small_pack(p.bytes)).collect();
    if chosen.len() < 2 {
        return Merge::default();
    }
    Merge {
        bytes: chosen.iter().map(|p| p.bytes).sum(),
        packs: chosen.iter().map(|p| p.id).collect(),
    }
}

/// Writes the objects of `packs` that `keep` wants into new packs below `root`. Large blocks are copied as
/// they are; small objects come to share blocks. Every object is verified on the way, lists
/// by their form. The old packs
/// stay: the caller publishes a state record without them first.
///
/// # Errors
/// `Corrupt` if an object does not match its id, `Cancelled`, `Io`.
pub fn merge_packs(
    root: &Path,
    store: &Store,
    packs: &[PackId],
    keep: &dyn Fn(&Hash) -> bool,
    nonces: &Nonces,
    task: &Task,
) -> Result<Written> {
    let writer = StoreWriter::begin_at(root, &store.without(packs), nonces)?;
    let source = store.only(packs);
    let mut seen = HashSet::new();
    for number in 0..packs.len() {
        let blocks = Blocks::of(&source, number)?;
        for n in 0..blocks.count() {
            task.check()?;
            task.add(u64::from(blocks.block(n)?.stored_len));
            let members = blocks.members(n)?;
            let fresh: Members = members
                .iter()
                .filter(|(id, _)| keep(id) && seen.insert(*id) && writer.claim(id))
                .cloned()
                .collect();
            if !fresh.is_empty() {
                let block = blocks.read(n)?;
                writer.copy_block(&block, &members, &fresh)?;
            }
        }
    }
    writer.finish()
}

impl StoreWriter<'_> {
    /// Copies the `fresh` ones of a block's objects, which this writer has claimed. The block is taken
    /// as it is when that carries little else; small objects come to share other blocks.
    ///
    /// # Errors
    /// `Corrupt` if an object does not match its id, `Io`.
    pub(crate) fn copy_block(
        &self,
        block: &WholeBlock,
        members: &Members,
        fresh: &Members,
    ) -> Result<()> {
        if let Some((id, _)) = fresh.iter().find(|(id, range)| !block.has(id, range)) {
            return Err(Error::corrupt("object", id, "its bytes do not match its id"));
        }
        if block.encoding == Encoding::List
            || (fresh.len() == members.len() && block.raw().len() >= SMALL)
        {
            let members: Vec<_> =
                fresh.iter().map(|(id, range)| (*id, at32(range.start))).collect();
            let (encoding, stored) = (block.encoding, &block.stored);
            return self.append_stored(block.kind, encoding, stored, block.raw_len, &members);
        }
        fresh.iter().try_for_each(|(id, range)| {
            self.put_claimed(block.kind, *id, block.raw().get(range.clone()).unwrap_or_default())
        })
    }
}

fn at32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(n: u8, bytes: u64) -> PackInfo {
        PackInfo { id: PackId(Hash([n; 32])), bytes, objects: 1 }
    }

    #[test]
    fn a_thousand_commits_leave_few_packs_and_rewrite_little() {
        let mut packs: Vec<PackInfo> = Vec::new();
        let (mut rewritten, mut most) = (0, 0);
        for _ in 0..1000 {
            packs.push(info(0, 3000));
            if let Some(merge) = plan_merge(&packs) {
                rewritten += merge.bytes;
                // Ids are all alike here: what is merged is every pack up to the largest chosen.
                let mut sizes: Vec<u64> = packs.iter().map(|p| p.bytes).collect();
                sizes.sort_unstable();
                let merged: u64 = sizes.drain(..merge.packs.len()).sum();
                packs = sizes.into_iter().chain([merged]).map(|bytes| info(0, bytes)).collect();
            }
            most = most.max(packs.len());
        }
        assert!(most <= 24, "{most} packs");
        assert!(rewritten <= 3000 * 1000 * 6, "{rewritten} bytes");
    }

    #[test]
    fn large_packs_are_left_alone() {
        let packs: Vec<_> = (0..20).map(|n| info(n, LARGE)).collect();
        assert_eq!(plan_merge(&packs), None);
    }
}
