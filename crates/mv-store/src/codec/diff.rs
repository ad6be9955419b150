//! Differences to a base: what to copy from it, and the bytes in between.
//!
//! The stored bytes are five streams (`streams.rs`), and nothing after them:
//!
//! ```text
//! copies      one byte an operation: how many bytes it copies, less 8
//! gaps        one byte an operation: how many literals come before the copy
//! jumps       one byte an operation: from the end of the last copy to this one in the base, zigzag
//! tails       what does not fit in those bytes
//! literals    the bytes that are not copied
//! ```
//!
//! A byte below 253 is the number itself. 253 says that it is the next two bytes of `tails`, 254
//! the next four, little-endian; 255 is not used, and the shortest form is the only one. An
//! operation takes from `tails` in the order gap, jump, copy. A jump counts from the end of the
//! previous copy, from 0 for the first; zigzag is 2n for n >= 0 and -2n - 1 below.
//!
//! Each operation appends its literals and then its copy. The literals that are left follow the
//! last one. So numbers of one kind stand together: those of a new column compress to a few bits.

use super::streams;
use operations::Operations;
use resync::{Resync, Step};

mod anchors;
mod operations;
mod resync;

/// The shortest copy: below that, an operation costs as much as the bytes.
const SHORTEST: usize = 8;
/// The first byte that stands for two bytes in the tails, and the one for four.
const TWO: u8 = 253;
const FOUR: u8 = 254;

/// Bytes after which a forecast of the stored length is made, and again after twice as many.
const FIRST_CHECK: usize = 64 << 10;

/// A copy that no two texts have by chance.
const LONG: usize = 4096;

/// A block as differences to its base.
#[derive(Debug)]
pub(crate) struct Diffed {
    /// The stored bytes.
    pub stored: Vec<u8>,
    /// The place in the base that corresponds to the end of the block: the next one goes on there.
    pub base_end: usize,
}

/// Writes `raw` as differences to `base`, which begins where the base of `raw[0]` is expected.
///
/// None when the result would not fit in `most` bytes, or when the two have little in common; that
/// is found out in a fraction of the time that compressing would take.
pub(crate) fn encode(raw: &[u8], base: &[u8], most: usize, level: i32) -> Option<Diffed> {
    let mut operations = Operations::default();
    let mut resync = Resync::new(raw, base);
    // The next bytes to compare, and where the literals before them begin.
    let (mut at, mut from, mut literals) = (0, 0, 0);
    // Where the last copy ended that cannot be chance, and how many literals there were by then.
    let (mut sure, mut sure_at, mut sure_literals) = (0, 0, 0);
    let (mut check, mut related) = (FIRST_CHECK, false);
    loop {
        let copy = equal(&raw[at..], &base[from..]);
        if copy >= SHORTEST {
            operations.push(&raw[literals..at], from, copy);
            at += copy;
            from += copy;
            literals = at;
            related |= copy >= LONG;
            if copy >= 64 {
                (sure, sure_at, sure_literals) = (from, at, operations.literals.len());
            }
        }
        if at == raw.len() {
            break;
        }
        if operations.at_least() > most {
            return None;
        }
        if at >= check {
            check = at * 2;
            let share = operations.literals.len() * 8 / at;
            // New bytes at the start say nothing once a long copy came after them.
            let doubtful = !related && !resync.is_hopeful();
            if share >= 4 && doubtful {
                return None;
            }
            if share >= 1 {
                let stored = operations.finish(level).len();
                let forecast = stored.saturating_mul(raw.len()) / at;
                if stored > most || (forecast / 4 * 3 > most && doubtful) {
                    return None;
                }
            }
        }
        match resync.step(at, from, literals, operations.literals.len()) {
            Step::At(raw, base) => (at, from) = (raw, base),
            Step::End => break,
            Step::Unrelated => return None,
        }
    }
    let last = operations.base;
    operations.literals.extend_from_slice(&raw[literals..]);
    if operations.at_least() > most {
        return None;
    }
    let stored = operations.finish(level);
    // Short copies in mostly new bytes are chance: they say nothing about the place in the base.
    let chance = (operations.literals.len() - sure_literals) * 2 > raw.len() - sure_at;
    let base_end = if chance { sure } else { last };
    (stored.len() <= most).then_some(Diffed { stored, base_end })
}

/// How many bytes are equal from the start.
fn equal(a: &[u8], b: &[u8]) -> usize {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let wide = equal_pieces::<32>(a, b);
    let narrow = wide + equal_pieces::<8>(&a[wide..], &b[wide..]);
    narrow + a[narrow..].iter().zip(&b[narrow..]).take_while(|(x, y)| x == y).count()
}

/// How many bytes are equal from the start, in whole pieces of `N`.
fn equal_pieces<const N: usize>(a: &[u8], b: &[u8]) -> usize {
    let (a, b) = (a.as_chunks::<N>().0, b.as_chunks::<N>().0);
    N * a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()))
}

/// Appends the `raw_len` bytes that `stored` makes of `base`.
pub(crate) fn decode(
    stored: &[u8],
    base: &[u8],
    raw_len: usize,
    into: &mut Vec<u8>,
) -> Result<(), String> {
    let mut rest = stored;
    let copies = streams::take(&mut rest, raw_len / SHORTEST)?;
    let gaps = streams::take(&mut rest, copies.len())?;
    let jumps = streams::take(&mut rest, copies.len())?;
    let tails = streams::take(&mut rest, copies.len() * 12)?;
    let literals = streams::take(&mut rest, raw_len)?;
    if !rest.is_empty() {
        return Err("bytes after the literals".into());
    }
    if gaps.len() != copies.len() || jumps.len() != copies.len() {
        return Err("as many gaps and jumps as copies are needed".into());
    }
    let (mut tails, mut literals) = (&tails[..], &literals[..]);
    let mut left = raw_len;
    let mut from = 0usize;
    into.reserve(raw_len);
    for ((&copy, &gap), &jump) in copies.iter().zip(&*gaps).zip(&*jumps) {
        let gap = take_number(gap, &mut tails)?;
        let jump = take_number(jump, &mut tails)?;
        let copy = take_number(copy, &mut tails)?.saturating_add(SHORTEST);
        let literal = streams::take_bytes(&mut literals, gap).map_err(|_| "too few literals")?;
        let back = jump.div_ceil(2);
        from = if jump % 2 == 0 { from.checked_add(back) } else { from.checked_sub(back) }
            .ok_or("jump leaves the base")?;
        let end = from.checked_add(copy).ok_or("copy leaves the base")?;
        let copied = base.get(from..end).ok_or("copy leaves the base")?;
        left = left
            .checked_sub(gap)
            .and_then(|left| left.checked_sub(copy))
            .ok_or("decodes to more than the recorded length")?;
        into.extend_from_slice(literal);
        into.extend_from_slice(copied);
        from = end;
    }
    if !tails.is_empty() {
        return Err("tails are left over".into());
    }
    if literals.len() != left {
        return Err("literals do not fill the recorded length".into());
    }
    into.extend_from_slice(literals);
    Ok(())
}

/// The number of a byte, with what stands for it in the tails.
fn take_number(head: u8, tails: &mut &[u8]) -> Result<usize, String> {
    let n = match head {
        ..TWO => return Ok(usize::from(head)),
        TWO => match streams::take_bytes(tails, 2)? {
            &[a, b] => Some(u32::from(u16::from_le_bytes([a, b]))).filter(|&n| n >= TWO.into()),
            _ => None,
        },
        FOUR => match streams::take_bytes(tails, 4)? {
            &[a, b, c, d] => Some(u32::from_le_bytes([a, b, c, d])).filter(|&n| n > 0xffff),
            _ => None,
        },
        _ => None,
    };
    n.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| "number is not in its only form".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Rows of numbers: row `n` is the same in every table.
    fn rows(from: usize, to: usize) -> Vec<u8> {
        let row = |n: usize| {
            let hash = blake3::hash(&n.to_le_bytes()).to_hex();
            let digits: String = hash.bytes().map(|b| char::from(b'0' + b % 10)).collect();
            format!("{n},{},{}.{}\n", &digits[..12], &digits[12..14], &digits[14..60])
        };
        (from..to).flat_map(|n| row(n).into_bytes()).collect()
    }

    fn decoded(stored: &[u8], base: &[u8], len: usize) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        decode(stored, base, len, &mut out).map(|()| out)
    }

    /// Encodes, checks that the bytes come back, and gives the stored length.
    fn stored(raw: &[u8], base: &[u8]) -> usize {
        let diffed = encode(raw, base, raw.len() + 100, 1).unwrap();
        assert_eq!(decoded(&diffed.stored, base, raw.len()).unwrap(), raw);
        diffed.stored.len()
    }

    #[test]
    fn equal_bytes_cost_next_to_nothing() {
        let base = rows(0, 10_000);
        assert!(stored(&base, &base) < 24);
        let diffed = encode(&base[..500_000], &base, 100, 1).unwrap();
        assert_eq!(diffed.base_end, 500_000);
    }

    #[test]
    fn inserted_rows_cost_what_they_are() {
        let base = rows(0, 10_000);
        let new = rows(50_000, 52_000);
        for at in [0, 100_003, base.len()] {
            let raw = [&base[..at], &new, &base[at..]].concat();
            assert!(stored(&raw, &base) < new.len() * 6 / 10, "{at}");
        }
    }

    #[test]
    fn edits_after_many_new_rows_are_found() {
        let base = rows(0, 10_000);
        let mut raw = [&rows(50_000, 51_200)[..], &base].concat();
        for at in (100_000..raw.len() - 100).step_by(10_000) {
            raw.splice(at..at + 3, *b"73.5");
        }
        assert!(encode(&raw, &base, raw.len() / 8, 1).is_some());
        stored(&raw, &base);
    }

    #[test]
    fn deleted_rows_cost_nothing() {
        let base = rows(0, 10_000);
        let raw = [&base[..100_000], &base[200_000..]].concat();
        assert!(stored(&raw, &base) < 40);
    }

    #[test]
    fn moved_rows_are_found_behind() {
        let base = rows(0, 10_000);
        let raw = [&base[..99], &base[200_000..300_000], &base[99..200_000], &base[300_000..]];
        assert!(stored(&raw.concat(), &base) < 60);
    }

    #[test]
    fn a_new_column_costs_few_bits_a_row() {
        let base = rows(0, 10_000);
        let text = String::from_utf8(base.clone()).unwrap();
        let raw = text.replace('\n', ",x\n");
        assert!(stored(raw.as_bytes(), &base) < 10_000 / 4);
    }

    #[test]
    fn edited_fields_cost_a_few_bytes_each() {
        let base = rows(0, 10_000);
        let mut raw = base.clone();
        for at in (5_000..base.len() - 100).step_by(10_000) {
            raw.splice(at..at + 3, *b"73.5");
        }
        assert!(stored(&raw, &base) < base.len() / 10_000 * 12 + 40);
    }

    #[test]
    fn unrelated_bytes_are_given_up_early() {
        assert!(encode(&noise(1, 1 << 20), &noise(2, 1 << 20), 1 << 20, 1).is_none());
        assert!(encode(&rows(0, 9000), &rows(20_000, 29_000), 1 << 20, 1).is_none());
        assert!(encode(&noise(1, 5000), &noise(2, 5000), 4999, 1).is_none());
    }

    #[test]
    fn the_next_block_goes_on_where_this_one_ends() {
        let base = rows(0, 20_000);
        let raw = [&base[..50_000], &rows(90_000, 90_500), &base[50_000..]].concat();
        let (mut at, mut total) = (0, 0);
        for piece in raw.chunks(200_000) {
            let diffed = encode(piece, &base[at..], piece.len(), 1).unwrap();
            at += diffed.base_end;
            total += diffed.stored.len();
        }
        assert_eq!(at, base.len());
        assert!(total < 30_000);
    }

    #[test]
    fn empty_and_tiny_inputs_come_back() {
        for raw in [&b""[..], b"a", b"1234567", b"12345678", b"123456789"] {
            for base in [&b""[..], b"a", b"12345678", b"0123456789"] {
                stored(raw, base);
            }
        }
    }

    #[test]
    fn the_bytes_of_a_small_difference_are_these() {
        let base = b"id,name\n1,one\n2,two\n3,three\n4,four\n";
        let raw = b"id,name\n1,one\n2,zwei\n3,three\n4,four\n5,five\n";
        let diffed = encode(raw, base, 100, 1).unwrap();
        let golden: &[u8] = b"\x04\x08\x08\x04\x00\x04\x04\x00\x06\x00\x16zwei5,five\n";
        assert_eq!(diffed.stored, golden, "{:x?}", diffed.stored);
        assert_eq!(decoded(golden, base, raw.len()).unwrap(), raw);
    }

    #[test]
    fn damage_is_refused_or_decodes_to_the_right_length() {
        let base = rows(0, 100);
        let text = String::from_utf8(base.clone()).unwrap();
        let raw = [&noise(1, 300), text.replace('\n', ",x\n").as_bytes()].concat();
        let stored = encode(&raw, &base, raw.len(), 1).unwrap().stored;
        for end in 0..stored.len() {
            assert!(decoded(&stored[..end], &base, raw.len()).is_err(), "{end}");
        }
        assert!(decoded(&[&stored[..], b"x"].concat(), &base, raw.len()).is_err());
        for at in 0..stored.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bad = stored.clone();
                bad[at] ^= flip;
                if let Ok(out) = decoded(&bad, &base, raw.len()) {
                    assert_eq!(out.len(), raw.len());
                }
            }
        }
        for lie in [0, raw.len() - 1, raw.len() + 1] {
            assert!(decoded(&stored, &base, lie).is_err());
        }
        assert!(decoded(&stored, &base[..base.len() - 10], raw.len()).is_err());
    }

    #[test]
    fn numbers_have_one_form_and_jumps_stay_inside() {
        let base = [7; 600];
        // copy 253 + 8 in two bytes, gap 0, jump 0
        assert!(decoded(b"\x02\xfd\x02\x00\x02\x00\x04\xfd\x00\x00", &base, 261).is_ok());
        assert!(decoded(b"\x02\xfd\x02\x00\x02\x00\x04\xfc\x00\x00", &base, 260).is_err());
        assert!(decoded(b"\x02\xff\x02\x00\x02\x00\x00\x00", &base, 263).is_err());
        for jump in [b'\x01', b'\x03'] {
            assert!(decoded(&[2, 0, 2, 0, 2, jump, 0, 0], &base, 8).is_err());
        }
        assert!(decoded(b"\x02\x00\x02\x00\x02\x02\x00\x00", &base, 8).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn whatever_is_edited_comes_back(
            text in any::<bool>(),
            seed in any::<u64>(),
            edits in prop::collection::vec(
                (any::<prop::sample::Index>(), 0usize..300, prop::collection::vec(any::<u8>(), 0..300)),
                0..30,
            ),
        ) {
            let base = if text { rows(0, 400) } else { noise(seed, 20_000) };
            let mut raw = base.clone();
            for (at, removed, added) in edits {
                let at = at.index(raw.len() + 1);
                let end = raw.len().min(at + removed);
                raw.splice(at..end, added);
            }
            stored(&raw, &base);
        }

        #[test]
        fn unrelated_and_repetitive_bytes_come_back(
            raw in prop::collection::vec(0u8..3, 0..2000),
            base in prop::collection::vec(0u8..3, 0..2000),
        ) {
            if let Some(diffed) = encode(&raw, &base, raw.len(), 1) {
                prop_assert!(diffed.base_end <= base.len());
                prop_assert_eq!(decoded(&diffed.stored, &base, raw.len()).unwrap(), raw);
            }
        }

        #[test]
        fn any_bytes_decode_or_are_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..60), len in 0usize..200,
        ) {
            if let Ok(out) = decoded(&bytes, &[1; 100], len) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
