//! Decoded blocks of small objects, kept while their neighbours are likely to be asked for.

use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes kept.
const CACHE_BYTES: usize = 32 << 20;
/// Entries kept: they are searched one by one.
const CACHE_ENTRIES: usize = 256;

/// The pack's number in the snapshot, and the block's in the pack.
type Key = (usize, u32);

#[derive(Default)]
pub(super) struct BlockCache {
    bytes: usize,
    entries: VecDeque<(Key, Arc<Vec<u8>>)>,
}

impl BlockCache {
    pub(super) fn get(&mut self, key: Key) -> Option<Arc<Vec<u8>>> {
        let at = self.entries.iter().rposition(|(k, _)| *k == key)?;
        if at + 8 < self.entries.len() {
            let entry = self.entries.remove(at)?;
            self.entries.push_back(entry);
            return self.entries.back().map(|(_, block)| Arc::clone(block));
        }
        self.entries.get(at).map(|(_, block)| Arc::clone(block))
    }

    pub(super) fn put(&mut self, key: Key, block: &Arc<Vec<u8>>) {
        if self.entries.iter().any(|(k, _)| *k == key) {
            return;
        }
        self.bytes += block.len();
        self.entries.push_back((key, Arc::clone(block)));
        let full =
            |cache: &BlockCache| cache.bytes > CACHE_BYTES || cache.entries.len() > CACHE_ENTRIES;
        while full(self) && self.entries.len() > 1 {
            if let Some((_, old)) = self.entries.pop_front() {
                self.bytes -= old.len();
            }
        }
    }
}
