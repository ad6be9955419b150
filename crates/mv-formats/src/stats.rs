//! [`Comparison`]: how far apart two tensors of one type and shape are.

use crate::dtype::Dtype;

/// How far apart two tensors are.
///
/// Elements that are infinite or not a number count as changed when their bits differ, and are left
/// out of the norms and the cosine, as is their partner. A complex number is two elements for those.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorStats {
    /// `‖new - old‖ / ‖old‖`. When the old norm is zero: 0 for equal tensors, else infinite. Infinite
    /// also when squares of 64-bit elements overflow.
    pub relative_l2: f64,
    /// The share of elements with other bits, 0 to 1.
    pub changed: f64,
    /// The cosine of the angle between both, -1 to 1. 1 for equal tensors, zeros too. 0 when one
    /// side is zero, or when squares overflow.
    pub cosine: f64,
}

/// Compares two tensors of one type, fed piece by piece. Sums are in 64 bits.
pub struct Comparison {
    dtype: Dtype,
    /// Bytes of one element, a power of two of at most 16.
    size: usize,
    /// The beginning of an element whose end is in the next piece, of the old and the new tensor.
    rest: ([u8; 16], [u8; 16]),
    resting: usize,
    elements: u64,
    changed: u64,
    sums: Sums,
}

/// Sums of squares.
#[derive(Clone, Copy, Default)]
struct Sums {
    old: f64,
    new: f64,
    difference: f64,
}

impl Comparison {
    /// Begins a comparison; none for types whose elements have no value of their own: blocks and
    /// unknown ones.
    #[must_use]
    pub fn new(dtype: &Dtype) -> Option<Comparison> {
        Some(Comparison {
            dtype: dtype.clone(),
            size: usize::try_from(dtype.size()?).ok()?,
            rest: ([0; 16], [0; 16]),
            resting: 0,
            elements: 0,
            changed: 0,
            sums: Sums::default(),
        })
    }

    /// Takes in the next bytes of both tensors, split anywhere. Bytes that one side has more than the
    /// other are left out.
    pub fn feed(&mut self, old: &[u8], new: &[u8]) {
        let len = old.len().min(new.len());
        let (mut old, mut new) = (&old[..len], &new[..len]);
        if self.resting > 0 {
            let take = len.min(self.size - self.resting);
            self.keep(&old[..take], &new[..take]);
            (old, new) = (&old[take..], &new[take..]);
            if self.resting < self.size {
                return;
            }
            let (rest_old, rest_new) = self.rest;
            self.resting = 0;
            self.whole(&rest_old[..self.size], &rest_new[..self.size]);
        }
        let even = old.len() - old.len() % self.size;
        self.whole(&old[..even], &new[..even]);
        self.keep(&old[even..], &new[even..]);
    }

    /// What was found. Bytes of an unfinished element are left out.
    #[must_use]
    pub fn finish(self) -> TensorStats {
        let Sums { old, new, difference } = self.sums;
        let changed = match self.elements {
            0 => 0.0,
            elements => self.changed as f64 / elements as f64,
        };
        let relative_l2 = match (difference / old).sqrt() {
            _ if difference == 0.0 => 0.0,
            _ if old.is_infinite() => f64::INFINITY,
            ratio if ratio.is_nan() => f64::INFINITY,
            ratio => ratio,
        };
        // Twice the inner product is what the difference lacks to both squares.
        let cosine = match (old + new - difference) / (2.0 * old.sqrt() * new.sqrt()) {
            _ if difference == 0.0 => 1.0,
            cosine if cosine.is_nan() => 0.0,
            cosine => cosine.clamp(-1.0, 1.0),
        };
        TensorStats { relative_l2, changed, cosine }
    }

    fn keep(&mut self, old: &[u8], new: &[u8]) {
        let end = self.resting + old.len();
        self.rest.0[self.resting..end].copy_from_slice(old);
        self.rest.1[self.resting..end].copy_from_slice(new);
        self.resting = end;
    }

    /// Whole elements.
    fn whole(&mut self, old: &[u8], new: &[u8]) {
        for (old, new) in old.chunks(BLOCK * self.size).zip(new.chunks(BLOCK * self.size)) {
            self.elements += (old.len() / self.size) as u64;
            self.changed += match self.size {
                _ if old == new => 0,
                1 => differing(old, new, u8::from_le_bytes),
                2 => differing(old, new, u16::from_le_bytes),
                4 => differing(old, new, u32::from_le_bytes),
                8 => differing(old, new, u64::from_le_bytes),
                _ => differing(old, new, u128::from_le_bytes),
            };
            let sums = match self.dtype {
                Dtype::Bool | Dtype::U8 => block(old, new, |[b]: [u8; 1]| f32::from(b)),
                Dtype::I8 => block(old, new, |b| f32::from(i8::from_le_bytes(b))),
                Dtype::U16 => block(old, new, |b| f32::from(u16::from_le_bytes(b))),
                Dtype::I16 => block(old, new, |b| f32::from(i16::from_le_bytes(b))),
                Dtype::U32 => block(old, new, |b| f64::from(u32::from_le_bytes(b))),
                Dtype::I32 => block(old, new, |b| f64::from(i32::from_le_bytes(b))),
                Dtype::U64 => block(old, new, |b| u64::from_le_bytes(b) as f64),
                Dtype::I64 => block(old, new, |b| i64::from_le_bytes(b) as f64),
                Dtype::F8E4M3 => block(old, new, |[b]: [u8; 1]| E4M3[usize::from(b)]),
                Dtype::F8E5M2 => block(old, new, |[b]: [u8; 1]| from_f16(u16::from(b) << 8)),
                Dtype::F16 => block(old, new, |b| from_f16(u16::from_le_bytes(b))),
                Dtype::Bf16 => {
                    block(old, new, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
                }
                Dtype::F32 => block(old, new, f32::from_le_bytes),
                Dtype::F64 => block(old, new, f64::from_le_bytes),
                Dtype::C64 => halves(old, new, f32::from_le_bytes),
                Dtype::C128 => halves(old, new, f64::from_le_bytes),
                Dtype::Block { .. } | Dtype::Other(_) => Sums::default(),
            };
            self.sums.add(sums);
        }
    }
}

/// Elements that are decoded at once: few enough to stay in the first cache.
const BLOCK: usize = 1024;
/// Sums that run side by side, so that they can share vector registers.
const LANES: usize = 8;

/// Elements with other bits.
fn differing<const N: usize, B: PartialEq>(
    old: &[u8],
    new: &[u8],
    bits: impl Fn([u8; N]) -> B + Copy,
) -> u64 {
    // Groups so small that one byte can count them: the narrower the count, the more fit a register.
    const GROUP: usize = 64;
    let (old, old_tail) = old.as_chunks::<N>().0.as_chunks::<GROUP>();
    let (new, new_tail) = new.as_chunks::<N>().0.as_chunks::<GROUP>();
    let mut count = 0;
    for (old, new) in old.iter().zip(new) {
        let mut group = 0_u8;
        for at in 0..GROUP {
            group += u8::from(bits(old[at]) != bits(new[at]));
        }
        count += u64::from(group);
    }
    let tail = old_tail.iter().zip(new_tail).filter(|&(&a, &b)| bits(a) != bits(b));
    count + tail.count() as u64
}

/// Complex numbers: twice as many elements.
fn halves<const N: usize, V: Into<f64> + Copy + Default>(
    old: &[u8],
    new: &[u8],
    value: impl Fn([u8; N]) -> V + Copy,
) -> Sums {
    let mut sums = Sums::default();
    for (old, new) in old.chunks(BLOCK * N).zip(new.chunks(BLOCK * N)) {
        sums.add(block(old, new, value));
    }
    sums
}

/// The sums of at most [`BLOCK`] elements.
fn block<const N: usize, V: Into<f64> + Copy + Default>(
    old: &[u8],
    new: &[u8],
    value: impl Fn([u8; N]) -> V + Copy,
) -> Sums {
    let decode = |bytes: &[u8]| {
        let mut values = [V::default(); BLOCK];
        for (into, &bytes) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
            *into = value(bytes);
        }
        values
    };
    // A block that is not full ends in zeros, which add nothing. Whole lanes of them are not visited.
    let len = (old.len() / N).next_multiple_of(LANES).min(BLOCK);
    let mut a = decode(old);
    if old == new {
        let old = squares(&a[..len]);
        if old.is_finite() {
            return Sums { old, new: old, difference: 0.0 };
        }
    }
    let mut b = decode(new);
    let sums = products(&a[..len], &b[..len]);
    if (sums.old + sums.new).is_finite() {
        return sums;
    }
    // One value that is not finite makes the sums so: only then is each looked at.
    for (a, b) in a.iter_mut().zip(&mut b) {
        let finite = (*a).into().is_finite() && (*b).into().is_finite();
        (*a, *b) = if finite { (*a, *b) } else { (V::default(), V::default()) };
    }
    products(&a[..len], &b[..len])
}

fn squares<V: Into<f64> + Copy>(values: &[V]) -> f64 {
    let mut lanes = [0.0; LANES];
    for group in values.as_chunks::<LANES>().0 {
        for (lane, &a) in lanes.iter_mut().zip(group) {
            let a: f64 = a.into();
            *lane += a * a;
        }
    }
    lanes.iter().sum()
}

fn products<V: Into<f64> + Copy>(old: &[V], new: &[V]) -> Sums {
    let (mut oo, mut nn, mut dd) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for (old, new) in old.as_chunks::<LANES>().0.iter().zip(new.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            let (a, b): (f64, f64) = (old[lane].into(), new[lane].into());
            let d = b - a;
            oo[lane] += a * a;
            nn[lane] += b * b;
            dd[lane] += d * d;
        }
    }
    Sums { old: oo.iter().sum(), new: nn.iter().sum(), difference: dd.iter().sum() }
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.old += other.old;
        self.new += other.new;
        self.difference += other.difference;
    }
}

/// IEEE half precision without a branch. The exponent is moved to where an `f32` has it, once more for
/// what is not finite; subnormals get a leading one and lose it again in a subtraction.
const fn from_f16(half: u16) -> f32 {
    const REBIAS: u32 = (127 - 15) << 23;
    const ONE: u32 = 1 << 23;
    let bits = (half as u32 & 0x7fff) << 13;
    let exponent = bits & 0x0f80_0000;
    let special = if exponent == 0x0f80_0000 { REBIAS } else { 0 };
    let (leading, taken) = if exponent == 0 { (ONE, REBIAS + ONE) } else { (0, 0) };
    let value = f32::from_bits(bits + REBIAS + special + leading) - f32::from_bits(taken);
    f32::from_bits(value.to_bits() | (half as u32 & 0x8000) << 16)
}

/// The value of every byte as `F8_E4M3`: bias 7, no infinities, all ones is not a number.
const E4M3: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (exponent, mantissa) = ((byte >> 3) & 15, (byte & 7) as f32);
        let magnitude = if byte & 0x7f == 0x7f {
            f32::NAN
        } else if exponent == 0 {
            mantissa / 512.0
        } else {
            (1.0 + mantissa / 8.0) * f32::from_bits((exponent as u32 + 120) << 23)
        };
        table[byte] = if byte >= 128 { -magnitude } else { magnitude };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(dtype: &Dtype, old: &[u8], new: &[u8]) -> TensorStats {
        let mut comparison = Comparison::new(dtype).expect("a type with values");
        comparison.feed(old, new);
        comparison.finish()
    }

    fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
        values.into_iter().flat_map(f32::to_le_bytes).collect()
    }

    #[test]
    fn norms_shares_and_cosines_are_those_of_the_textbook() {
        let stats = compare(&Dtype::F32, &floats([3.0, 4.0, 0.0]), &floats([3.0, 4.0, 5.0]));
        assert_eq!(stats.relative_l2, 1.0);
        assert_eq!(stats.changed, 1.0 / 3.0);
        assert!((stats.cosine - 0.5_f64.sqrt()).abs() < 1e-15, "{stats:?}");
        let opposite = compare(&Dtype::F32, &floats([1.0, 2.0]), &floats([-1.0, -2.0]));
        assert_eq!(opposite.relative_l2, 2.0);
        assert!((opposite.cosine + 1.0).abs() < 1e-15, "{opposite:?}");
    }

    #[test]
    fn zeros_and_nothing_have_figures_too() {
        let (zero, one) = (floats([0.0; 3]), floats([1.0; 3]));
        let none = TensorStats { relative_l2: 0.0, changed: 0.0, cosine: 1.0 };
        assert_eq!(compare(&Dtype::F32, &[], &[]), none);
        assert_eq!(compare(&Dtype::F32, &zero, &zero), none);
        let grown = TensorStats { relative_l2: f64::INFINITY, changed: 1.0, cosine: 0.0 };
        assert_eq!(compare(&Dtype::F32, &zero, &one), grown);
        let gone = TensorStats { relative_l2: 1.0, changed: 1.0, cosine: 0.0 };
        assert_eq!(compare(&Dtype::F32, &one, &zero), gone);
    }

    #[test]
    fn what_is_not_finite_is_changed_and_left_out() {
        let old = floats([f32::NAN, 1.0, f32::INFINITY, 2.0]);
        let new = floats([f32::NAN, 1.0, 7.0, 2.0]);
        let stats = compare(&Dtype::F32, &old, &new);
        assert_eq!(stats, TensorStats { relative_l2: 0.0, changed: 0.25, cosine: 1.0 });
        // Squares of 2e154 overflow, those of the difference do not.
        let stats = compare(&Dtype::F64, &2e154_f64.to_le_bytes(), &1.5e154_f64.to_le_bytes());
        assert_eq!((stats.relative_l2, stats.cosine), (f64::INFINITY, 0.0));
        let huge = f64::MAX.to_le_bytes();
        let stats = compare(&Dtype::F64, &huge, &(-f64::MAX).to_le_bytes());
        assert_eq!((stats.relative_l2, stats.cosine), (f64::INFINITY, 0.0));
    }

    #[test]
    fn where_the_bytes_are_split_does_not_matter() {
        let old: Vec<u8> = (0..4096_u32).map(|i| (i * 7 % 251) as u8).collect();
        let new: Vec<u8> = (0..4096_u32).map(|i| (i * 7 % 241) as u8).collect();
        for dtype in [Dtype::U8, Dtype::I16, Dtype::U32, Dtype::F32, Dtype::I64] {
            let whole = compare(&dtype, &old, &new);
            for step in [1, 3, 17, 1000] {
                let mut pieces = Comparison::new(&dtype).expect("a type with values");
                for (a, b) in old.chunks(step).zip(new.chunks(step)) {
                    pieces.feed(a, b);
                }
                let pieces = pieces.finish();
                assert_eq!(pieces.changed, whole.changed);
                assert!((pieces.relative_l2 - whole.relative_l2).abs() < 1e-9, "{dtype}");
                assert!((pieces.cosine - whole.cosine).abs() < 1e-9, "{dtype}");
            }
        }
    }

    #[test]
    fn complex_numbers_change_as_one() {
        let stats =
            compare(&Dtype::C64, &floats([3.0, 4.0, 1.0, 0.0]), &floats([3.0, 5.0, 1.0, 0.0]));
        assert_eq!(stats.changed, 0.5);
        assert_eq!(stats.relative_l2, 1.0 / 26_f64.sqrt());
    }

    #[test]
    fn short_floats_are_read_exactly() {
        for (half, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2_f32.powi(-24)),
            (0x03ff, 1023.0 * 2_f32.powi(-24)),
            (0x0400, 2_f32.powi(-14)),
            (0x0000, 0.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(from_f16(half), value, "{half:#x}");
        }
        assert!(from_f16(0x7e00).is_nan());
        assert!(from_f16(0x8000).is_sign_negative());
        for (byte, value) in [(0x38, 1.0), (0xb8, -1.0), (0x7e, 448.0), (0x01, 1.0 / 512.0)] {
            assert_eq!(E4M3[byte], value, "{byte:#x}");
        }
        assert!(E4M3[0x7f].is_nan() && E4M3[0xff].is_nan());
        let one_and_two = compare(&Dtype::Bf16, &[0x80, 0x3f], &[0x00, 0x40]);
        assert_eq!(one_and_two.relative_l2, 1.0);
    }

    #[test]
    fn types_without_values_are_not_compared() {
        assert!(Comparison::new(&Dtype::Other("V8".into())).is_none());
        let block = Dtype::Block { name: "Q4_0".into(), elements: 32, bytes: 18 };
        assert!(Comparison::new(&block).is_none());
    }
}
