//! How the stat cache lies on disk: compressed by columns, about half its size in memory.
//!
//! ```text
//! magic "MVsz" | version u32 = 1 | length in memory u64 | runs u64 | records u64 | frame length u64
//! the first 8 bytes of the BLAKE3 of all before
//! zstd frame:  runs x { bytes before it u32, records in it u32 }
//!              the first 40 bytes of all records, byte column by byte column
//!              all bytes that are in no record
//! ids of all records, 32 bytes each
//! BLAKE3 [32] of all before
//! ```
//!
//! Neighbouring files have sizes, times and inodes that differ in few bytes, which columns show to
//! the compressor; ids are noise and stay as they are. The cache itself ends
//! in a check sum of its own, which covers the same in the other form.

use std::ops::Range;

use mv_store::{Kind, id_of};

use super::stat_cache::RECORD;

const MAGIC: &[u8; 4] = b"MVsz";
const VERSION: u32 = 1;
const HEADER: usize = 48;
/// The bytes of it that its own check sum covers.
const CHECKED: usize = 40;
/// The bytes of a record before its id.
const HEAD: usize = RECORD - 32;

/// The form for the disk. `runs` are the places of records in the cache, in order; none if they
/// are not.
pub(super) fn pack(cache: &[u8], runs: impl Iterator<Item = Range<usize>>) -> Option<Vec<u8>> {
    let (mut table, mut plain, mut records) = (Vec::new(), Vec::new(), Vec::new());
    let mut at = 0;
    for run in runs {
        let before = cache.get(at..run.start)?;
        let within = cache.get(run.clone())?;
        for number in [before.len(), within.len() / RECORD] {
            table.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
        }
        plain.extend_from_slice(before);
        records.extend(within.chunks_exact(RECORD));
        at = run.end;
    }
    plain.extend_from_slice(cache.get(at..)?);
    let runs = table.len() / 8;
    let mut rest = table;
    rest.reserve(records.len() * HEAD + plain.len());
    for column in 0..HEAD {
        rest.extend(records.iter().map(|record| record[column]));
    }
    rest.extend_from_slice(&plain);
    let frame = zstd::bulk::compress(&rest, 1).ok()?;
    let mut packed = Vec::with_capacity(HEADER + frame.len() + records.len() * 32);
    packed.extend_from_slice(MAGIC);
    packed.extend_from_slice(&VERSION.to_le_bytes());
    for number in [cache.len(), runs, records.len(), frame.len()] {
        packed.extend_from_slice(&(number as u64).to_le_bytes());
    }
    let check = id_of(Kind::Blob, &packed);
    packed.extend_from_slice(&check.as_bytes()[..HEADER - CHECKED]);
    packed.extend_from_slice(&frame);
    records.iter().for_each(|record| packed.extend_from_slice(&record[HEAD..]));
    let check = id_of(Kind::Blob, &packed);
    packed.extend_from_slice(check.as_bytes());
    Some(packed)
}

/// Whether a file ends before what its header announces, or is all zeros: what a power cut leaves of
/// a file that was not synced.
pub(super) fn is_cut_off(packed: &[u8]) -> bool {
    let Some((header, _)) = packed.split_at_checked(HEADER) else { return true };
    if packed.iter().all(|byte| *byte == 0) {
        return true;
    }
    let (fields, check) = header.split_at(CHECKED);
    if id_of(Kind::Blob, fields).as_bytes()[..check.len()] != *check {
        return false;
    }
    let number = |at: usize| {
        let bytes = fields.get(at..at + 8).and_then(|b| b.try_into().ok()).unwrap_or([0; 8]);
        u64::from_le_bytes(bytes)
    };
    let body = number(24).saturating_mul(32).saturating_add(number(32));
    let announced = body.saturating_add(HEADER as u64 + 32);
    (packed.len() as u64) < announced
}

/// The form in memory, of at most `most` bytes; none if the bytes are damaged.
pub(super) fn unpack(packed: &[u8], most: u64) -> Option<Vec<u8>> {
    let (packed, check) = packed.split_at_checked(packed.len().checked_sub(32)?)?;
    if id_of(Kind::Blob, packed).as_bytes()[..] != *check {
        return None;
    }
    let (header, body) = packed.split_at_checked(HEADER)?;
    if header[..4] != *MAGIC || header[4..8] != VERSION.to_le_bytes() {
        return None;
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(bytes)).ok()
    };
    let (total, runs, count, frame_len) = (number(8)?, number(16)?, number(24)?, number(32)?);
    let (frame, ids) = body.split_at_checked(frame_len)?;
    if total as u64 > most || ids.len() != count.checked_mul(32)? {
        return None;
    }
    let plain_len = total.checked_sub(count.checked_mul(RECORD)?)?;
    let rest_len = runs.checked_mul(8)?.checked_add(count * HEAD)?.checked_add(plain_len)?;
    // A frame never expands a thousandfold here, so a claim that it does is damage.
    if rest_len > frame.len().saturating_mul(1000).saturating_add(1 << 20) {
        return None;
    }
    let rest =
        zstd::bulk::decompress(frame, rest_len).ok().filter(|rest| rest.len() == rest_len)?;
    let (table, rest) = rest.split_at_checked(runs * 8)?;
    let (columns, mut plain) = rest.split_at_checked(count * HEAD)?;
    let mut cache = vec![0; total];
    let (mut at, mut record) = (0, 0);
    for run in table.chunks_exact(8) {
        let (before, within) = run.split_at(4);
        let before = usize::try_from(u32::from_le_bytes(before.try_into().ok()?)).ok()?;
        let within = usize::try_from(u32::from_le_bytes(within.try_into().ok()?)).ok()?;
        let (bytes, after) = plain.split_at_checked(before)?;
        cache.get_mut(at..at + before)?.copy_from_slice(bytes);
        plain = after;
        at += before;
        let end = at.checked_add(within.checked_mul(RECORD)?)?;
        let ids = ids.get(record * 32..)?.chunks_exact(32);
        let slots = cache.get_mut(at..end)?.chunks_exact_mut(RECORD);
        for ((slot, id), number) in slots.zip(ids).zip(record..count) {
            for (column, byte) in slot[..HEAD].iter_mut().enumerate() {
                *byte = columns[column * count + number];
            }
            slot[HEAD..].copy_from_slice(id);
        }
        record += within;
        at = end;
    }
    cache.get_mut(at..)?.copy_from_slice(Some(plain).filter(|plain| plain.len() == total - at)?);
    Some(cache)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Vec<Range<usize>>) {
        let bytes: Vec<u8> = (0..1000u32).map(|n| u8::try_from(n * n % 251).unwrap()).collect();
        (bytes, vec![10..10 + 3 * RECORD, 300..300, 310..310 + 5 * RECORD])
    }

    #[test]
    fn a_cache_survives_the_round_trip() {
        let (bytes, runs) = sample();
        let packed = pack(&bytes, runs.into_iter()).unwrap();
        assert_eq!(unpack(&packed, 1000).unwrap(), bytes);
        assert!(unpack(&packed, 999).is_none());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (bytes, runs) = sample();
        let packed = pack(&bytes, runs.into_iter()).unwrap();
        for at in 0..packed.len() {
            for bit in 0..8 {
                let mut bad = packed.clone();
                bad[at] ^= 1 << bit;
                assert!(unpack(&bad, 1 << 20).is_none());
            }
            assert!(unpack(&packed[..at], 1 << 20).is_none());
            assert!(is_cut_off(&packed[..at]));
        }
    }
}
