//! The operations of a difference while it is written: one stream for each kind of number.

use super::super::streams;
use super::{FOUR, SHORTEST, TWO};

/// The operations as they are found.
#[derive(Default)]
pub(super) struct Operations {
    /// The streams of the block.
    copies: Vec<u8>,
    gaps: Vec<u8>,
    jumps: Vec<u8>,
    tails: Vec<u8>,
    /// The bytes that are not copied.
    pub(super) literals: Vec<u8>,
    /// Where in the base the last copy ended.
    pub(super) base: usize,
}

impl Operations {
    /// Appends literals and then the `copy` bytes of the base at `from`.
    pub(super) fn push(&mut self, literals: &[u8], from: usize, copy: usize) {
        put_number(&mut self.gaps, &mut self.tails, literals.len());
        let jump =
            if from >= self.base { (from - self.base) * 2 } else { (self.base - from) * 2 - 1 };
        put_number(&mut self.jumps, &mut self.tails, jump);
        put_number(&mut self.copies, &mut self.tails, copy - SHORTEST);
        self.literals.extend_from_slice(literals);
        self.base = from + copy;
    }

    /// A size below which the stored bytes can hardly come.
    pub(super) fn at_least(&self) -> usize {
        self.literals.len() / 10 + self.copies.len() / 2
    }

    /// The stored bytes.
    pub(super) fn finish(&self, level: i32) -> Vec<u8> {
        let mut stored = Vec::with_capacity(self.at_least() * 4 + 64);
        for symbols in [&self.copies, &self.gaps, &self.jumps] {
            streams::put(&mut stored, symbols, level, true);
        }
        streams::put(&mut stored, &self.tails, level, false);
        streams::put(&mut stored, &self.literals, level, false);
        stored
    }
}

/// Appends a number: what does not fit in its byte goes to the tails.
fn put_number(heads: &mut Vec<u8>, tails: &mut Vec<u8>, n: usize) {
    match (u8::try_from(n), u16::try_from(n)) {
        (Ok(n), _) if n < TWO => heads.push(n),
        (_, Ok(n)) => {
            heads.push(TWO);
            tails.extend_from_slice(&n.to_le_bytes());
        }
        _ => {
            heads.push(FOUR);
            let n = u32::try_from(n).expect("blocks are far below 2 GiB");
            tails.extend_from_slice(&n.to_le_bytes());
        }
    }
}
