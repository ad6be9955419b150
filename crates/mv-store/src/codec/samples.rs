//! Numbers for tests: what weights and their updates look like.

use super::element::Element;

/// Pseudo-random bits (splitmix64).
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    /// The next 64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// About normal, with deviation 1.
    fn normal(&mut self) -> f64 {
        let sum: f64 = (0..12).map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64).sum();
        sum - 6.0
    }
}

/// A tensor and the same one a step of training later.
pub(crate) fn step_of_training(element: Element, n: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut noise = Noise(seed);
    let mut base = Vec::new();
    let mut raw = Vec::new();
    for i in 0..n {
        let weight = 0.02 * noise.normal();
        let scale = if i / 512 % 3 == 0 { 1e-5 } else { 1e-4 };
        let moved = weight + scale * noise.normal();
        for (value, out) in [(weight, &mut base), (moved, &mut raw)] {
            match element {
                Element::Bf16 => out.extend(&(value as f32).to_le_bytes()[2..]),
                // No arithmetic of halves here; what their bits look like is enough.
                Element::F16 => {
                    out.extend(((value as f32).to_bits() >> 13).to_le_bytes()[..2].iter());
                }
                Element::F32 => out.extend((value as f32).to_le_bytes()),
                Element::F64 => out.extend(value.to_le_bytes()),
                Element::Byte => out.push((value * 1000.0) as i8 as u8),
            }
        }
    }
    (base, raw)
}

/// Blocks that are easily got wrong: one value, special values, noise.
pub(crate) fn odd_blocks(element: Element) -> Vec<Vec<u8>> {
    let size = element.size();
    let mut noise = Noise(7);
    let special: &[u64] = match element {
        Element::Bf16 => &[0, 0x8000, 1, 0x7f80, 0xff80, 0x7fc0, 0xffff, 0x3f80],
        Element::F16 => &[0, 0x8000, 1, 0x7c00, 0xfc00, 0x7e00, 0xffff, 0x3c00],
        Element::F32 => &[0, 1 << 31, 1, 0x7f80_0000, 0xff80_0000, 0x7fc0_0001, 0x3f80_0000],
        Element::F64 => &[0, 1 << 63, 1, 0x7ff << 52, 0xfff << 52, u64::MAX, 0x3ff << 52],
        Element::Byte => &[0, 0x80, 1, 0xff, 0x7f],
    };
    let specials = |n: usize| -> Vec<u8> {
        (0..n).flat_map(|i| special[i * i % special.len()].to_le_bytes()[..size].to_vec()).collect()
    };
    vec![
        vec![],
        vec![1],
        vec![0; 5],
        vec![0; 10_001],
        vec![0xff; 10_000],
        specials(50),
        specials(9_999),
        (0..20_003).map(|_| noise.next() as u8).collect(),
        (0..2000).map(|_| noise.next() as u8 & 1).collect(),
    ]
}
