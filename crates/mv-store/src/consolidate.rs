//! Merging small packs, so that a year of daily commits is read as quickly as the first.
//!
//! Packs are ranked by size, each rank eight times the one below. When a rank holds eight packs,
//! it and all smaller ones become one pack: a byte is rewritten about once a rank, and a
//! repository has at most seven packs a rank.

use std::path::Path;

use crate::copier::{Copier, form};
use crate::error::Result;
use crate::hash::{Hash, Nonces};
use crate::list::List;
use crate::pack::{Block, PackId};
use crate::progress::Task;
use crate::store::blocks::{Blocks, WholeBlock};
use crate::store::{PackInfo, Store};
use crate::verify::slot_of;
use crate::writer::{Form, StoreWriter, Written};

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
/// by their form. The old packs, and those of `gone`, which the caller gives up without copying
/// anything, stay: the caller publishes a state record without them first.
///
/// # Errors
/// `Corrupt` if an object does not match its id, `Cancelled`, `Io`.
pub fn merge_packs(
    root: &Path,
    store: &Store,
    packs: &[PackId],
    gone: &[PackId],
    keep: &dyn Fn(&Hash) -> bool,
    nonces: &Nonces,
    task: &Task,
) -> Result<Written> {
    let leaving: Vec<PackId> = packs.iter().chain(gone).copied().collect();
    let writer = StoreWriter::begin_at(root, &store.without(&leaving), nonces)?;
    let copier = Copier::new(&writer, store);
    let slots = packs.iter().map(|pack| slot_of(store, *pack)).collect::<Result<Vec<usize>>>()?;
    // Of several lists of a blob the one is kept from which it is read.
    let counts = |at: (usize, u32), id: &Hash, _: &WholeBlock| -> Result<bool> {
        let chosen = store.list_at(id)?;
        Ok(chosen == at || !slots.contains(&chosen.0))
    };
    let step = |block: &Block| {
        task.add(u64::from(block.stored_len));
        task.check()
    };
    copy_lacking(&copier, store, &slots, keep, &counts, &step)?;
    writer.finish()
}

/// Copies whatever a writer that stores everything of a store anew has not stored, as far as `keep`
/// wants it. A list of which the writer lacks something is left behind.
///
/// # Errors
/// `Corrupt` if an object does not match its id, `Cancelled`, `Io`.
pub fn copy_rest(
    writer: &StoreWriter<'_>,
    store: &Store,
    keep: &dyn Fn(&Hash) -> bool,
    task: &Task,
) -> Result<()> {
    let slots: Vec<usize> = (0..store.pack_ids().count()).collect();
    let counts = |_, id: &Hash, block: &WholeBlock| {
        let list = List::decode(&block.stored, Some(block.raw_len), id)?;
        let parts = store.parts(vec![list]);
        Ok(parts.is_ok_and(|parts| parts.iter().all(|part| writer.has(part))))
    };
    copy_lacking(&Copier::new(writer, store), store, &slots, keep, &counts, &|_| task.check())
}

/// Copies what is kept of some packs and is not where it goes to: lists last, and of these the ones
/// that `counts` accepts. `step` hears of each block.
fn copy_lacking(
    copier: &Copier<'_>,
    store: &Store,
    slots: &[usize],
    keep: &dyn Fn(&Hash) -> bool,
    counts: &dyn Fn((usize, u32), &Hash, &WholeBlock) -> Result<bool>,
    step: &dyn Fn(&Block) -> Result<()>,
) -> Result<()> {
    for lists in [Form::Whole, Form::List] {
        for &slot in slots {
            let blocks = Blocks::of(store, slot)?;
            for n in 0..blocks.count() {
                let block = blocks.block(n)?;
                if form(block.encoding) != lists {
                    continue;
                }
                step(&block)?;
                let members = blocks.members(n)?;
                let lacks = |id: &Hash| keep(id) && !copier.there(id, lists);
                let Some((id, _)) = members.iter().find(|(id, _)| lacks(id)) else { continue };
                let block = blocks.read(n)?;
                if lists == Form::Whole || counts((slot, n), id, &block)? {
                    copier.copy(&block, &members, keep)?;
                }
            }
        }
    }
    Ok(())
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
