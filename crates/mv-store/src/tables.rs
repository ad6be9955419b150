//! The chunks of blobs that others are coded against, and which of them cover a range.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::hash::Hash;
use crate::list::ListItem;
use crate::store::Store;
use crate::writer::lock;

/// Chunks of one blob, at most: a list of more is not worth its memory.
const MOST_CHUNKS: usize = 1 << 18;
/// Chunks in all tables that are kept at once: some 60 MB.
const KEPT_CHUNKS: usize = 1 << 19;
/// Tables kept at once.
const TABLES: usize = 64;

/// The chunks of one blob.
#[derive(Debug)]
pub(crate) struct Table {
    items: Vec<ListItem>,
    /// Where each ends in the blob.
    ends: Vec<u64>,
    /// The first place of each.
    by_id: HashMap<Hash, usize>,
}

/// Chunks that cover a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cover {
    pub(crate) ids: Vec<Hash>,
    /// Where the first of them begins in the blob.
    pub(crate) begin: u64,
    /// Where the range begins in the first of them.
    pub(crate) start: usize,
    /// Raw bytes of all of them.
    pub(crate) bytes: u64,
}

impl Table {
    pub(crate) fn new(items: Vec<ListItem>) -> Table {
        let mut end = 0u64;
        let ends = items.iter().map(|item| {
            end = end.saturating_add(item.len);
            end
        });
        let ends = ends.collect();
        let mut by_id = HashMap::with_capacity(items.len());
        for (n, item) in items.iter().enumerate() {
            by_id.entry(item.id).or_insert(n);
        }
        Table { items, ends, by_id }
    }

    /// The blob's length.
    pub(crate) fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Where a chunk is in the blob: at or after `from`, or else its first place.
    pub(crate) fn place_of(&self, id: &Hash, from: u64) -> Option<Range<u64>> {
        let near = self.ends.partition_point(|end| *end <= from);
        let near =
            [near, near + 1].into_iter().find(|n| self.items.get(*n).is_some_and(|i| i.id == *id));
        let n = near.or_else(|| self.by_id.get(id).copied())?;
        Some(self.ends[n] - self.items[n].len..self.ends[n])
    }

    /// The chunks that cover a range, which must not be empty; cut off where the blob ends.
    pub(crate) fn cover(&self, range: Range<u64>) -> Option<Cover> {
        let end = range.end.min(self.len());
        if range.start >= end {
            return None;
        }
        let first = self.ends.partition_point(|end| *end <= range.start);
        let last = self.ends.partition_point(|at| *at < end);
        let items = self.items.get(first..=last)?;
        let begin = self.ends[first] - self.items[first].len;
        Some(Cover {
            ids: items.iter().map(|item| item.id).collect(),
            begin,
            start: usize::try_from(range.start - begin).ok()?,
            bytes: self.ends[last] - begin,
        })
    }
}

/// Tables of blobs, read when first asked for. Those that were not asked for longest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<VecDeque<(Hash, Option<Arc<Table>>)>>);

impl Tables {
    /// The table of a blob; none when it is not here or has too many chunks.
    pub(crate) fn get(&self, store: &Store, blob: &Hash) -> Option<Arc<Table>> {
        {
            let mut tables = lock(&self.0);
            if let Some(at) = tables.iter().position(|(id, _)| id == blob)
                && let Some(found) = tables.remove(at)
            {
                let table = found.1.clone();
                tables.push_back(found);
                return table;
            }
        }
        let chunks = store.has(blob).ok().filter(|here| *here);
        let chunks = chunks.and_then(|_| store.chunks(blob, MOST_CHUNKS).ok().flatten());
        let table = chunks.map(|items| Arc::new(Table::new(items)));
        self.keep(*blob, table.clone());
        table
    }

    /// Notes the chunks of a blob that is being written.
    pub(crate) fn put(&self, blob: Hash, items: Vec<ListItem>) {
        if items.len() <= MOST_CHUNKS {
            self.keep(blob, Some(Arc::new(Table::new(items))));
        }
    }

    fn keep(&self, blob: Hash, table: Option<Arc<Table>>) {
        let mut tables = lock(&self.0);
        tables.retain(|(id, _)| *id != blob);
        tables.push_back((blob, table));
        let kept = |tables: &VecDeque<(Hash, Option<Arc<Table>>)>| -> usize {
            tables.iter().flat_map(|(_, table)| table).map(|table| table.items.len()).sum()
        };
        while tables.len() > TABLES || (tables.len() > 1 && kept(&tables) > KEPT_CHUNKS) {
            tables.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new(
            (1..=4).map(|n| ListItem { id: Hash([n; 32]), len: u64::from(n) * 10 }).collect(),
        )
    }

    #[test]
    fn a_range_is_covered_by_the_chunks_that_it_touches() {
        let covered = |range: Range<u64>| {
            table()
                .cover(range)
                .map(|c| (c.ids.iter().map(|id| id.0[0]).collect::<Vec<_>>(), c.start, c.bytes))
        };
        assert_eq!(covered(0..10), Some((vec![1], 0, 10)));
        assert_eq!(covered(9..11), Some((vec![1, 2], 9, 30)));
        assert_eq!(covered(10..30), Some((vec![2], 0, 20)));
        assert_eq!(covered(35..1000), Some((vec![3, 4], 5, 70)));
        assert_eq!(covered(100..101), None);
        assert_eq!(covered(5..5), None);
    }

    #[test]
    fn a_chunk_is_found_where_it_is_expected_or_else_anywhere() {
        let repeated =
            Table::new([1, 2, 1, 3, 1].map(|n| ListItem { id: Hash([n; 32]), len: 10 }).to_vec());
        assert_eq!(repeated.place_of(&Hash([1; 32]), 20), Some(20..30));
        assert_eq!(repeated.place_of(&Hash([1; 32]), 30), Some(40..50));
        assert_eq!(repeated.place_of(&Hash([2; 32]), 40), Some(10..20));
        assert_eq!(repeated.place_of(&Hash([9; 32]), 0), None);
    }
}
