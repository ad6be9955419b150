//! Where two byte strings agree again after they differed.
//!
//! Most edits are short: a little hash table over the next bytes of both sides finds the place with
//! the smallest skip. Longer ones are found by anchors (`anchors.rs`).

use super::anchors::Anchors;
use super::{SHORTEST, equal};

/// How far both sides are searched at every place, one after another.
const WINDOWS: [usize; 3] = [96, 512, 4096];
/// Places looked at in wide windows, beyond a half or an eighth of the bytes passed.
const ALLOWANCE: usize = 8 << 10;
/// How far ahead anchors are sought: a quarter of the block, within these bounds.
const AHEAD: (usize, usize) = (256 << 10, 1 << 20);
/// Bytes after which mostly literals, and no anchor ahead, mean that the two are not related.
const PROBATION: usize = 64 << 10;
/// Bytes after which the share of literals is judged.
const JUDGED: usize = 1024;
/// An empty slot of a window's table.
const NONE: u16 = u16::MAX;

/// What comes after a difference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The two agree again from here, in the raw bytes and in the base.
    At(usize, usize),
    /// They do not any more.
    End,
    /// There is too little in common to go on.
    Unrelated,
}

/// The search over one block and its base.
pub(super) struct Resync<'a> {
    raw: &'a [u8],
    base: &'a [u8],
    /// Kept from one search in a window to the next.
    table: Vec<u16>,
    /// Those of the base, once they are needed.
    anchors: Option<Anchors>,
    /// Up to where the raw bytes were searched for anchors.
    scanned: usize,
    /// An anchor ahead and its place in the base.
    pending: Option<(usize, usize)>,
    /// Places looked at in all windows but the narrowest.
    work: usize,
    /// Searches in vain since the last one that found something.
    vain: u32,
    /// Where the share of literals was last judged, the literals by then, the share in percent.
    judged: usize,
    judged_literals: usize,
    share: usize,
}

impl<'a> Resync<'a> {
    /// Starts a search; cheap until something differs.
    pub(super) fn new(raw: &'a [u8], base: &'a [u8]) -> Resync<'a> {
        Resync {
            raw,
            base,
            table: Vec::new(),
            anchors: None,
            scanned: 0,
            pending: None,
            work: 0,
            vain: 0,
            judged: 0,
            judged_literals: 0,
            share: 0,
        }
    }

    /// Finds where `raw[at..]` and `base[from..]`, which differ, agree again.
    ///
    /// The literals before them begin at `literals`; `before` were counted up to there.
    pub(super) fn step(
        &mut self,
        mut at: usize,
        mut from: usize,
        literals: usize,
        before: usize,
    ) -> Step {
        self.judge(at, before + at - literals);
        if self.share > 20 && self.pending.is_none() {
            self.look_ahead(at, from);
        }
        loop {
            if let Some((raw, base)) = self.pending.filter(|&(raw, _)| raw <= at) {
                self.pending = None;
                let base = base + (at - raw);
                if base <= self.base.len() && equal(&self.raw[at..], &self.base[base..]) >= 16 {
                    return self.found(at, base, literals);
                }
            }
            if let Some((raw, base)) = self.pending.filter(|_| self.share > 50) {
                return self.found(raw, base, literals);
            }
            if let Some((raw, base)) = self.near(at, from) {
                return self.found(raw, base, literals);
            }
            if self.pending.is_none() {
                self.look_ahead(at, from);
            }
            if let Some((raw, base)) = self.pending {
                return self.found(raw, base, literals);
            }
            self.vain += 1;
            let step = 256 << self.vain.min(6);
            at += step;
            from = (from + step).min(self.base.len());
            self.judge(at, before + at - literals);
            if at >= self.raw.len() {
                return Step::End;
            }
            if at >= PROBATION && (before + at - literals) * 2 > at {
                return Step::Unrelated;
            }
        }
    }

    /// Whether a place further on is known where both agree.
    pub(super) fn is_hopeful(&self) -> bool {
        self.pending.is_some()
    }

    /// Goes back from a place where both agree to the first such byte after `literals`.
    fn found(&mut self, raw: usize, base: usize, literals: usize) -> Step {
        self.vain /= 2;
        let before = self.raw[literals..raw].iter().rev().zip(self.base[..base].iter().rev());
        let back = before.take_while(|(x, y)| x == y).count();
        Step::At(raw - back, base - back)
    }

    /// Judges how well the two have gone together since the last time.
    fn judge(&mut self, at: usize, literals: usize) {
        let passed = at - self.judged;
        if passed >= JUDGED {
            self.share = literals.saturating_sub(self.judged_literals) * 100 / passed;
            if self.share <= 50 {
                self.vain = 0;
            }
            (self.judged, self.judged_literals) = (at, literals);
        }
    }

    /// Finds the smallest skip within the windows.
    fn near(&mut self, at: usize, from: usize) -> Option<(usize, usize)> {
        let (raw, base) = (&self.raw[at..], &self.base[from..]);
        if let Some((i, j)) = at_once(raw, base) {
            return Some((at + i, from + j));
        }
        // Among new bytes short matches are chance, and lead astray.
        let least = if self.share > 50 { 32 } else { 0 };
        for window in WINDOWS {
            // What is not found nearby is found by anchors too: wide searches stay a luxury.
            if window > WINDOWS[0] {
                let share = if window == WINDOWS[1] { 2 } else { 8 };
                if self.work > ALLOWANCE + at / share {
                    break;
                }
                self.work += window * 2;
            }
            if let Some((i, j)) = within(raw, base, window, least, &mut self.table) {
                return Some((at + i, from + j));
            }
            if raw.len() <= window && base.len() <= window {
                break;
            }
        }
        None
    }

    /// Looks for the next anchor of the raw bytes that is in the base.
    fn look_ahead(&mut self, at: usize, from: usize) {
        let ahead = (self.raw.len() / 4).clamp(AHEAD.0, AHEAD.1);
        let start = self.scanned.max(at);
        let end = self.raw.len().min(at + ahead);
        if start >= end {
            return;
        }
        let anchors = self.anchors.get_or_insert_with(|| Anchors::new(self.base));
        anchors.index(self.base, self.base.len().min(from + ahead));
        self.pending = anchors.find(self.raw, self.base, start, end, (at, from));
        if self.pending.is_none() {
            self.scanned = end;
        }
    }
}

/// The eight bytes at a place.
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// How many bytes must be equal after a skip.
fn needed(skip: usize) -> usize {
    match skip {
        ..=64 => 16,
        65..=256 => 24,
        _ => 32,
    }
}

/// Recognises insertions, deletions and replacements of a few bytes without any table.
fn at_once(raw: &[u8], base: &[u8]) -> Option<(usize, usize)> {
    let (raw_word, base_word) = (word(raw, 0)?, word(base, 0)?);
    for d in 1..=24 {
        let (raw_next, base_next) = (word(raw, d), word(base, d));
        for (hit, i, j) in [
            (raw_next == Some(base_word), d, 0),
            (base_next == Some(raw_word), 0, d),
            (raw_next.is_some() && raw_next == base_next, d, d),
        ] {
            // A replacement skips twice as much: it must not hide a shorter way.
            if hit && i + j <= 24 && equal_at_least(&raw[i..], &base[j..], 32) {
                return Some((i, j));
            }
        }
    }
    None
}

/// Finds the smallest skip within a window of both sides by a table of the base's words.
fn within(
    raw: &[u8],
    base: &[u8],
    window: usize,
    least: usize,
    table: &mut Vec<u16>,
) -> Option<(usize, usize)> {
    let bits = (window * 2).next_power_of_two().trailing_zeros();
    let slot = |word: u64| -> usize {
        let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits);
        usize::try_from(hash).expect("a few bits")
    };
    table.clear();
    table.resize(1 << bits, NONE);
    let words = |bytes: &[u8]| bytes.len().saturating_sub(SHORTEST - 1).min(window);
    // From the back, so that the nearest of equal words stays.
    for j in (0..words(base)).rev() {
        if let (Some(word), Ok(j)) = (word(base, j), u16::try_from(j)) {
            table[slot(word)] = j;
        }
    }
    let mut best: Option<(usize, usize)> = None;
    for i in 0..words(raw) {
        let shortest = best.map_or(usize::MAX, |(i, j)| i + j);
        if i >= shortest {
            break;
        }
        let Some(word) = word(raw, i) else { break };
        let j = table[slot(word)];
        if j == NONE {
            continue;
        }
        let j = usize::from(j);
        let near = i + j < shortest && self::word(base, j) == Some(word);
        if near && equal_at_least(&raw[i..], &base[j..], needed(i + j).max(least)) {
            best = Some((i, j));
        }
    }
    best
}

/// Whether the next `n` bytes are there and equal.
fn equal_at_least(a: &[u8], b: &[u8], n: usize) -> bool {
    matches!((a.get(..n), b.get(..n)), (Some(a), Some(b)) if a == b)
}
