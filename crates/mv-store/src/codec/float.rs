//! Numbers without a base: exponents entropy coded, the rest raw unless it compresses.
//!
//! The bits of each element are rotated to the left, by 1 (`Byte`: 0, `F64`: 4), so that the
//! exponent comes to the top, and the bytes of equal place are put together: a plane for each byte
//! of an element, the highest first. Weights have exponents of about 2.6 bits; signs and mantissas
//! are noise, which it would be a waste to code (ZipNN, arXiv:2411.05239).
//!
//! ```text
//! 0   kind of element     u8
//! 1   planes              for each: form u8, then by form
//!                         0: the bytes of the plane
//!                         1: length u32, one zstd frame of so many bytes
//!                         2: one byte, which the plane consists of
//!     tail                what is left behind the last whole element, to the end
//! ```
//!
//! An f64 is rotated by 4 so that the 8 low bits of its exponent are one plane; the 3 high ones, of
//! which weights have one value, are with the sign in the lowest.

use std::cell::RefCell;

use zstd::zstd_safe::{CParameter, ParamSwitch};

use super::element::Element;

/// A plane is constant.
const CONSTANT: u8 = 2;
/// A plane is a zstd frame.
const PACKED: u8 = 1;
/// A plane is as it is.
const PLAIN: u8 = 0;

/// Bits a byte above which a plane is left alone: 3 % are not worth the decoding.
const NOISE_BITS: f64 = 7.75;
/// Bits a byte below which matches are looked for: literals alone take at least one.
const MATCH_BITS: f64 = 0.9;
/// The zstd level that looks for no matches.
const NO_MATCHES: i32 = -100_000;

/// Encodes a block; none when that saves less than about 3 %.
pub(crate) fn encode(element: Element, raw: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static PLANES: RefCell<Vec<u8>> = RefCell::default();
    }
    let size = element.size();
    let n = raw.len() / size;
    if n == 0 {
        return None;
    }
    PLANES.with_borrow_mut(|planes| {
        planes.resize(n * size, 0);
        split(element, &raw[..n * size], planes);
        let mut out = Vec::with_capacity(raw.len());
        out.push(element.code());
        for plane in planes.chunks_exact(n) {
            write_plane(plane, &mut out)?;
        }
        out.extend_from_slice(&raw[n * size..]);
        (100 * out.len() <= 97 * raw.len()).then_some(out)
    })
}

/// Writes a plane in the form that its sample speaks for.
fn write_plane(plane: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let first = plane[0];
    if plane.iter().all(|&b| b == first) {
        out.extend([CONSTANT, first]);
        return Some(());
    }
    let bits = sample_bits(plane);
    if bits < NOISE_BITS && plane.len() > 64 {
        let start = out.len();
        out.extend([PACKED, 0, 0, 0, 0]);
        let matches = bits < MATCH_BITS;
        pack(plane, matches, out)?;
        let len = out.len() - start - 5;
        if len + 5 < plane.len() - plane.len() / 50 {
            out[start + 1..start + 5].copy_from_slice(&(len as u32).to_le_bytes());
            return Some(());
        }
        out.truncate(start);
    }
    out.push(PLAIN);
    out.extend_from_slice(plane);
    Some(())
}

/// Appends a zstd frame, with or without looking for matches.
fn pack(plane: &[u8], matches: bool, out: &mut Vec<u8>) -> Option<()> {
    type Packers = [Option<zstd::bulk::Compressor<'static>>; 2];
    thread_local! {
        static PACKERS: RefCell<Packers> = const { RefCell::new([None, None]) };
    }
    PACKERS.with_borrow_mut(|packers| {
        let slot = &mut packers[usize::from(matches)];
        if slot.is_none() {
            let mut packer =
                zstd::bulk::Compressor::new(if matches { 1 } else { NO_MATCHES }).ok()?;
            let literals = CParameter::LiteralCompressionMode(ParamSwitch::Enable);
            packer.set_parameter(literals).ok()?;
            *slot = Some(packer);
        }
        let start = out.len();
        out.resize(start + zstd::zstd_safe::compress_bound(plane.len()), 0);
        let len = slot.as_mut()?.compress_to_buffer(plane, &mut out[start..]).ok()?;
        out.truncate(start + len);
        Some(())
    })
}

/// Order-0 entropy of a sample of at most 4096 bytes, in bits a byte.
fn sample_bits(plane: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    let step = (plane.len() / 64).max(64);
    for run in plane.chunks(step) {
        for &byte in &run[..run.len().min(64)] {
            counts[usize::from(byte)] += 1;
        }
    }
    entropy(&counts)
}

/// Bits that one of these takes, on average.
fn entropy(counts: &[u32; 256]) -> f64 {
    let total: f64 = counts.iter().map(|&c| f64::from(c)).sum();
    let used = counts.iter().filter(|&&c| c > 0).map(|&c| f64::from(c));
    (total.log2() - used.map(|c| c * c.log2()).sum::<f64>() / total).max(0.0)
}

/// Decodes exactly `raw_len` bytes behind what `into` holds.
pub(crate) fn decode(stored: &[u8], raw_len: usize, into: &mut Vec<u8>) -> Result<(), String> {
    let (code, mut body) = stored.split_first().ok_or("floats have no header")?;
    let element = Element::from_code(*code).ok_or("unknown kind of element")?;
    let size = element.size();
    let n = raw_len / size;
    if n == 0 {
        return Err("floats without an element".into());
    }
    thread_local! {
        static PLANES: RefCell<[Vec<u8>; 8]> = const { RefCell::new([const { Vec::new() }; 8]) };
    }
    PLANES.with_borrow_mut(|kept| {
        let mut planes: [&[u8]; 8] = [&[]; 8];
        for (plane, room) in planes.iter_mut().zip(kept.iter_mut()).take(size) {
            room.clear();
            (*plane, body) = read_plane(body, n, room)?;
        }
        if body.len() != raw_len - n * size {
            return Err("floats do not end with their tail".into());
        }
        join(element, &planes, n, into);
        into.extend_from_slice(body);
        Ok(())
    })
}

/// Reads a plane, into `room` unless it is there as it is; returns it and what follows.
fn read_plane<'r, 's: 'r>(
    body: &'s [u8],
    n: usize,
    room: &'r mut Vec<u8>,
) -> Result<(&'r [u8], &'s [u8]), String> {
    let cut = || "a plane is cut off".to_owned();
    let (form, body) = body.split_first().ok_or_else(cut)?;
    match *form {
        PLAIN => body.split_at_checked(n).ok_or_else(cut),
        PACKED => {
            let (len, body) = body.split_first_chunk().ok_or_else(cut)?;
            let len = u32::from_le_bytes(*len) as usize;
            let (frame, rest) = body.split_at_checked(len).ok_or_else(cut)?;
            super::decompress(frame, n, room)?;
            Ok((room, rest))
        }
        CONSTANT => {
            let (byte, rest) = body.split_first().ok_or_else(cut)?;
            room.resize(n, *byte);
            Ok((room, rest))
        }
        _ => Err("a plane has an unknown form".into()),
    }
}

/// Puts bytes of equal place together, the highest first.
fn split(element: Element, raw: &[u8], planes: &mut [u8]) {
    let n = raw.len() / element.size();
    match element {
        Element::Byte => planes.copy_from_slice(raw),
        Element::Bf16 | Element::F16 => {
            let (high, low) = planes.split_at_mut(n);
            for ((word, high), low) in raw.as_chunks().0.iter().zip(high).zip(low) {
                let word = u16::from_le_bytes(*word).rotate_left(1);
                (*high, *low) = ((word >> 8) as u8, word as u8);
            }
        }
        Element::F32 => {
            let (upper, lower) = planes.split_at_mut(2 * n);
            let (a, b) = upper.split_at_mut(n);
            let (c, d) = lower.split_at_mut(n);
            let planes = a.iter_mut().zip(b).zip(c.iter_mut().zip(d));
            for (word, ((a, b), (c, d))) in raw.as_chunks().0.iter().zip(planes) {
                let word = u32::from_le_bytes(*word).rotate_left(1);
                (*a, *b, *c, *d) =
                    ((word >> 24) as u8, (word >> 16) as u8, (word >> 8) as u8, word as u8);
            }
        }
        Element::F64 => {
            for (place, plane) in planes.chunks_exact_mut(n).enumerate() {
                for (word, byte) in raw.as_chunks().0.iter().zip(plane) {
                    *byte = (u64::from_le_bytes(*word).rotate_left(4) >> (56 - 8 * place)) as u8;
                }
            }
        }
    }
}

/// Undoes [`split`].
fn join(element: Element, planes: &[&[u8]; 8], n: usize, into: &mut Vec<u8>) {
    let start = into.len();
    let [a, b, c, d, e, f, g, h] = *planes;
    match element {
        Element::Byte => into.extend_from_slice(a),
        Element::Bf16 | Element::F16 => {
            into.resize(start + 2 * n, 0);
            let words = into[start..].as_chunks_mut().0;
            for (word, (a, b)) in words.iter_mut().zip(a.iter().zip(b)) {
                *word = u16::from_be_bytes([*a, *b]).rotate_right(1).to_le_bytes();
            }
        }
        Element::F32 => {
            into.resize(start + 4 * n, 0);
            let words = into[start..].as_chunks_mut().0;
            let planes = a.iter().zip(b).zip(c.iter().zip(d));
            for (word, ((a, b), (c, d))) in words.iter_mut().zip(planes) {
                *word = u32::from_be_bytes([*a, *b, *c, *d]).rotate_right(1).to_le_bytes();
            }
        }
        Element::F64 => {
            into.resize(start + 8 * n, 0);
            let words = into[start..].as_chunks_mut().0;
            let planes = a.iter().zip(b).zip(c.iter().zip(d));
            let planes = planes.zip(e.iter().zip(f).zip(g.iter().zip(h)));
            for (word, (((a, b), (c, d)), ((e, f), (g, h)))) in words.iter_mut().zip(planes) {
                let bytes = [*a, *b, *c, *d, *e, *f, *g, *h];
                *word = u64::from_be_bytes(bytes).rotate_right(4).to_le_bytes();
            }
        }
    }
}

/// Estimates stored / raw of [`encode`] from 64 runs of 64 elements.
pub(crate) fn estimate(element: Element, raw: &[u8]) -> f64 {
    let size = element.size();
    let run = 64 * size;
    let step = (raw.len() / 64 / size * size).max(run);
    let mut counts = vec![[0u32; 256]; size];
    let mut words = vec![0; run];
    for piece in raw.chunks(step) {
        let piece = &piece[..piece.len().min(run) / size * size];
        if piece.is_empty() {
            continue;
        }
        let planes = &mut words[..piece.len()];
        split(element, piece, planes);
        for (plane, counts) in planes.chunks_exact(piece.len() / size).zip(&mut counts) {
            for &byte in plane {
                counts[usize::from(byte)] += 1;
            }
        }
    }
    let bits = counts.iter().map(|c| Some(entropy(c)).filter(|&b| b < NOISE_BITS).unwrap_or(8.0));
    if raw.len() < size { 1.0 } else { bits.sum::<f64>() / (8 * size) as f64 }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{odd_blocks, step_of_training};
    use super::*;
    use proptest::prelude::*;

    fn decoded(stored: &[u8], raw_len: usize) -> Result<Vec<u8>, String> {
        let mut out = b"before".to_vec();
        let outcome = decode(stored, raw_len, &mut out);
        assert!(out.len() <= 6 + raw_len && out.starts_with(b"before"));
        outcome.map(|()| out.split_off(6))
    }

    fn comes_back(element: Element, raw: &[u8]) {
        if let Some(stored) = encode(element, raw) {
            assert!(stored.len() < raw.len());
            assert_eq!(decoded(&stored, raw.len()).as_deref(), Ok(raw), "{element:?}");
        }
        let estimate = estimate(element, raw);
        assert!((0.0..=1.0).contains(&estimate), "{estimate}");
    }

    #[test]
    fn weights_shrink_by_their_exponents() {
        let most = [0.67, 0.9, 0.84, 0.88, 0.85];
        for (element, most) in Element::ALL.into_iter().zip(most) {
            let (raw, _) = step_of_training(element, 40_007, 1);
            let stored = encode(element, &raw).unwrap();
            let ratio = stored.len() as f64 / raw.len() as f64;
            assert!(ratio < most, "{element:?} {ratio}");
            let estimate = estimate(element, &raw);
            assert!((estimate - ratio).abs() < 0.03, "{element:?} {estimate} {ratio}");
            comes_back(element, &raw);
            comes_back(element, &raw[..raw.len() - 1]);
        }
    }

    #[test]
    fn odd_blocks_come_back() {
        for element in Element::ALL {
            odd_blocks(element).iter().for_each(|raw| comes_back(element, raw));
        }
    }

    #[test]
    fn planes_of_zeros_cost_nothing() {
        let (narrow, _) = step_of_training(Element::Bf16, 20_000, 1);
        let wide: Vec<u8> = narrow.chunks(2).flat_map(|b| [0, 0, b[0], b[1]]).collect();
        let bare = encode(Element::Bf16, &narrow).unwrap().len();
        let stored = encode(Element::F32, &wide).unwrap();
        // The sign is in a plane of its own, a bit for each.
        assert!(stored.len() < bare + 20_000 / 8 + 200, "{} {bare}", stored.len());
        assert!(encode(Element::Byte, &[0; 1000]).unwrap().len() < 5);
    }

    #[test]
    fn noise_is_left_alone() {
        let noise = &odd_blocks(Element::Byte)[7];
        for element in Element::ALL {
            assert_eq!(encode(element, noise), None);
        }
    }

    fn small() -> (Vec<u8>, Vec<u8>) {
        let mut raw: Vec<u8> = (0..100u8).flat_map(|i| [i.wrapping_mul(37), 0x3c]).collect();
        raw.push(9);
        let stored = encode(Element::Bf16, &raw).unwrap();
        (raw, stored)
    }

    #[test]
    fn the_stored_bytes_stay_as_they_are() {
        let raw: Vec<u8> = (0..4u8).flat_map(|i| [0, 0, 16 * i, 0x3f]).chain([7]).collect();
        let hex: String =
            encode(Element::F32, &raw).unwrap().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "03027e00002040600200020007");
    }

    #[test]
    fn hostile_bytes_are_refused_or_give_other_numbers() {
        let (half, _) = step_of_training(Element::Bf16, 300, 1);
        let packed = encode(Element::Bf16, &half).unwrap();
        for (raw, stored) in [small(), (half, packed)] {
            for end in 0..stored.len() {
                assert!(decoded(&stored[..end], raw.len()).is_err(), "{end}");
            }
            assert!(decoded(&[&stored[..], &[0]].concat(), raw.len()).is_err());
            for at in 0..stored.len() {
                for bit in 0..8 {
                    let mut bent = stored.clone();
                    bent[at] ^= 1 << bit;
                    if let Ok(out) = decoded(&bent, raw.len()) {
                        assert_eq!(out.len(), raw.len());
                    }
                }
            }
            for raw_len in [0, 1, raw.len() - 2, raw.len() + 2] {
                assert!(decoded(&stored, raw_len).is_err(), "{raw_len}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_comes_back(
            raw in proptest::collection::vec(any::<u8>(), 0..300),
            mask in any::<u8>(),
            times in 1..20usize,
        ) {
            let raw: Vec<u8> = raw.repeat(times).iter().map(|b| b & mask).collect();
            for element in Element::ALL {
                comes_back(element, &raw);
            }
        }

        #[test]
        fn random_bytes_never_panic(
            stored in proptest::collection::vec(0..6u8, 0..300),
            raw_len in 0..300usize,
        ) {
            if let Ok(out) = decoded(&stored, raw_len) {
                prop_assert_eq!(out.len(), raw_len);
            }
        }
    }
}
