//! Numbers as tokens: a class of about equally likely numbers, and raw bits for which of the class.
//!
//! Numbers below 16 are their own tokens. From there on, each octave `2^e <= v < 2^(e+1)` has eight
//! tokens and `e - 3` raw bits, so that all of 32 bits take 240 tokens. Numbers of 64 bits have four
//! tokens an octave and `e - 2` raw bits: 256 tokens.

use super::entropy::TOKENS;

/// A way to cut numbers into tokens and raw bits: a token's numbers are `head << raw_bits` and what
/// the raw bits add.
pub(crate) struct Alphabet {
    /// Tokens that numbers can have.
    pub(crate) tokens: usize,
    /// Raw bits behind each token.
    pub(crate) raw_bits: [u8; TOKENS],
    /// The highest bits of each token's numbers, below 16.
    pub(crate) heads: [u8; TOKENS],
}

/// What scales are measured in: about eight times the binary logarithm of a number, from 0 on.
///
/// The bits of a float from its eighths on are such a logarithm.
#[inline(always)]
pub(crate) fn level(v: u32) -> i32 {
    ((v as f32 + 0.6).to_bits() >> 20) as i32 - 1009
}

/// Eight tokens an octave, for numbers of `bits` bits.
const fn eighths(bits: usize) -> Alphabet {
    let mut raw_bits = [0; TOKENS];
    let mut heads = [0; TOKENS];
    let tokens = 8 * (bits - 2);
    let mut token = 0;
    while token < tokens {
        if token < 8 {
            heads[token] = token as u8;
        } else {
            raw_bits[token] = (token / 8 - 1) as u8;
            heads[token] = 8 + token as u8 % 8;
        }
        token += 1;
    }
    Alphabet { tokens, raw_bits, heads }
}

/// Four tokens an octave from 16 on, for numbers of 64 bits.
const fn quarters() -> Alphabet {
    let mut alphabet = eighths(4);
    let mut token = 16;
    while token < TOKENS {
        alphabet.raw_bits[token] = (token / 4 - 2) as u8;
        alphabet.heads[token] = 4 + token as u8 % 4;
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
                let (head, raw) = (alphabet.heads[token], alphabet.raw_bits[token]);
                assert_eq!(v >> raw, head.into(), "{v}");
            }
        }
        assert_eq!([&BYTES, &SHORTS, &WORDS, &LONGS].map(|a| a.tokens), [48, 112, 240, 256]);
    }

    #[test]
    fn levels_rise_by_eight_an_octave() {
        assert_eq!([0, 1, 2, 3, 4, 7].map(level), [0, 11, 17, 21, 24, 30]);
        for v in [8, 11, 15, 500, 1 << 20] {
            assert_eq!(level(2 * v), level(v) + 8, "{v}");
        }
    }
}
