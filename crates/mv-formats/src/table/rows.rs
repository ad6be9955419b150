//! [`RowBag`]: the difference of two multisets of rows, in bounded memory.

/// Slots of one of the tables of a bag. All of them are 48 MiB, and 3 more while one grows; a
/// `HashMap` of as many rows would need three times that.
pub(super) const MAX_SLOTS: usize = 1 << 19;
const TABLES: usize = 8;
/// Halvings of a share. That many would need hundreds of thousands of hashes that agree in 24 bits.
const MAX_BITS: u32 = 24;

/// A share of all hashes: those that have these bits from bit 24 on, above those that
/// choose a slot and below those that choose a table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    bits: u32,
    value: u64,
}

impl Share {
    fn has(self, hash: u64) -> bool {
        (hash >> 24) & ((1 << self.bits) - 1) == self.value
    }
}

/// Counts, for each hash of a share, how much more often it was seen in the new table than in the old
/// one. When too many differ it keeps half of its share and leaves the other half for a later pass.
///
/// The hashes must be keyed, so that nobody can choose rows that fall into one slot.
pub(super) struct RowBag {
    share: Share,
    tables: [Counts; TABLES],
    max_slots: usize,
    /// What another pass over both files must count.
    pub(super) left: Vec<Share>,
}

impl RowBag {
    /// An empty one for this share of the hashes.
    pub(super) fn new(share: Share, max_slots: usize) -> RowBag {
        RowBag { share, tables: Default::default(), max_slots, left: Vec::new() }
    }

    /// Counts a row: 1 for the new table, -1 for the old one. Says whether one of the other table
    /// was waiting for it.
    pub(super) fn add(&mut self, hash: u64, count: i32) -> bool {
        if !self.share.has(hash) {
            return false;
        }
        let table = &mut self.tables[(hash >> 48) as usize % TABLES];
        if table.is_full() {
            if table.hashes.len() < self.max_slots || self.share.bits == MAX_BITS {
                table.grow();
            } else {
                self.halve();
                return self.add(hash, count);
            }
        }
        table.add(hash, count)
    }

    fn halve(&mut self) {
        let Share { bits, value } = self.share;
        self.left.push(Share { bits: bits + 1, value: value | 1 << bits });
        self.share.bits = bits + 1;
        for table in &mut self.tables {
            table.keep(self.share);
        }
    }

    /// How many rows were seen more often in the new table, and how many in the old one.
    pub(super) fn added_and_removed(&self) -> (u64, u64) {
        let counts = self.tables.iter().flat_map(|table| &table.counts);
        counts.fold((0, 0), |(added, removed), &count| match count {
            0.. => (added + u64::from(count.unsigned_abs()), removed),
            _ => (added, removed + u64::from(count.unsigned_abs())),
        })
    }
}

/// A hash table with linear probing: at the slot of its hash or in the used ones behind it. A count
/// of zero is a free slot.
#[derive(Default)]
struct Counts {
    hashes: Vec<u64>,
    counts: Vec<i32>,
    used: usize,
}

impl Counts {
    fn is_full(&self) -> bool {
        self.used >= self.hashes.len() / 8 * 7
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.hashes.len() - 1)
    }

    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.hashes.len() - 1)
    }

    /// There must be a free slot.
    fn add(&mut self, hash: u64, count: i32) -> bool {
        let mut slot = self.home(hash);
        while self.counts[slot] != 0 && self.hashes[slot] != hash {
            slot = self.next(slot);
        }
        let before = self.counts[slot];
        // Rows that are there 2^31 times are more than is read.
        let after = before.saturating_add(count);
        self.hashes[slot] = hash;
        self.counts[slot] = after;
        match (before, after) {
            (0, _) => self.used += 1,
            (_, 0) => self.close_gap(slot),
            _ => {}
        }
        before.signum() * count.signum() < 0
    }

    /// Moves what was put behind a slot that is free now, so that it is found again.
    fn close_gap(&mut self, mut gap: usize) {
        self.used -= 1;
        let mask = self.hashes.len() - 1;
        let mut slot = self.next(gap);
        while self.counts[slot] != 0 {
            let home = self.home(self.hashes[slot]);
            let from_home = slot.wrapping_sub(home) & mask;
            if from_home >= slot.wrapping_sub(gap) & mask {
                self.hashes[gap] = self.hashes[slot];
                self.counts[gap] = std::mem::take(&mut self.counts[slot]);
                gap = slot;
            }
            slot = self.next(slot);
        }
    }

    fn grow(&mut self) {
        let slots = (self.hashes.len() * 2).max(8);
        self.rebuild(slots, |_| true);
    }

    fn keep(&mut self, share: Share) {
        self.rebuild(self.hashes.len(), |hash| share.has(hash));
    }

    fn rebuild(&mut self, slots: usize, keep: impl Fn(u64) -> bool) {
        let old = std::mem::take(self);
        self.hashes.resize(slots, 0);
        self.counts.resize(slots, 0);
        for (hash, count) in old.hashes.into_iter().zip(old.counts) {
            if count != 0 && keep(hash) {
                self.add(hash, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Hashes of which many have the same slot.
    fn hash(n: u64) -> u64 {
        (n % 5) | n << 24 | n << 48
    }

    proptest! {
        #[test]
        fn a_bag_counts_as_a_map_does_in_as_many_passes_as_it_needs(
            rows in prop::collection::vec((0..60u64, any::<bool>()), 0..300),
            slots in prop::sample::select(&[8usize, 16, 1 << 19][..]),
        ) {
            let mut model: HashMap<u64, i64> = HashMap::new();
            for &(n, new) in &rows {
                *model.entry(n).or_default() += if new { 1 } else { -1 };
            }
            let added: i64 = model.values().filter(|&&n| n > 0).sum();
            let removed: i64 = model.values().filter(|&&n| n < 0).sum();
            let mut shares = vec![Share::default()];
            let mut sum = (0, 0);
            while let Some(share) = shares.pop() {
                let mut bag = RowBag::new(share, slots);
                for &(n, new) in &rows {
                    bag.add(hash(n), if new { 1 } else { -1 });
                }
                let (added, removed) = bag.added_and_removed();
                sum = (sum.0 + added, sum.1 + removed);
                shares.append(&mut bag.left);
            }
            prop_assert_eq!(sum, (added as u64, removed.unsigned_abs()));
        }
    }

    #[test]
    fn a_row_says_whether_the_other_table_had_it() {
        let mut bag = RowBag::new(Share::default(), 8);
        assert!(!bag.add(7, -1));
        assert!(!bag.add(7, -1));
        assert!(bag.add(7, 1));
        assert!(bag.add(7, 1));
        assert!(!bag.add(7, 1));
    }
}
