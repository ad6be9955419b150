//! Content-defined cutting: where a large file is divided into chunks.
//!
//! A gear hash rolls over the bytes and a chunk ends where its upper bits are zero, so that equal
//! content is cut at equal places whatever stands before it. The rule is FastCDC's (Xia et al.,
//! USENIX ATC 2016 and TPDS 2020): no cut below the minimum, a harder mask up to the average and
//! an easier one beyond it, which narrows the spread of sizes; two bytes a step.
//!
//! The rule and its numbers are named in the repository's `format` file, because a silent change
//! would end deduplication against all history without any error. The golden test below holds it.

/// Sizes between which chunks are cut, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutSizes {
    /// No chunk but a file's last is smaller.
    pub min: usize,
    /// The size aimed at; a power of two.
    pub average: usize,
    /// No chunk is larger.
    pub max: usize,
}

/// The sizes of this format version (see `docs/decisions/0002-chunk-sizes.md`).
pub const SIZES: CutSizes = CutSizes { min: 32 << 10, average: 128 << 10, max: 512 << 10 };

/// The name of the rule with its sizes, as the `format` file records it.
pub const RULE: &str = "gear64-v1/32k/128k/512k";

/// One random 64-bit number a byte value, from splitmix64 seeded with `b"mv gear1"`.
const GEAR: [u64; 256] = gear_table();

/// [`GEAR`] shifted left by one, for the first byte of a two-byte step.
const GEAR_SHIFTED: [u64; 256] = {
    let mut table = GEAR;
    let mut i = 0;
    while i < 256 {
        table[i] <<= 1;
        i += 1;
    }
    table
};

const fn gear_table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut state = u64::from_le_bytes(*b"mv gear1");
    let mut i = 0;
    while i < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[i] = z ^ (z >> 31);
        i += 1;
    }
    table
}

/// Bytes that influence the tested bits of the hash.
const WINDOW: usize = 63;

/// A mask of `bits` ones ending below the top bit, which the two-byte step shifts out.
const fn mask(bits: u32) -> u64 {
    ((1 << bits) - 1) << (63 - bits)
}

impl CutSizes {
    /// The length of the first chunk of `data`, or none when more bytes are needed to tell:
    /// `data` must reach `max` bytes or the end of the file (`at_end`). Pure; 2-3 GB/s a core.
    #[must_use]
    pub fn first_cut(&self, data: &[u8], at_end: bool) -> Option<usize> {
        if data.len() < self.max && !at_end {
            return None;
        }
        let end = data.len().min(self.max);
        if end <= self.min {
            return Some(end);
        }
        let bits = self.average.trailing_zeros();
        let middle = end.min(self.average);
        let mut roll = Roll { hash: 0, at: self.min - WINDOW.min(self.min) };
        roll.warm_up(&data[..self.min]);
        let cut = roll
            .scan(&data[..middle], mask(bits + 1))
            .or_else(|| roll.scan(&data[..end], mask(bits - 1)));
        Some(cut.unwrap_or(end))
    }
}

/// The rolling hash and how many bytes it has taken in.
struct Roll {
    hash: u64,
    at: usize,
}

impl Roll {
    /// Takes in the bytes up to the end of `data` without testing.
    fn warm_up(&mut self, data: &[u8]) {
        for &byte in &data[self.at..] {
            self.hash = (self.hash << 1).wrapping_add(GEAR[usize::from(byte)]);
        }
        self.at = data.len();
    }

    /// Rolls to the end of `data` or to the first place where the masked bits are zero.
    fn scan(&mut self, data: &[u8], mask: u64) -> Option<usize> {
        let mut hash = self.hash;
        let rest = &data[self.at..];
        let mut pairs = rest.chunks_exact(2);
        let mut at = self.at;
        for pair in &mut pairs {
            hash = (hash << 2).wrapping_add(GEAR_SHIFTED[usize::from(pair[0])]);
            if hash & (mask << 1) == 0 {
                return Some(at + 1);
            }
            hash = hash.wrapping_add(GEAR[usize::from(pair[1])]);
            if hash & mask == 0 {
                return Some(at + 2);
            }
            at += 2;
        }
        if let [byte] = pairs.remainder() {
            hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            at += 1;
            if hash & mask == 0 {
                return Some(at);
            }
        }
        self.hash = hash;
        self.at = at;
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that look random and are the same everywhere.
    fn noise(len: usize, seed: u8) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn cut_all(sizes: CutSizes, data: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut at = 0;
        while at < data.len() {
            let cut = sizes.first_cut(&data[at..], true).unwrap();
            lengths.push(cut);
            at += cut;
        }
        lengths
    }

    /// The rule byte by byte, as the format document words it.
    fn plain_first_cut(sizes: CutSizes, data: &[u8]) -> usize {
        let bits = sizes.average.trailing_zeros();
        let mut hash = 0u64;
        for (i, &byte) in data.iter().enumerate().take(sizes.max) {
            if i + WINDOW >= sizes.min {
                hash = (hash << 1).wrapping_add(GEAR[usize::from(byte)]);
            }
            let mask = mask(if i < sizes.average { bits + 1 } else { bits - 1 });
            if i >= sizes.min && hash & mask == 0 {
                return i + 1;
            }
        }
        data.len().min(sizes.max)
    }

    #[test]
    fn the_cuts_of_known_bytes_never_change() {
        let lengths = cut_all(SIZES, &noise(2 << 20, 1));
        assert_eq!(lengths, GOLDEN, "a change here ends deduplication against all history");
    }

    const GOLDEN: &[usize] = &[
        173_875, 51_977, 146_896, 234_005, 43_041, 205_960, 106_117, 262_453, 170_262, 169_985,
        174_796, 199_321, 132_133, 26_331,
    ];

    #[test]
    fn bytes_inserted_in_the_middle_change_few_chunks() {
        let before = noise(8 << 20, 2);
        let mut after = before.clone();
        after.splice(3_000_000..3_000_000, noise(1000, 3));
        let ids = |data: &[u8]| {
            let mut at = 0;
            cut_all(SIZES, data)
                .into_iter()
                .map(|n| {
                    at += n;
                    blake3::hash(&data[at - n..at])
                })
                .collect::<std::collections::HashSet<_>>()
        };
        let (old, new) = (ids(&before), ids(&after));
        assert!(new.difference(&old).count() <= 3);
    }

    #[test]
    fn sizes_keep_to_their_bounds_and_their_average() {
        let data = noise(32 << 20, 4);
        let lengths = cut_all(SIZES, &data);
        let (_, whole) = lengths.split_last().unwrap();
        assert!(whole.iter().all(|n| (SIZES.min..=SIZES.max).contains(n)));
        let mean = data.len() / lengths.len();
        assert!((96 << 10..192 << 10).contains(&mean), "mean {mean}");
    }

    #[test]
    fn a_long_run_of_one_byte_is_cut_at_the_maximum() {
        assert_eq!(SIZES.first_cut(&vec![0; 1 << 20], true), Some(SIZES.max));
    }

    #[test]
    fn without_enough_bytes_there_is_no_answer_yet() {
        assert_eq!(SIZES.first_cut(&[0; 100], false), None);
        assert_eq!(SIZES.first_cut(&[0; 100], true), Some(100));
    }

    const SMALL: CutSizes = CutSizes { min: 100, average: 256, max: 1024 };

    proptest! {
        #[test]
        fn two_bytes_a_step_cut_where_one_byte_a_step_does(data in proptest::collection::vec(any::<u8>(), 1..4000)) {
            prop_assert_eq!(SMALL.first_cut(&data, true), Some(plain_first_cut(SMALL, &data)));
        }

        #[test]
        fn chunks_add_up_to_the_input(data in proptest::collection::vec(any::<u8>(), 0..9000)) {
            prop_assert_eq!(cut_all(SMALL, &data).iter().sum::<usize>(), data.len());
        }
    }
}
