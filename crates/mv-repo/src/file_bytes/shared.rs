//! What two files have in common, told by their chunks: equal chunks are equal bytes, unread.

use std::collections::HashMap;
use std::ops::Range;

use mv_formats::SharedRange;
use mv_store::{Hash, Progress};

use super::{FileBytes, Piece};
use crate::error::Result;

/// Bytes of each side that are compared at once.
const STEP: u64 = 256 << 10;

/// Whether `len` bytes from `a` on in the old file are those from `b` on in the new one. Of two
/// stored files, only what chunks leave open is read; of a working file, the range.
///
/// # Errors
/// `Missing`, `Corrupt`, `Cancelled`, `Io`. A range that leaves its file is `Corrupt` or `Io`.
pub(crate) fn same(
    (old, a): (&FileBytes, u64),
    (new, b): (&FileBytes, u64),
    len: u64,
    progress: &Progress,
) -> Result<bool> {
    let open = match (old.pieces()?, new.pieces()?) {
        (Some(old), Some(new)) => left_open((old, a), (new, b), len),
        _ => Some(std::iter::once(0..len).collect()),
    };
    let Some(open) = open else { return Ok(false) };
    let step = usize::try_from(STEP.min(len)).unwrap_or_default();
    let (mut left, mut right) = (vec![0; step], vec![0; step]);
    for range in open {
        let mut at = range.start;
        while at < range.end {
            progress.check()?;
            let len = (range.end - at).min(STEP);
            let (left, right) = (&mut left[..len as usize], &mut right[..len as usize]);
            old.fill(a + at, left)?;
            new.fill(b + at, right)?;
            if left != right {
                return Ok(false);
            }
            at += len;
        }
    }
    Ok(true)
}

/// The parts of two ranges that may still differ, counted from their beginnings; none when they
/// differ for certain. A list that ends too early leaves the rest open.
fn left_open(
    (old, a): (&[Piece], u64),
    (new, b): (&[Piece], u64),
    len: u64,
) -> Option<Vec<Range<u64>>> {
    let mut open: Vec<Range<u64>> = Vec::new();
    let mut leave = |range: Range<u64>| match open.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => open.push(range),
    };
    let (mut i, mut j) = (first(old, a), first(new, b));
    let mut at = 0;
    while at < len {
        let (Some(p), Some(q)) = (old.get(i), new.get(j)) else {
            leave(at..len);
            break;
        };
        let (p_end, q_end) = (p.end().saturating_sub(a), q.end().saturating_sub(b));
        let next = p_end.min(q_end).min(len).max(at);
        // Whether both stand at the same place of their chunks.
        let aligned = a.checked_add(q.start) == b.checked_add(p.start);
        if !aligned || p.id != q.id {
            let whole = p.start >= a && p_end <= len && p.len == q.len;
            if aligned && whole {
                return None;
            }
            leave(at..next);
        }
        at = next;
        i += usize::from(p_end <= at);
        j += usize::from(q_end <= at);
    }
    Some(open)
}

/// The piece that holds this offset.
fn first(pieces: &[Piece], offset: u64) -> usize {
    pieces.partition_point(|p| p.end() <= offset)
}

/// Ranges that both files hold, ascending in both and not overlapping; nothing when one of them is
/// not stored. Costs the lists of chunks.
///
/// # Errors
/// `Missing`, `Corrupt`, `Io`.
pub(crate) fn ranges(old: &FileBytes, new: &FileBytes) -> Result<Vec<SharedRange>> {
    let (Some(old), Some(new)) = (old.pieces()?, new.pieces()?) else { return Ok(Vec::new()) };
    // Chunks that occur several times are paired in their order.
    let mut places = HashMap::<Hash, Vec<usize>>::new();
    for (at, piece) in old.iter().enumerate().rev() {
        places.entry(piece.id).or_default().push(at);
    }
    let pairs = new.iter().enumerate();
    let pairs = pairs.filter_map(|(j, q)| Some((places.get_mut(&q.id)?.pop()?, j)));
    let mut found: Vec<SharedRange> = Vec::new();
    for (i, j) in ascending(&pairs.collect::<Vec<_>>()) {
        let (p, q) = (old[i], new[j]);
        match found.last_mut() {
            Some(last) if last.old + last.len == p.start && last.new + last.len == q.start => {
                last.len += p.len;
            }
            _ => found.push(SharedRange { old: p.start, new: q.start, len: p.len }),
        }
    }
    Ok(found)
}

/// A longest selection in which the first numbers ascend, of pairs whose second numbers do.
fn ascending(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // Of every length: where the selection ends whose last number is the smallest.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, (i, _)) in pairs.iter().enumerate() {
        let len = ends.partition_point(|&end| pairs[end].0 < *i);
        before.push(len.checked_sub(1).map(|shorter| ends[shorter]));
        if len == ends.len() { ends.push(at) } else { ends[len] = at }
    }
    let mut selection = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(end) = at {
        selection.push(pairs[end]);
        at = before[end];
    }
    selection.reverse();
    selection
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Chunks named by letters, each with its length.
    fn pieces(chunks: &[(u8, u64)]) -> Vec<Piece> {
        let mut start = 0;
        let piece = |&(id, len): &(u8, u64)| {
            start += len;
            Piece { start: start - len, len, id: Hash([id; 32]) }
        };
        chunks.iter().map(piece).collect()
    }

    fn open(
        old: &[(u8, u64)],
        a: u64,
        new: &[(u8, u64)],
        b: u64,
        len: u64,
    ) -> Option<Vec<Range<u64>>> {
        left_open((&pieces(old), a), (&pieces(new), b), len)
    }

    fn only(range: Range<u64>) -> Option<Vec<Range<u64>>> {
        Some(Vec::from([range]))
    }

    #[test]
    fn equal_chunks_leave_nothing_open() {
        let file = [(1, 10), (2, 10), (3, 10)];
        assert_eq!(open(&file, 0, &file, 0, 30), Some(vec![]));
        assert_eq!(open(&file, 7, &file, 7, 16), Some(vec![]));
        let moved = [(9, 4), (1, 10), (2, 10), (3, 10)];
        assert_eq!(open(&file, 5, &moved, 9, 25), Some(vec![]));
    }

    #[test]
    fn another_chunk_of_the_same_place_and_length_is_a_difference() {
        let old = [(1, 10), (2, 10), (3, 10)];
        let new = [(1, 10), (7, 10), (3, 10)];
        assert_eq!(open(&old, 0, &new, 0, 30), None);
        // At the edge of the range it may be the other part that differs.
        assert_eq!(open(&old, 15, &new, 15, 10), only(0..5));
        assert_eq!(open(&old, 20, &new, 20, 10), Some(vec![]));
    }

    #[test]
    fn what_is_cut_otherwise_stays_open_and_joins() {
        let old = [(1, 10), (2, 10), (3, 10)];
        let new = [(1, 10), (7, 5), (8, 5), (3, 10)];
        assert_eq!(open(&old, 0, &new, 0, 30), only(10..20));
        assert_eq!(open(&old, 0, &old, 1, 10), only(0..10));
        assert_eq!(open(&old, 0, &old, 0, 40), only(30..40));
    }

    #[test]
    fn the_longest_ascending_selection_is_found() {
        assert_eq!(ascending(&[]), []);
        let pairs = [(5, 0), (0, 1), (1, 2), (9, 3), (2, 4), (3, 5)];
        assert_eq!(ascending(&pairs), [(0, 1), (1, 2), (2, 4), (3, 5)]);
    }

    /// The bytes of chunks: equal names are equal bytes, and only these.
    fn bytes(chunks: &[(u8, u64)]) -> Vec<u8> {
        let chunk = |&(id, len): &(u8, u64)| {
            std::iter::once(id).chain(std::iter::repeat_n(0, len as usize - 1))
        };
        chunks.iter().flat_map(chunk).collect()
    }

    fn chunks() -> impl Strategy<Value = Vec<(u8, u64)>> {
        // The length goes with the name, as it does for content.
        proptest::collection::vec((1..9u8).prop_map(|id| (id, u64::from(id % 4) + 1)), 1..12)
    }

    proptest! {
        #[test]
        fn what_is_not_left_open_is_equal(
            old in chunks(), new in chunks(), cut: (u16, u16, u16),
        ) {
            let (left, right) = (bytes(&old), bytes(&new));
            let a = usize::from(cut.0) % left.len();
            let b = usize::from(cut.1) % right.len();
            let len = usize::from(cut.2) % ((left.len() - a).min(right.len() - b) + 1);
            let (left, right) = (&left[a..a + len], &right[b..b + len]);
            match left_open((&pieces(&old), a as u64), (&pieces(&new), b as u64), len as u64) {
                None => prop_assert_ne!(left, right),
                Some(open) => {
                    let open_at = |at: usize| open.iter().any(|r| r.contains(&(at as u64)));
                    for at in (0..len).filter(|&at| !open_at(at)) {
                        prop_assert_eq!(left[at], right[at]);
                    }
                    prop_assert!(open.iter().all(|r| r.start < r.end && r.end <= len as u64));
                }
            }
        }
    }
}
