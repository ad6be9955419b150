//! Numbers as tokens: a class of about equally likely numbers, and raw bits for which of the class.
//!
//! Numbers below 16 are their own tokens. From there on, each octave `2^e <= v < 2^(e+1)` has eight
//! tokens and `e - 3` raw bits, so that all of 32 bits take 240 tokens. Numbers of 64 bits have four
//! tokens an octave and `e - 2` raw bits: 256 tokens.

use super::entropy::TOKENS;

/// A way to cut numbers into tokens and raw bits.
pub(crate) struct Alphabet {
    /// Tokens that numbers can have.
    pub(crate) tokens: usize,
    /// Raw bits behind each token.
    pub(crate) raw_bits: [u8; TOKENS],
    /// What a token stands for: the smallest of its numbers, and its level.
    pub(crate) classes: [Class; TOKENS],
}

/// What a token stands for.
#[derive(Clone, Copy)]
pub(crate) struct Class {
    /// The smallest number.
    pub(crate) least: u64,
    /// About eight times the binary logarithm of the numbers, plus 6: what scales are measured in.
    pub(crate) level: i32,
}

/// Levels of the tokens below 8: 8 log2(v + 0.6) + 6, rounded.
const FIRST_LEVELS: [i32; 8] = [0, 11, 17, 21, 24, 26, 28, 29];

/// Eight tokens an octave, for numbers of `bits` bits.
const fn eighths(bits: usize) -> Alphabet {
    let mut raw_bits = [0; TOKENS];
    let mut classes = [Class { least: 0, level: 0 }; TOKENS];
    let tokens = 8 * (bits - 2);
    let mut token = 0;
    while token < tokens {
        if token < 8 {
            classes[token] = Class { least: token as u64, level: FIRST_LEVELS[token] };
        } else {
            let raw = token / 8 - 1;
            raw_bits[token] = raw as u8;
            classes[token] =
                Class { least: (8 + token as u64 % 8) << raw, level: token as i32 + 22 };
        }
        token += 1;
    }
    Alphabet { tokens, raw_bits, classes }
}

/// Four tokens an octave from 16 on, for numbers of 64 bits.
const fn quarters() -> Alphabet {
    let mut alphabet = eighths(4);
    let mut token = 16;
    while token < TOKENS {
        let raw = token / 4 - 2;
        alphabet.raw_bits[token] = raw as u8;
        alphabet.classes[token] =
            Class { least: (4 + token as u64 % 4) << raw, level: 2 * token as i32 + 6 };
        token += 1;
    }
    alphabet.tokens = TOKENS;
    alphabet
}

/// For numbers of 8, 16, 32 and 64 bits.
pub(crate) static BYTES: Alphabet = eighths(8);
/// For numbers of 16 bits.
pub(crate) static SHORTS: Alphabet = eighths(16);
/// For numbers of 32 bits.
pub(crate) static WORDS: Alphabet = eighths(32);
/// For numbers of 64 bits.
pub(crate) static LONGS: Alphabet = quarters();

/// The token of a number of at most 32 bits.
#[inline(always)]
pub(crate) fn in_eighths(v: u32) -> u8 {
    let raw = 28 - (v | 8).leading_zeros();
    ((raw << 3) + (v >> raw)) as u8
}

/// The token of a number of 64 bits.
#[inline(always)]
pub(crate) fn in_quarters(v: u64) -> u8 {
    if v < 16 {
        return v as u8;
    }
    let raw = 61 - v.leading_zeros();
    ((raw << 2) as u64 + 4 + (v >> raw)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_the_class_of_its_token() {
        let edges = (0..64).flat_map(|e| [(1u64 << e) - 1, 1 << e, (1 << e) + 1, 5 << e >> 2]);
        for v in edges.chain(0..1000).chain([u64::MAX]) {
            let mut cases = vec![(&LONGS, in_quarters(v))];
            for (alphabet, limit) in [(&BYTES, 8), (&SHORTS, 16), (&WORDS, 32)] {
                if v >> limit == 0 {
                    cases.push((alphabet, in_eighths(v as u32)));
                }
            }
            for (alphabet, token) in cases {
                let token = usize::from(token);
                assert!(token < alphabet.tokens, "{v}");
                let Class { least, .. } = alphabet.classes[token];
                assert!(least <= v && (v - least) >> alphabet.raw_bits[token] == 0, "{v}");
            }
        }
        assert_eq!([&BYTES, &SHORTS, &WORDS, &LONGS].map(|a| a.tokens), [48, 112, 240, 256]);
    }

    #[test]
    fn levels_rise_with_the_numbers() {
        for alphabet in [&BYTES, &SHORTS, &WORDS, &LONGS] {
            let levels = alphabet.classes[..alphabet.tokens].iter().map(|c| c.level);
            assert!(levels.is_sorted_by(|a, b| a < b));
        }
    }
}
