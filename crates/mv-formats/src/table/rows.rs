//! [`RowBag`]: the difference of two multisets of rows, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Rows that a bag holds at once. Twice as many are less than 7/8 of 2^21 slots, so that the map never
/// grows beyond these, whatever comes and goes: 36 MiB, and 18 more while it grows to that.
pub(super) const MAX_DIFFERING: usize = 900_000;

/// A share of all hashes: those that have these bits from bit 24 on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    bits: u32,
    value: u64,
}

impl Share {
    fn has(self, hash: u64) -> bool {
        // Not the lowest bits, which choose the slot in the map.
        (hash >> 24) & ((1 << self.bits) - 1) == self.value
    }
}

/// Counts, for each hash of a share, how much more often it was seen in the new table than in the old
/// one. When too many differ it keeps half of its share and leaves the other half for a later pass.
pub(super) struct RowBag {
    share: Share,
    counts: HashMap<u64, i64, BuildHasherDefault<AsIs>>,
    limit: usize,
    /// What another pass over both tables must count.
    pub(super) left: Vec<Share>,
}

impl RowBag {
    /// An empty one for this share of the hashes.
    pub(super) fn new(share: Share, limit: usize) -> RowBag {
        RowBag { share, counts: HashMap::default(), limit: limit.max(1), left: Vec::new() }
    }

    /// Counts a row: 1 for the new table, -1 for the old one.
    pub(super) fn add(&mut self, hash: u64, count: i64) {
        if !self.share.has(hash) {
            return;
        }
        let counted = self.counts.entry(hash).or_insert(0);
        *counted += count;
        if *counted == 0 {
            self.counts.remove(&hash);
        } else if self.counts.len() > self.limit {
            self.halve();
        }
    }

    fn halve(&mut self) {
        // Beyond 24 bits the hashes would have to be equal.
        while self.counts.len() > self.limit && self.share.bits < 24 {
            let Share { bits, value } = self.share;
            self.left.push(Share { bits: bits + 1, value: value | 1 << bits });
            self.share.bits = bits + 1;
            let share = self.share;
            self.counts.retain(|&hash, _| share.has(hash));
        }
    }

    /// How many rows were seen more often in the new table, and how many in the old one.
    pub(super) fn added_and_removed(&self) -> (u64, u64) {
        self.counts.values().fold((0, 0), |(added, removed), &count| match count {
            1.. => (added + count.unsigned_abs(), removed),
            _ => (added, removed + count.unsigned_abs()),
        })
    }
}

/// What is hashed here are hashes already, keyed ones.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
