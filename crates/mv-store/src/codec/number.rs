//! What differences need to know about each kind of number.

use super::token::{self, Alphabet};

/// A kind of number, as bits.
pub(crate) trait Number {
    /// The bits.
    type Word: Copy + Default + Eq;
    /// Bytes of the bits.
    const SIZE: usize;
    /// Whether a token may have more than 46 raw bits.
    const LONG: bool;

    /// How differences are cut into tokens.
    fn alphabet() -> &'static Alphabet;
    /// Reads the bits, little-endian, from `SIZE` bytes.
    fn get(bytes: &[u8]) -> Self::Word;
    /// Writes the bits to `SIZE` bytes.
    fn put(word: Self::Word, bytes: &mut [u8]);
    /// The exponent, below [`EXPONENTS`]: it grows by one when the number doubles.
    fn exponent(word: Self::Word) -> usize;
    /// The difference of the bits as integers, zigzag: 0, -1, 1, -2 become 0, 1, 2, 3.
    fn difference(child: Self::Word, parent: Self::Word) -> Self::Word;
    /// The bits at such a difference from the parent's.
    fn apply(parent: Self::Word, zigzag: Self::Word) -> Self::Word;
    /// The token of a difference.
    fn token(zigzag: Self::Word) -> u8;
    /// The level of a difference.
    fn level(zigzag: Self::Word) -> i32;
    /// A difference as a number.
    fn wide(zigzag: Self::Word) -> u64;
    /// A number as a difference; what does not fit is cut off.
    fn narrow(number: u64) -> Self::Word;
}

/// Exponents are below this.
pub(crate) const EXPONENTS: usize = 2048;

/// bfloat16.
pub(crate) struct Bf16;
/// binary16.
pub(crate) struct F16;
/// binary32.
pub(crate) struct F32;
/// binary64.
pub(crate) struct F64;
/// One byte.
pub(crate) struct Byte;

macro_rules! number {
    ($kind:ident, $word:ident, $signed:ident, $long:literal, $alphabet:ident, $token:path, $exponent:expr) => {
        impl Number for $kind {
            type Word = $word;
            const SIZE: usize = size_of::<$word>();
            const LONG: bool = $long;

            fn alphabet() -> &'static Alphabet {
                &token::$alphabet
            }

            #[inline(always)]
            fn get(bytes: &[u8]) -> $word {
                bytes.first_chunk().map_or(0, |b| $word::from_le_bytes(*b))
            }

            #[inline(always)]
            fn put(word: $word, bytes: &mut [u8]) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }

            #[inline(always)]
            fn exponent(word: $word) -> usize {
                $exponent(word)
            }

            #[inline(always)]
            fn difference(child: $word, parent: $word) -> $word {
                let difference = child.wrapping_sub(parent) as $signed;
                (difference << 1 ^ difference >> ($word::BITS - 1)) as $word
            }

            #[inline(always)]
            fn apply(parent: $word, zigzag: $word) -> $word {
                parent.wrapping_add(zigzag >> 1 ^ (zigzag & 1).wrapping_neg())
            }

            #[inline(always)]
            fn token(zigzag: $word) -> u8 {
                $token(zigzag.into())
            }

            #[inline(always)]
            fn level(zigzag: $word) -> i32 {
                token::level(u64::from(zigzag).min(u32::MAX.into()) as u32)
            }

            #[inline(always)]
            fn wide(zigzag: $word) -> u64 {
                zigzag.into()
            }

            #[inline(always)]
            fn narrow(number: u64) -> $word {
                number as $word
            }
        }
    };
}

number!(Bf16, u16, i16, false, SHORTS, token::in_eighths, |w: u16| usize::from(w >> 7 & 0xff));
number!(F16, u16, i16, false, SHORTS, token::in_eighths, |w: u16| usize::from(w >> 10 & 0x1f));
number!(F32, u32, i32, false, WORDS, token::in_eighths, |w: u32| (w >> 23 & 0xff) as usize);
number!(F64, u64, i64, true, LONGS, token::in_quarters, |w: u64| (w >> 52 & 0x7ff) as usize);
number!(Byte, u8, i8, false, BYTES, token::in_eighths, |w: u8| {
    // The bits of the magnitude, as of an int8.
    8 - (w as i8).unsigned_abs().leading_zeros() as usize
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_small_both_ways() {
        assert_eq!([3, 2, 4, 1].map(|c| Bf16::difference(c, 3)), [0, 1, 2, 3]);
        assert_eq!([0, 255, 1].map(|c| Byte::difference(c, 0)), [0, 1, 2]);
        assert_eq!(F64::difference(0, 1 << 63), u64::MAX);
    }

    #[test]
    fn a_difference_applied_gives_the_child() {
        for parent in 0..=255 {
            for child in 0..=255 {
                let zigzag = Byte::difference(child, parent);
                assert_eq!(Byte::apply(parent, zigzag), child);
            }
        }
    }

    #[test]
    fn exponents_are_those_of_the_formats() {
        assert_eq!(Bf16::exponent(0x3f80), 127);
        assert_eq!(F16::exponent(0x3c00), 15);
        assert_eq!(F32::exponent(1f32.to_bits()), 127);
        assert_eq!(F64::exponent(1f64.to_bits()), 1023);
        assert_eq!([0, 1, 255, 127, 128].map(Byte::exponent), [0, 1, 1, 7, 8]);
    }
}
