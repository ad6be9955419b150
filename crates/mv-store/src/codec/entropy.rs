//! Tables of the entropy coder: how often each token occurs, and the automata made of it.
//!
//! The coder is tANS (Duda, arXiv:1311.2540) as in RFC 8878, section 4.1. Every table has the same
//! 512 states, so that one state may go from table to table, from token to token: that is what
//! makes contexts cheap. The streams themselves are in `lanes`.
//!
//! A table is written as its frequencies, token by token, until their sum is 512. Of each
//! frequency `f`, with width `w` its bits (0 for 0): `w` minus the width before (0 at first), zigzag,
//! as so many ones and a zero; then the `w - 1` bits of `f` below its highest.

use super::bits::{BitReader, BitWriter};

/// States are numbers of so many bits. Each bit more makes differences smaller by a thousandth, and
/// decoding slower by a tenth, since tables leave the first cache.
pub(crate) const LOG: u32 = 9;
/// Bits of a frequency, at most.
const WIDEST: i32 = LOG as i32 + 1;
/// States of an automaton; the frequencies of a table add up to it.
pub(crate) const SIZE: usize = 1 << LOG;
/// Automata lie one behind the other in a field of so many.
pub(crate) const FIELD: usize = 32;
/// Tokens that there can be.
pub(crate) const TOKENS: usize = 256;
/// How far apart the states of one token are laid; odd, so that all states are reached.
const STEP: usize = (SIZE >> 1) + (SIZE >> 3) + 3;

/// How often each token occurs, in parts of [`SIZE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frequencies([u16; TOKENS]);

impl Frequencies {
    /// Scales counts so that they add up to [`SIZE`] and no token that occurs gets nothing.
    ///
    /// Without any counts, all goes to token 0.
    pub(crate) fn of_counts(counts: &[u32; TOKENS]) -> Frequencies {
        let mut frequencies = [0u16; TOKENS];
        let total: u64 = counts.iter().map(|&c| u64::from(c)).sum();
        if total == 0 {
            frequencies[0] = SIZE as u16;
            return Frequencies(frequencies);
        }
        let mut left = SIZE as i64;
        for (frequency, &count) in frequencies.iter_mut().zip(counts) {
            if count > 0 {
                let scaled = (2 * u64::from(count) * SIZE as u64 + total) / (2 * total);
                *frequency = scaled.max(1) as u16;
                left -= i64::from(*frequency);
            }
        }
        // What rounding gave or took is settled where it costs least: bits of a token change by
        // count / frequency for each part.
        while left != 0 {
            let step: i64 = if left > 0 { 1 } else { -1 };
            let cheapest = (0..TOKENS)
                .filter(|&t| counts[t] > 0 && (step > 0 || frequencies[t] > 1))
                .max_by_key(|&t| {
                    // The gain of a part more (or loss of one less, negative), in fixed point.
                    let f = i64::from(frequencies[t]);
                    let per = (i64::from(counts[t]) << 16) / if step > 0 { f } else { f - 1 };
                    (step * per, std::cmp::Reverse(t))
                })
                .expect("512 states are enough for 256 tokens");
            let moved = if left.abs() > 64 { left / 8 } else { step };
            let moved = moved.max(1 - i64::from(frequencies[cheapest]));
            frequencies[cheapest] = (i64::from(frequencies[cheapest]) + moved) as u16;
            left -= moved;
        }
        Frequencies(frequencies)
    }

    /// Writes the frequencies up to the last that is not zero.
    pub(crate) fn write(&self, out: &mut BitWriter) {
        let mut left = SIZE as u32;
        let mut before = 0i32;
        for &frequency in &self.0 {
            let frequency = u32::from(frequency);
            let width = u32::BITS - frequency.leading_zeros();
            let change = width as i32 - before;
            let ones = ((change << 1) ^ (change >> 31)) as u32;
            out.push((1 << ones) - 1, ones + 1);
            if width > 1 {
                out.push(frequency - (1 << (width - 1)), width - 1);
            }
            before = width as i32;
            left -= frequency;
            if left == 0 {
                break;
            }
        }
    }

    /// Reads frequencies; refuses those that do not add up exactly within `tokens` tokens.
    pub(crate) fn read(from: &mut BitReader<'_>, tokens: usize) -> Result<Frequencies, String> {
        let mut frequencies = [0u16; TOKENS];
        let mut left = SIZE as u32;
        let mut before = 0i32;
        for frequency in frequencies.iter_mut().take(tokens) {
            let mut ones = 0i32;
            while from.take(1)? == 1 {
                ones += 1;
                if ones > 2 * WIDEST {
                    return Err("frequency is too wide".into());
                }
            }
            let width = before + ((ones >> 1) ^ -(ones & 1));
            let value = match width {
                0 => 0,
                1..=WIDEST => 1 << (width - 1) | from.take(width as u32 - 1)?,
                _ => return Err("frequency is too wide".into()),
            };
            if value > left {
                return Err("frequencies add up to too much".into());
            }
            *frequency = value as u16;
            before = width;
            left -= value;
            if left == 0 {
                return Ok(Frequencies(frequencies));
            }
        }
        Err("frequencies add up to too little".into())
    }

    /// Lays the tokens over the states.
    fn spread(&self) -> [u8; SIZE] {
        let mut tokens = [0; SIZE];
        let mut at = 0;
        for (token, &frequency) in self.0.iter().enumerate() {
            for _ in 0..frequency {
                tokens[at] = token as u8;
                at = (at + STEP) & (SIZE - 1);
            }
        }
        tokens
    }
}

/// One state of the decoding automaton, packed so that tables stay in the first cache:
///
/// bits 0 to 7 how many bits are read for the next state, 8 to 15 how many raw bits follow for the
/// token, 16 to 22 its head, 23 to 31 the next state less what is read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cell(u32);

impl Cell {
    /// The next state, when the bits read for it are zero.
    #[inline(always)]
    pub(crate) fn next(self) -> u32 {
        self.0 >> 23
    }

    /// Bits to read for the next state, 0 to [`LOG`].
    #[inline(always)]
    pub(crate) fn state_bits(self) -> u32 {
        self.0 & 0xff
    }

    /// Bits to read for the number, 0 to 61.
    #[inline(always)]
    pub(crate) fn raw_bits(self) -> u32 {
        self.0 >> 8 & 0xff
    }

    /// [`Cell::state_bits`] and [`Cell::raw_bits`] in the lowest bytes of two words; what is above is
    /// of no meaning. Instructions that shift look at no more.
    #[inline(always)]
    pub(crate) fn counts(self) -> (u32, u32) {
        (self.0, self.0 >> 8)
    }

    /// The number without its raw bits.
    #[inline(always)]
    pub(crate) fn head(self) -> u32 {
        self.0 >> 16 & 0x7f
    }
}

/// Fills in the decoding automaton of a table; tokens have these heads and raw bits.
pub(crate) fn decoding(
    frequencies: &Frequencies,
    heads: &[u8; TOKENS],
    raw_bits: &[u8; TOKENS],
    cells: &mut [Cell; SIZE],
) {
    let mut seen = frequencies.0;
    for (cell, &token) in cells.iter_mut().zip(&frequencies.spread()) {
        let number = &mut seen[usize::from(token)];
        let bits = LOG - (u32::from(*number)).ilog2();
        let next = (u32::from(*number) << bits) - SIZE as u32;
        *number += 1;
        let (head, raw) = (heads[usize::from(token)], raw_bits[usize::from(token)]);
        *cell = Cell(bits | u32::from(raw) << 8 | u32::from(head) << 16 | next << 23);
    }
}

/// The encoding automaton of a table.
#[derive(Clone)]
pub(crate) struct Encoding {
    /// States, [`SIZE`] to twice that, in the order of the tokens that lead to them.
    states: [u16; SIZE],
    /// How a token finds its states.
    tokens: [Step; TOKENS],
}

/// How a token finds its next state (the symbol transform of FSE).
#[derive(Clone, Copy, Default)]
struct Step {
    /// Added to a state, gives the bits to write in the upper half.
    bits: u32,
    /// Added to a state without these bits, gives the place of the next one.
    place: i32,
}

impl Encoding {
    /// Makes the automaton.
    pub(crate) fn new(frequencies: &Frequencies) -> Encoding {
        let mut starts = [0u16; TOKENS];
        let mut tokens = [Step::default(); TOKENS];
        let mut start = 0u16;
        for ((&frequency, step), place) in
            frequencies.0.iter().zip(&mut tokens).zip(starts.iter_mut())
        {
            *place = start;
            if frequency == 1 {
                step.bits = (LOG << 16) - SIZE as u32;
            } else if frequency > 1 {
                let bits = LOG - u32::from(frequency - 1).ilog2();
                step.bits = (bits << 16) - (u32::from(frequency) << bits);
            }
            step.place = i32::from(start) - i32::from(frequency);
            start += frequency;
        }
        let mut states = [0; SIZE];
        for (state, &token) in frequencies.spread().iter().enumerate() {
            let place = &mut starts[usize::from(token)];
            states[usize::from(*place)] = (SIZE + state) as u16;
            *place += 1;
        }
        Encoding { states, tokens }
    }

    /// Takes a token: returns the next state and how many low bits of this one are to be written.
    #[inline(always)]
    pub(crate) fn step(&self, state: u32, token: u8) -> (u32, u32) {
        let step = self.tokens[usize::from(token)];
        let bits = (state + step.bits) >> 16;
        let place = ((state >> bits) as i32 + step.place) as usize & (SIZE - 1);
        (u32::from(self.states[place]), bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(few: &[(usize, u32)]) -> [u32; TOKENS] {
        let mut counts = [0; TOKENS];
        for &(token, count) in few {
            counts[token] = count;
        }
        counts
    }

    fn written(frequencies: &Frequencies) -> Vec<u8> {
        let mut bits = BitWriter::default();
        frequencies.write(&mut bits);
        bits.finish()
    }

    #[test]
    fn frequencies_are_shares_of_the_states() {
        let even = Frequencies::of_counts(&counts(&[(0, 3), (9, 1)]));
        assert_eq!((even.0[0], even.0[9]), (384, 128));
        let rare = Frequencies::of_counts(&counts(&[(0, 1_000_000), (1, 1), (2, 1)]));
        assert_eq!(rare.0[..3], [510, 1, 1]);
        assert_eq!(Frequencies::of_counts(&[0; TOKENS]).0[0], 512);
    }

    #[test]
    fn a_table_is_written_token_by_token() {
        // 10 bits wide: 20 ones and a zero, then 9 bits of zero.
        let only = Frequencies::of_counts(&counts(&[(0, 5)]));
        assert_eq!(written(&only), [0xff, 0xff, 0x0f, 0]);
        // 9 bits: 18 ones, a zero, eight bits of zero; and again: no change of the width.
        let two = Frequencies::of_counts(&counts(&[(0, 1), (1, 1)]));
        assert_eq!(written(&two), [0xff, 0xff, 0x03, 0, 0]);
    }

    #[test]
    fn frequencies_that_do_not_add_up_are_refused() {
        let two = written(&Frequencies::of_counts(&counts(&[(0, 1), (1, 1)])));
        let read = |bytes: &[u8], tokens| Frequencies::read(&mut BitReader::new(bytes), tokens);
        assert!(read(&two, 2).is_ok());
        assert!(read(&two, 1).is_err(), "too few tokens");
        assert!(read(&two[..4], 2).is_err(), "cut");
        assert!(read(&[0xff; 8], 256).is_err(), "a width without end");
        assert!(read(&[0; 64], 256).is_err(), "nothing");
        let mut more = two.clone();
        more[4] = 0x01;
        assert!(read(&more, 256).is_err(), "more than there is");
    }

    #[test]
    fn the_encoder_and_the_decoder_are_one_automaton() {
        let frequencies = Frequencies::of_counts(&counts(&[(0, 90), (3, 7), (200, 1), (255, 2)]));
        let encoding = Encoding::new(&frequencies);
        let mut cells = [Cell::default(); SIZE];
        let heads = std::array::from_fn(|token| token as u8 & 15);
        decoding(&frequencies, &heads, &[5; TOKENS], &mut cells);
        for state in 0..SIZE as u32 {
            for token in [0, 3, 200, 255] {
                let (next, bits) = encoding.step(state + SIZE as u32, token);
                let cell = cells[next as usize - SIZE];
                assert_eq!((cell.head(), cell.raw_bits()), (u32::from(token) & 15, 5));
                assert_eq!(cell.state_bits(), bits);
                assert_eq!(cell.next() + (state & ((1 << bits) - 1)), state);
            }
        }
    }

    proptest! {
        #[test]
        fn any_counts_become_a_table_that_is_read_back(
            few in proptest::collection::vec((0..TOKENS, 0..5_000_000u32), 0..300),
        ) {
            let counts = counts(&few);
            let frequencies = Frequencies::of_counts(&counts);
            prop_assert_eq!(frequencies.0.iter().map(|&f| u32::from(f)).sum::<u32>(), 512);
            if few.iter().any(|f| f.1 > 0) {
                prop_assert!(counts.iter().zip(&frequencies.0).all(|(&c, &f)| (c > 0) == (f > 0)));
            }
            let bytes = written(&frequencies);
            let mut reader = BitReader::new(&bytes);
            prop_assert_eq!(Frequencies::read(&mut reader, TOKENS), Ok(frequencies));
            prop_assert_eq!(reader.finish(), Ok(&[][..]));
        }
    }
}
