//! Numbers as differences to those of a base: the same tensor, a version before.
//!
//! ```text
//! 0   kind of element     u8
//! 1   form of the rest    u8: 0 raw, 1 as `float` stores it
//! 2   top                 u16
//! 4   windows             a stream, as `streams` says: a byte for each 64 elements, below 64
//!     tables              bits, filled up to a byte with zeros
//!     lengths of lanes    8 x u32, of 4096 elements and more; else 1 x u32
//!     lanes               one behind the other
//!     rest                to the end
//! ```
//!
//! The first `n` elements are coded, `n` the whole elements of the shorter of block and base. What
//! is left of the block is the rest. Element `i` is in lane `i` mod 8 (or 0).
//!
//! A difference is that of the bits, as integers, modulo their range, zigzag; `token` says how it
//! becomes a token and raw bits, `scale` which context it has. Tables of the 24 contexts follow one
//! another: the first is written, before each further one is a bit, 1 for the same table as the
//! context before, 0 when one is written, as `entropy` says.
//!
//! BitX (arXiv:2505.06252) takes the exclusive or and leaves it to zstd. An integer difference keeps
//! the size of the move, and the size is what the parent's exponent foretells.

mod read;
mod write;

use super::element::Element;
use super::entropy::TOKENS;
use super::number::{Bf16, Byte, F16, F32, F64, Number};
use super::scale::{self, CONTEXTS, MIDDLE};

/// Bytes before the windows.
const HEADER: usize = 4;
/// Lanes of a block of many elements.
const LANES: usize = 8;
/// From so many elements on there are [`LANES`] lanes.
const MANY: usize = 4096;

/// Encodes a block against its base; none when that does not save anything.
pub(crate) fn encode(element: Element, raw: &[u8], base: &[u8]) -> Option<Vec<u8>> {
    match element {
        Element::Bf16 => write::encode_as::<Bf16>(element, raw, base),
        Element::F16 => write::encode_as::<F16>(element, raw, base),
        Element::F32 => write::encode_as::<F32>(element, raw, base),
        Element::F64 => write::encode_as::<F64>(element, raw, base),
        Element::Byte => write::encode_as::<Byte>(element, raw, base),
    }
}

/// Decodes exactly `raw_len` bytes behind what `into` holds.
pub(crate) fn decode(
    stored: &[u8],
    base: &[u8],
    raw_len: usize,
    into: &mut Vec<u8>,
) -> Result<(), String> {
    let code = *stored.first().ok_or("difference has no header")?;
    let element = Element::from_code(code).ok_or("unknown kind of element")?;
    match element {
        Element::Bf16 => read::decode_as::<Bf16>(stored, base, raw_len, into),
        Element::F16 => read::decode_as::<F16>(stored, base, raw_len, into),
        Element::F32 => read::decode_as::<F32>(stored, base, raw_len, into),
        Element::F64 => read::decode_as::<F64>(stored, base, raw_len, into),
        Element::Byte => read::decode_as::<Byte>(stored, base, raw_len, into),
    }
}

/// Estimates stored / raw of [`encode`] from 64 runs of 64 elements; about 15 microseconds.
pub(crate) fn estimate(element: Element, raw: &[u8], base: &[u8]) -> f64 {
    match element {
        Element::Bf16 => estimate_as::<Bf16>(element, raw, base),
        Element::F16 => estimate_as::<F16>(element, raw, base),
        Element::F32 => estimate_as::<F32>(element, raw, base),
        Element::F64 => estimate_as::<F64>(element, raw, base),
        Element::Byte => estimate_as::<Byte>(element, raw, base),
    }
}

fn estimate_as<N: Number>(element: Element, raw: &[u8], base: &[u8]) -> f64 {
    const RUN: usize = 64;
    let n = raw.len().min(base.len()) / N::SIZE;
    if n == 0 {
        return 1.0;
    }
    let (coded, rest) = raw.split_at(n * N::SIZE);
    let base = &base[..coded.len()];
    let step = (n / 64).max(RUN) * N::SIZE;
    let sample = || {
        let runs = coded.chunks(step).zip(base.chunks(step));
        runs.map(|(raw, base)| {
            let len = raw.len().min(RUN * N::SIZE);
            (&raw[..len], &base[..len])
        })
    };
    let (top, _) = write::learn::<N, _>(sample);
    let mut counts = [[0u32; TOKENS]; CONTEXTS];
    let contexts = scale::contexts();
    let mut seen = 0.0;
    let mut bits = 0.0;
    for (children, parents) in sample() {
        for (child, parent) in children.chunks_exact(N::SIZE).zip(parents.chunks_exact(N::SIZE)) {
            let parent = N::get(parent);
            let token = usize::from(N::token(N::difference(N::get(child), parent)));
            let place = scale::place::<N>(top as i16, parent, MIDDLE);
            counts[usize::from(contexts[usize::from(place)])][token] += 1;
            bits += f64::from(N::alphabet().raw_bits[token]);
            seen += 1.0;
        }
    }
    let mut tables = 0.0;
    for counts in &counts {
        let (mut total, mut kinds) = (0.0f64, 0.0);
        for &count in counts.iter().filter(|&&c| c > 0) {
            let count = f64::from(count);
            total += count;
            kinds += 1.0;
            bits -= count * count.log2();
        }
        if total > 0.0 {
            // A small sample looks more regular than it is (Miller and Madow).
            bits += total * total.log2() + (kinds - 1.0) / (2.0 * std::f64::consts::LN_2);
            tables += kinds;
        }
    }
    // In tables a token takes about a byte.
    let coded_len = bits / 8.0 * (n as f64 / seen) + tables + HEADER as f64 + 32.0;
    let rest_len = super::float::estimate(element, rest) * rest.len() as f64;
    ((coded_len + rest_len) / raw.len() as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::lanes::BASELINE;
    use super::super::samples::{odd_blocks, step_of_training};
    use super::super::streams;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn older_processors_write_and_read_the_same_bytes() {
        for element in Element::ALL {
            let (base, raw) = step_of_training(element, 10_001, 5);
            let stored = encode(element, &raw, &base);
            BASELINE.set(true);
            let plain = encode(element, &raw, &base);
            let out = decoded(plain.as_deref().unwrap(), &base, raw.len());
            BASELINE.set(false);
            assert_eq!((out, plain), (Ok(raw), stored));
        }
    }

    fn decoded(stored: &[u8], base: &[u8], raw_len: usize) -> Result<Vec<u8>, String> {
        let mut out = b"before".to_vec();
        let outcome = decode(stored, base, raw_len, &mut out);
        assert!(out.len() <= 6 + raw_len && out.starts_with(b"before"));
        outcome.map(|()| out.split_off(6))
    }

    fn comes_back(element: Element, raw: &[u8], base: &[u8]) {
        if let Some(stored) = encode(element, raw, base) {
            assert!(stored.len() < raw.len());
            assert_eq!(decoded(&stored, base, raw.len()).as_deref(), Ok(raw), "{element:?}");
        }
        let estimate = estimate(element, raw, base);
        assert!((0.0..=1.0).contains(&estimate), "{estimate}");
    }

    #[test]
    fn a_step_of_training_is_small_and_comes_back() {
        let most = [0.45, 0.75, 0.72, 0.93, 0.4];
        for (element, most) in Element::ALL.into_iter().zip(most) {
            let (base, raw) = step_of_training(element, 40_007, 1);
            let stored = encode(element, &raw, &base).unwrap();
            let ratio = stored.len() as f64 / raw.len() as f64;
            assert!(ratio < most, "{element:?} {ratio}");
            let estimate = estimate(element, &raw, &base);
            assert!((estimate - ratio).abs() < 0.05, "{element:?} {estimate} {ratio}");
            comes_back(element, &raw, &base);
        }
    }

    #[test]
    fn odd_blocks_come_back_against_each_other() {
        for element in Element::ALL {
            let blocks = odd_blocks(element);
            for raw in &blocks {
                for base in &blocks {
                    comes_back(element, raw, base);
                }
            }
        }
    }

    #[test]
    fn a_base_may_be_shorter_or_longer() {
        for element in Element::ALL {
            let (base, raw) = step_of_training(element, 9000, 2);
            for (raw_len, base_len) in [
                (raw.len() - 1, base.len()),
                (raw.len(), base.len() / 2 + 1),
                (999, base.len()),
                (raw.len(), 64),
            ] {
                comes_back(element, &raw[..raw_len], &base[..base_len]);
            }
            assert_eq!(encode(element, &raw, &[]), None);
            let stored = encode(element, &raw, &base[..base.len() / 2]).unwrap();
            assert!(decoded(&stored, &base, raw.len()).is_err(), "another base");
        }
    }

    /// A block so small that its bytes can be looked at.
    fn small() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let base: Vec<u8> = (0..100u16).flat_map(|i| (0x3c00 + 37 * i).to_le_bytes()).collect();
        let mut raw = base.clone();
        for (i, byte) in raw.iter_mut().enumerate().step_by(6) {
            *byte = byte.wrapping_add(i as u8 % 4);
        }
        raw.extend([1, 2, 3]);
        let stored = encode(Element::Bf16, &raw, &base).unwrap();
        (base, raw, stored)
    }

    #[test]
    fn the_stored_bytes_stay_as_they_are() {
        let (_, _, stored) = small();
        let hex: String = stored.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "01009400042020ffff4bfdff8fffdff5ffff070a000000e0dcdf0691005b4e5e19010203");
    }

    #[test]
    fn hostile_bytes_are_refused_or_give_other_numbers() {
        let (base, raw, stored) = small();
        for end in 0..stored.len() {
            assert!(decoded(&stored[..end], &base, raw.len()).is_err(), "{end}");
        }
        assert!(decoded(&[&stored[..], &[0]].concat(), &base, raw.len()).is_err());
        for at in 0..stored.len() {
            for bit in 0..8 {
                let mut bent = stored.clone();
                bent[at] ^= 1 << bit;
                if let Ok(out) = decoded(&bent, &base, raw.len()) {
                    assert_eq!(out.len(), raw.len());
                }
            }
        }
        for raw_len in [0, 1, raw.len() - 1, raw.len() + 1] {
            assert!(decoded(&stored, &base, raw_len).is_err(), "{raw_len}");
        }
        assert!(decoded(&stored, &[], raw.len()).is_err());
    }

    #[test]
    fn many_lanes_cut_or_bent_are_refused() {
        let (base, raw) = step_of_training(Element::F32, 5000, 3);
        let stored = encode(Element::F32, &raw, &base).unwrap();
        for end in (0..stored.len()).step_by(61) {
            assert!(decoded(&stored[..end], &base, raw.len()).is_err(), "{end}");
        }
        // A frame has bits that nobody looks at.
        let mut behind = &stored[HEADER..];
        streams::take(&mut behind, 5000).unwrap();
        let windows = stored.len() - behind.len();
        for at in 0..stored.len() {
            let mut bent = stored.clone();
            bent[at] ^= 0x10;
            if let Ok(out) = decoded(&bent, &base, raw.len()) {
                assert!(at < windows || out != raw, "{at}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_encoded_comes_back(
            base in proptest::collection::vec(any::<u8>(), 0..600),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
            more in proptest::collection::vec(any::<u8>(), 0..300),
            less in 0..50usize,
            times in 1..30usize,
        ) {
            let base = base.repeat(times);
            let mut raw = [&base[..], &more].concat();
            raw.truncate(raw.len().saturating_sub(less));
            for (at, byte) in changes {
                if !raw.is_empty() {
                    let at = at.index(raw.len());
                    raw[at] = byte;
                }
            }
            for element in Element::ALL {
                comes_back(element, &raw, &base);
            }
        }

        #[test]
        fn random_bytes_never_panic(
            stored in proptest::collection::vec(any::<u8>(), 0..300),
            code in 1..6u8,
            raw_len in 0..10_000usize,
        ) {
            let mut stored = stored;
            if let [first, form, ..] = &mut stored[..] {
                (*first, *form) = (code, *form & 1);
            }
            if let Ok(out) = decoded(&stored, &[5; 10_000], raw_len) {
                prop_assert_eq!(out.len(), raw_len);
            }
        }
    }
}
