//! Reading ahead from a remote: blocks that will be asked for next are fetched together.
//!
//! At a distance every request costs a round trip, whatever it brings. So ranges that lie close
//! together become one request, and several requests are under way at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::PoisonError;

use super::Store;
use crate::codec::Encoding;
use crate::error::Result;
use crate::hash::{Hash, Kind};
use crate::lanes;
use crate::list::ListItem;
use crate::pack::{Block, Home};
use crate::transport::Source;

/// Stored bytes kept until they are read.
const MOST: u64 = 48 << 20;
/// Ranges closer than this are read as one: what lies between costs less than a request.
pub(crate) const GAP: u64 = 64 << 10;
/// Bytes of one request.
pub(crate) const RUN: u64 = 4 << 20;

/// The pack's number in the snapshot, and where the block begins in it.
type Key = (usize, u64);

/// Stored bytes of blocks, each kept until it is read once.
#[derive(Default)]
pub(super) struct ReadAhead {
    bytes: u64,
    blocks: HashMap<Key, Vec<u8>>,
}

impl ReadAhead {
    pub(super) fn take(&mut self, key: Key) -> Option<Vec<u8>> {
        let stored = self.blocks.remove(&key)?;
        self.bytes -= stored.len() as u64;
        Some(stored)
    }

    fn put(&mut self, key: Key, stored: Vec<u8>) {
        self.bytes += stored.len() as u64;
        if let Some(before) = self.blocks.insert(key, stored) {
            self.bytes -= before.len() as u64;
        }
    }
}

/// Blocks of one pack that are read by one request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Of the pack's bytes.
    pub(crate) range: Range<u64>,
    pub(crate) blocks: Vec<Block>,
}

/// Gathers blocks, ascending by offset, into runs.
pub(crate) fn runs(blocks: impl IntoIterator<Item = Block>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for block in blocks {
        let end = block.offset + u64::from(block.stored_len);
        match runs.last_mut() {
            Some(run)
                if block.offset.saturating_sub(run.range.end) <= GAP
                    && end - run.range.start <= RUN =>
            {
                run.range.end = end;
                run.blocks.push(block);
            }
            _ => runs.push(Run { range: block.offset..end, blocks: vec![block] }),
        }
    }
    runs
}

impl Run {
    /// Reads the run.
    pub(crate) fn read(&self, file: &dyn Source) -> Result<Vec<u8>> {
        let len = self.range.end - self.range.start;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        file.read_at(&mut bytes, self.range.start)?;
        Ok(bytes)
    }

    /// A block's part of what was read.
    pub(crate) fn part<'a>(&self, bytes: &'a [u8], block: &Block) -> &'a [u8] {
        let start = usize::try_from(block.offset - self.range.start).unwrap_or(usize::MAX);
        let end = start.saturating_add(block.stored_len as usize);
        bytes.get(start..end).unwrap_or_default()
    }
}

impl Store {
    /// Says that these objects will be read next; of blobs, what they are stored as and not their
    /// bytes. Those that lie on a remote are fetched now, up to a limit of memory; the others, and
    /// those that are nowhere, cost nothing.
    ///
    /// # Errors
    /// What fetching gives.
    pub fn read_ahead(&self, kind: Kind, ids: &[Hash]) -> Result<()> {
        self.fetch_ahead(ids.iter(), kind != Kind::Blob)
    }

    /// The same for chunks, whose bytes are wanted.
    pub(super) fn read_ahead_chunks(&self, chunks: &[ListItem]) -> Result<()> {
        self.fetch_ahead(chunks.iter().map(|chunk| &chunk.id), true)
    }

    /// `whole` is whether bytes that are stored whole are wanted, not only lists.
    fn fetch_ahead<'i>(&self, ids: impl Iterator<Item = &'i Hash>, whole: bool) -> Result<()> {
        if self.0.slots.iter().all(|slot| matches!(slot.home, Home::Local(_))) {
            return Ok(());
        }
        let mut wanted: HashMap<usize, Vec<Block>> = HashMap::new();
        let mut bytes = 0;
        let mut seen: HashSet<Hash> = HashSet::new();
        let mut ids: VecDeque<Hash> = ids.copied().collect();
        while let Some(id) = ids.pop_front() {
            let Some(found) = self.locate(&id)? else { continue };
            if found.block.encoding.has_bases() && whole {
                // They are read as well, and theirs.
                let bases = self.pack(found.slot)?.index.bases(&found.block)?;
                ids.extend(bases.into_iter().filter(|base| seen.insert(*base)));
            }
            let not_wanted = !whole && found.block.encoding != Encoding::List;
            if not_wanted || matches!(self.0.slots[found.slot].home, Home::Local(_)) {
                continue;
            }
            let key = (found.slot, found.place.block);
            if self.0.blocks.lock().unwrap_or_else(PoisonError::into_inner).get(key).is_some() {
                continue;
            }
            if bytes > MOST / 2 {
                break;
            }
            bytes += u64::from(found.block.stored_len);
            wanted.entry(found.slot).or_default().push(found.block);
        }
        self.fetch_blocks(wanted)
    }

    /// Fetches the lists that lie on a remote, up to a limit of memory, for whoever looks at all of them.
    ///
    /// # Errors
    /// What fetching gives.
    pub fn read_ahead_lists(&self) -> Result<()> {
        let mut wanted: HashMap<usize, Vec<Block>> = HashMap::new();
        let mut bytes = 0;
        for (slot, place) in self.0.slots.iter().enumerate() {
            if matches!(place.home, Home::Local(_)) {
                continue;
            }
            let index = &self.pack(slot)?.index;
            for n in 0..index.blocks() {
                let block = index.block(n)?;
                if block.encoding == Encoding::List && bytes <= MOST / 2 {
                    bytes += u64::from(block.stored_len);
                    wanted.entry(slot).or_default().push(block);
                }
            }
        }
        self.fetch_blocks(wanted)
    }

    fn fetch_blocks(&self, wanted: HashMap<usize, Vec<Block>>) -> Result<()> {
        let mut requests = Vec::new();
        for (slot, mut blocks) in wanted {
            blocks.sort_unstable_by_key(|b| b.offset);
            blocks.dedup_by_key(|b| b.offset);
            let kept = self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            blocks.retain(|b| !kept.blocks.contains_key(&(slot, b.offset)));
            drop(kept);
            requests.extend(runs(blocks).into_iter().map(|run| (slot, run)));
        }
        let lanes = requests.iter().map(|(slot, _)| self.0.slots[*slot].home.lanes()).max();
        lanes::each(lanes.unwrap_or(1), &requests, |(slot, run)| {
            let bytes = run.read(&*self.file(*slot)?)?;
            let mut kept = self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.bytes > MOST {
                // What was fetched for nothing must not pile up.
                *kept = ReadAhead::default();
            }
            for block in &run.blocks {
                kept.put((*slot, block.offset), run.part(&bytes, block).to_vec());
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(offset: u64, stored_len: u32) -> Block {
        let (encoding, kind) = (Encoding::Raw, Kind::Blob);
        Block {
            number: 0,
            offset,
            raw_len: stored_len.into(),
            stored_len,
            first: 0,
            encoding,
            kind,
        }
    }

    #[test]
    fn blocks_that_lie_close_are_read_by_one_request() {
        let far = 10 + 100 + GAP + 1;
        let found = runs([block(10, 50), block(60, 50), block(far, 5)]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].range.clone(), found[0].blocks.len()), (10..110, 2));
        assert_eq!(found[1].range, far..far + 5);
    }

    #[test]
    fn no_request_is_longer_than_a_run() {
        let found = runs((0..10).map(|n| block(n << 20, 1 << 20)));
        assert!(found.iter().all(|run| run.range.end - run.range.start <= RUN));
        assert_eq!(found.iter().map(|run| run.blocks.len()).sum::<usize>(), 10);
    }
}
