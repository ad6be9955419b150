//! Places that fall on the same bytes of equal texts, whatever stands before them.
//!
//! An **anchor** is a place behind one byte value that is neither rare nor frequent. Anchors are
//! sought at memory speed, and 32 bytes behind one tell where in the base it is. So insertions,
//! deletions and moves of any size are found, even after the search nearby has gone astray.

use super::equal;

/// Bytes behind an anchor that are hashed, and how many must be equal.
const KEY: usize = 32;
const EVIDENCE: usize = 48;
/// Places of one key, and how many bytes of each are compared to find the best.
const WAYS: usize = 4;
const COMPARED: usize = 512;

/// The anchors of the base, found by the bytes behind them.
pub(super) struct Anchors {
    /// The value before every anchor.
    byte: u8,
    /// Bits of a key that must be zero.
    skipped: u64,
    /// Places plus one in open addressing; 0 is empty.
    table: Vec<u32>,
    /// Up to where the base was taken in.
    indexed: usize,
}

impl Anchors {
    /// Chooses the byte from a sample of the base: the one nearest to 1 in 192.
    ///
    /// When that one is still frequent, only some of its places are taken, by their keys.
    pub(super) fn new(base: &[u8]) -> Anchors {
        let mut counts = [0usize; 256];
        let pieces = 64;
        let piece = 128.min(base.len());
        for n in 0..pieces {
            let start = (base.len() - piece) / pieces * n;
            for &byte in &base[start..start + piece] {
                counts[usize::from(byte)] += 1;
            }
        }
        let wanted = (pieces * piece / 192).max(1);
        let distance = |count: usize| (count * 16 / wanted).max(wanted * 16 / count);
        let byte = (0..=u8::MAX)
            .filter(|&byte| counts[usize::from(byte)] > 0)
            .min_by_key(|&byte| distance(counts[usize::from(byte)]))
            .unwrap_or(0);
        let excess = counts[usize::from(byte)] / wanted;
        let skipped = u64::try_from(excess / 2).map_or(0, |n| n.next_power_of_two() - 1);
        let slots = (base.len() / 64).next_power_of_two().clamp(1 << 8, 1 << 19);
        Anchors { byte, skipped, table: vec![0; slots], indexed: 0 }
    }

    /// Takes in the anchors of the base up to `end`.
    pub(super) fn index(&mut self, base: &[u8], end: usize) {
        let start = self.indexed;
        if end <= start {
            return;
        }
        self.indexed = end;
        for_each(base, (self.byte, self.skipped), start, end, |place, key| {
            for slot in self.slots(key) {
                let held = &mut self.table[slot];
                if *held == 0 {
                    *held = u32::try_from(place + 1).unwrap_or(0);
                    break;
                }
            }
            None::<()>
        });
    }

    /// Finds the first anchor of `raw[start..end]` that the base has, with enough bytes behind it.
    ///
    /// Of several places the one with most equal bytes is taken, then the nearest to the expected.
    pub(super) fn find(
        &self,
        raw: &[u8],
        base: &[u8],
        start: usize,
        end: usize,
        (at, from): (usize, usize),
    ) -> Option<(usize, usize)> {
        for_each(raw, (self.byte, self.skipped), start, end, |place, key| {
            let after = &raw[place..raw.len().min(place + COMPARED)];
            let expected = place - at + from;
            let held = self.slots(key).map(|slot| self.table[slot]).take_while(|&held| held > 0);
            let places = held.filter_map(|held| usize::try_from(held - 1).ok());
            places
                .map(|in_base| (equal(after, &base[in_base..]), in_base))
                .filter(|&(length, _)| length >= EVIDENCE)
                .max_by_key(|&(length, in_base)| (length, usize::MAX - in_base.abs_diff(expected)))
                .map(|(_, in_base)| (place, in_base))
        })
    }

    /// The slots in which a key may stand.
    fn slots(&self, key: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.table.len() - 1;
        let first = usize::try_from(key >> 40).expect("24 bits");
        (0..WAYS).map(move |n| (first + n) & mask)
    }
}

/// Calls with each place behind an anchor and its key, until something is returned.
fn for_each<T>(
    bytes: &[u8],
    (byte, skipped): (u8, u64),
    start: usize,
    end: usize,
    mut call: impl FnMut(usize, u64) -> Option<T>,
) -> Option<T> {
    const PIECE: usize = 64;
    let (pieces, rest) = bytes[start..end].as_chunks::<PIECE>();
    let mut hit = |place: usize| {
        let key = key(bytes, place)?;
        if (key >> 8) & skipped != 0 {
            return None;
        }
        call(place, key)
    };
    for (n, piece) in pieces.iter().enumerate() {
        // Without branches inside, so that it runs at the speed of memory.
        if piece.iter().fold(0, |any, &b| any | u8::from(b == byte)) == 0 {
            continue;
        }
        for (m, word) in piece.as_chunks::<8>().0.iter().enumerate() {
            let mut zeros = zeros(u64::from_le_bytes([byte; 8]) ^ u64::from_le_bytes(*word));
            while zeros != 0 {
                let within = usize::try_from(zeros.trailing_zeros() / 8).expect("below 8");
                let found = hit(start + n * PIECE + m * 8 + within + 1);
                if found.is_some() {
                    return found;
                }
                zeros &= zeros - 1;
            }
        }
    }
    let rest_at = end - rest.len();
    let hits = rest.iter().enumerate().filter(|&(_, &b)| b == byte);
    hits.map(|(n, _)| rest_at + n + 1).find_map(hit)
}

/// Marks the bytes that are zero by their highest bit.
fn zeros(word: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    !(((word & LOW) + LOW) | word | LOW)
}

/// Hashes the bytes behind an anchor.
fn key(bytes: &[u8], at: usize) -> Option<u64> {
    let words = bytes.get(at..)?.first_chunk::<KEY>()?.as_chunks::<8>().0;
    Some(words.iter().fold(0, |hash: u64, word| {
        (hash.rotate_left(29) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }))
}
