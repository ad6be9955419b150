//! A narrower twin: numbers that are those of a wider base, rounded.
//!
//! ```text
//! 0   kind of the block's elements    u8: `Bf16`, `F16` or `F32`
//! 1   kind of the base's elements     u8: `F32` or `F64`, wider than those of the block
//! ```
//!
//! The block has as many elements as the base, both without bytes left over. Each is the element of
//! the base rounded to the nearest, ties to even; from `F64` to 16 bits by way of `F32`, as
//! libraries do. What is too large becomes infinite, what is too small a subnormal or zero, with its
//! sign.
//!
//! NaN: libraries differ. Here `F32` to `Bf16` gives `7fc0` with the sign of the base, as ml_dtypes
//! does (PyTorch: without the sign); the others keep the sign, set the highest bit of the mantissa
//! and cut the others off, as the instructions of processors do. A block that was cast otherwise is
//! no twin and is stored in another way.

use super::element::Element;

/// Encodes a block as a twin of its base; none when a single element is not. Cost: memory speed,
/// and nothing to speak of when the first elements differ.
pub(crate) fn encode(narrow: Element, raw: &[u8], wide: Element, base: &[u8]) -> Option<Vec<u8>> {
    if raw.is_empty() || !fits(narrow, raw.len(), wide, base.len()) {
        return None;
    }
    /// Elements between looks at what was found so far.
    const PIECE: usize = 1024;
    let mut room = [0; 4 * PIECE];
    let pieces = raw.chunks(PIECE * narrow.size()).zip(base.chunks(PIECE * wide.size()));
    for (raw, base) in pieces {
        let room = &mut room[..raw.len()];
        cast(narrow, wide, base, room);
        if room != raw {
            return None;
        }
    }
    Some(vec![narrow.code(), wide.code()])
}

/// Decodes exactly `raw_len` bytes behind what `into` holds.
pub(crate) fn decode(
    stored: &[u8],
    base: &[u8],
    raw_len: usize,
    into: &mut Vec<u8>,
) -> Result<(), String> {
    let [narrow, wide] = *stored else {
        return Err("a twin has two bytes".into());
    };
    let kinds = Element::from_code(narrow).zip(Element::from_code(wide));
    let (narrow, wide) = kinds.ok_or("unknown kind of element")?;
    if !fits(narrow, raw_len, wide, base.len()) {
        return Err("a twin does not fit its base".into());
    }
    let start = into.len();
    into.resize(start + raw_len, 0);
    cast(narrow, wide, base, &mut into[start..]);
    Ok(())
}

/// Whether there is such a cast, and the lengths are those of equally many elements.
fn fits(narrow: Element, narrow_len: usize, wide: Element, wide_len: usize) -> bool {
    let known = matches!(
        (narrow, wide),
        (Element::Bf16 | Element::F16, Element::F32 | Element::F64) | (Element::F32, Element::F64)
    );
    known
        && narrow_len.is_multiple_of(narrow.size())
        && wide_len.is_multiple_of(wide.size())
        && narrow_len / narrow.size() == wide_len / wide.size()
}

/// Casts all elements of the base.
fn cast(narrow: Element, wide: Element, base: &[u8], out: &mut [u8]) {
    match (wide, narrow) {
        (Element::F32, Element::Bf16) => {
            each(base, out, |b| bf16_of(u32::from_le_bytes(b)).to_le_bytes());
        }
        (Element::F32, Element::F16) => {
            each(base, out, |b| f16_of(u32::from_le_bytes(b)).to_le_bytes());
        }
        (Element::F64, Element::F32) => {
            each(base, out, |b| f32_of(u64::from_le_bytes(b)).to_le_bytes());
        }
        (Element::F64, Element::Bf16) => {
            each(base, out, |b| bf16_of(f32_of(u64::from_le_bytes(b))).to_le_bytes());
        }
        (Element::F64, Element::F16) => {
            each(base, out, |b| f16_of(f32_of(u64::from_le_bytes(b))).to_le_bytes());
        }
        _ => {}
    }
}

#[inline(always)]
fn each<const W: usize, const N: usize>(
    base: &[u8],
    out: &mut [u8],
    cast: impl Fn([u8; W]) -> [u8; N],
) {
    for (out, base) in out.as_chunks_mut().0.iter_mut().zip(base.as_chunks().0) {
        *out = cast(*base);
    }
}

/// binary32 to bfloat16.
#[inline(always)]
fn bf16_of(bits: u32) -> u16 {
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let nan = bits >> 16 & 0x8000 | 0x7fc0;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { nan } else { rounded }) as u16
}

/// binary32 to binary16.
#[inline(always)]
fn f16_of(bits: u32) -> u16 {
    let sign = bits >> 16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    // Normal: move the exponent, round the 13 lowest bits away; a carry may reach the exponent.
    let normal =
        magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + (magnitude >> 13 & 1)) >> 13;
    // Below 2^-14: adding a half makes the sum's last place 2^-24, that of the subnormals.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
    let nan = 0x7e00 | magnitude >> 13 & 0x3ff;
    let value = if magnitude > 0x7f80_0000 {
        nan
    } else if magnitude >= 0x477f_f000 {
        0x7c00
    } else if magnitude >= 113 << 23 {
        normal
    } else {
        subnormal
    };
    (sign | value) as u16
}

/// binary64 to binary32.
#[inline(always)]
fn f32_of(bits: u64) -> u32 {
    let nan = (bits >> 32 & 0x8000_0000 | 0x7fc0_0000 | bits >> 29 & 0x3f_ffff) as u32;
    let value = f64::from_bits(bits) as f32;
    if value.is_nan() { nan } else { value.to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CASTS: [(Element, Element); 5] = [
        (Element::Bf16, Element::F32),
        (Element::F16, Element::F32),
        (Element::F32, Element::F64),
        (Element::Bf16, Element::F64),
        (Element::F16, Element::F64),
    ];

    fn casted(narrow: Element, wide: Element, base: &[u8]) -> Vec<u8> {
        let mut out = vec![0; base.len() / wide.size() * narrow.size()];
        cast(narrow, wide, base, &mut out);
        out
    }

    #[test]
    fn halves_are_rounded_to_the_nearest_even() {
        let cases: [(f32, u16); 14] = [
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65519.9, 0x7bff),
            (65520.0, 0x7c00),
            (-1e9, 0xfc00),
            (1.0 + 1.0 / 2048.0, 0x3c00),
            (1.0 + 3.0 / 2048.0, 0x3c02),
            (2.0f32.powi(-14), 0x0400),
            (2.0f32.powi(-24), 0x0001),
            (2.0f32.powi(-25), 0x0000),
            (2.0f32.powi(-25) * 1.01, 0x0001),
            (2.0f32.powi(-24) * 1.5, 0x0002),
            (-0.0, 0x8000),
        ];
        for (wide, half) in cases {
            assert_eq!(f16_of(wide.to_bits()), half, "{wide}");
        }
        assert_eq!([0x7f80_0000, 0x7fc0_2000, 0xff80_0001].map(f16_of), [0x7c00, 0x7e01, 0xfe00]);
    }

    #[test]
    fn every_half_is_its_own_rounding() {
        for half in 0..0x7c00u16 {
            let (exponent, mantissa) = (i32::from(half >> 10), f32::from(half & 0x3ff));
            let value = match exponent {
                0 => mantissa * 2f32.powi(-24),
                e => (1024.0 + mantissa) * 2f32.powi(e - 25),
            };
            assert_eq!(f16_of(value.to_bits()), half);
            assert_eq!(f16_of((-value).to_bits()), half | 0x8000);
        }
    }

    #[test]
    fn bfloats_are_rounded_to_the_nearest_even() {
        let cases = [
            (0x3f80_0000, 0x3f80),
            (0x3f80_8000, 0x3f80),
            (0x3f81_8000, 0x3f82),
            (0x3f80_8001, 0x3f81),
            (0x7f7f_ffff, 0x7f80),
            (0xff80_0000, 0xff80),
            (0x7f80_0001, 0x7fc0),
            (0xffff_ffff, 0xffc0),
            (0x8000_0001, 0x8000),
        ];
        for (wide, narrow) in cases {
            assert_eq!(bf16_of(wide), narrow, "{wide:x}");
        }
    }

    #[test]
    fn doubles_become_floats() {
        assert_eq!(f32_of(1.1f64.to_bits()), 1.1f32.to_bits());
        assert_eq!(f32_of(1e300f64.to_bits()), 0x7f80_0000);
        assert_eq!(f32_of(0xfff0_0000_2000_0001), 0xffc0_0001);
    }

    #[test]
    fn a_twin_takes_two_bytes() {
        let base: Vec<u8> = [1.5f32, -0.1, 0.000_03].iter().flat_map(|x| x.to_le_bytes()).collect();
        let raw = casted(Element::Bf16, Element::F32, &base);
        assert_eq!(raw, [0xc0, 0x3f, 0xcd, 0xbd, 0xfc, 0x37]);
        assert_eq!(encode(Element::Bf16, &raw, Element::F32, &base), Some(vec![1, 3]));
        assert_eq!(encode(Element::F16, &raw, Element::F32, &base), None);
        assert_eq!(encode(Element::Bf16, &raw[..4], Element::F32, &base), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut out = Vec::new();
        for (stored, raw_len) in [
            (&[][..], 2),
            (&[1], 2),
            (&[1, 3, 0], 2),
            (&[3, 1], 2),
            (&[1, 1], 4),
            (&[1, 3], 1),
            (&[1, 3], 4),
            (&[1, 4], 2),
            (&[0, 3], 2),
            (&[5, 3], 1),
        ] {
            assert!(decode(stored, &[0; 4], raw_len, &mut out).is_err(), "{stored:?}");
        }
        assert_eq!(decode(&[1, 3], &[0; 4], 2, &mut out), Ok(()));
    }

    proptest! {
        #[test]
        fn twins_come_back_and_others_are_no_twins(
            base in proptest::collection::vec(any::<u8>(), 1..3000),
            kind in 0..5usize,
            at in any::<prop::sample::Index>(),
        ) {
            let (narrow, wide) = CASTS[kind];
            let base = &base[..base.len() / wide.size() * wide.size()];
            let mut raw = casted(narrow, wide, base);
            let stored = encode(narrow, &raw, wide, base);
            prop_assert_eq!(stored.is_some(), !raw.is_empty());
            if let Some(stored) = stored {
                let mut out = Vec::new();
                decode(&stored, base, raw.len(), &mut out).unwrap();
                prop_assert_eq!(&out, &raw);
                let at = at.index(raw.len());
                raw[at] ^= 1;
                prop_assert_eq!(encode(narrow, &raw, wide, base), None);
            }
        }
    }
}
