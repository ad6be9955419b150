//! Byte streams inside a block: numbers and pieces of bytes, each raw or one zstd frame.
//!
//! ```text
//! varint    LEB128: seven bits a byte, lowest first, the high bit set on all but the last byte;
//!           at most 10 bytes, below 2^64, and no last byte 0 but in the number 0 itself
//! stream    head varint     2 x size, or 2 x size + 1 when packed; size counts the decoded bytes
//!           packed varint   only when packed: the length of the frame
//!           bytes           the bytes themselves, or one zstd frame that declares `size`
//! ```

use std::borrow::Cow;
use std::cell::RefCell;

use zstd::zstd_safe::CParameter;

/// Bytes below which no frame is tried: its header alone takes nine.
const TOO_SHORT: usize = 16;

/// Appends a varint.
pub(super) fn put_varint(into: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        into.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    into.push(n.to_le_bytes()[0]);
}

/// Takes a varint off the front.
pub(super) fn take_varint(from: &mut &[u8]) -> Result<u64, String> {
    let mut n = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(from)?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && byte > 1 {
            return Err("number is too large".into());
        }
        n |= bits << shift;
        if byte < 0x80 {
            if byte == 0 && shift > 0 {
                return Err("number is longer than it needs to be".into());
            }
            return Ok(n);
        }
    }
    Err("number is too long".into())
}

/// Takes a varint that is a length or a count of at most `most`.
pub(super) fn take_length(from: &mut &[u8], most: usize) -> Result<usize, String> {
    let n = take_varint(from)?;
    let length = usize::try_from(n).ok().filter(|&length| length <= most);
    length.ok_or_else(|| format!("{n} where at most {most} can be"))
}

/// Takes one byte off the front.
pub(super) fn take_byte(from: &mut &[u8]) -> Result<u8, String> {
    let (&byte, rest) = from.split_first().ok_or("block is cut off")?;
    *from = rest;
    Ok(byte)
}

/// Maps numbers near zero to small ones: 0, -1, 1, -2 … become 0, 1, 2, 3 …
pub(super) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)).cast_unsigned()
}

/// The number of a zigzag.
pub(super) fn unzigzag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

/// Takes `n` bytes off the front.
pub(super) fn take_bytes<'a>(from: &mut &'a [u8], n: usize) -> Result<&'a [u8], String> {
    let (taken, rest) = from.split_at_checked(n).ok_or("block is cut off")?;
    *from = rest;
    Ok(taken)
}

/// Appends a stream, packed if that is smaller.
///
/// Streams of one-byte symbols rarely repeat, and the short matches that zstd likes cost more there
/// than its entropy coder alone; so matches of seven bytes and more are tried too when `symbols`.
pub(super) fn put(into: &mut Vec<u8>, bytes: &[u8], level: i32, symbols: bool) {
    let size = bytes.len() as u64;
    let mut best: Option<Vec<u8>> = None;
    if bytes.len() >= TOO_SHORT && !super::looks_like_noise(bytes) {
        for long in [false, true] {
            if long && !symbols {
                continue;
            }
            let limit = best.as_ref().map_or(bytes.len(), Vec::len);
            best = frame(bytes, level, long).filter(|f| f.len() < limit).or(best);
        }
    }
    match best {
        Some(frame) if frame.len() + 2 < bytes.len() => {
            put_varint(into, size * 2 + 1);
            put_varint(into, frame.len() as u64);
            into.extend_from_slice(&frame);
        }
        _ => {
            put_varint(into, size * 2);
            into.extend_from_slice(bytes);
        }
    }
}

/// Compresses into one zstd frame; none when zstd fails, which costs size only.
fn frame(bytes: &[u8], level: i32, long: bool) -> Option<Vec<u8>> {
    type Kept = Option<(i32, zstd::bulk::Compressor<'static>)>;
    thread_local! {
        static CONTEXTS: RefCell<[Kept; 2]> = const { RefCell::new([None, None]) };
    }
    CONTEXTS.with_borrow_mut(|slots| {
        let slot = slots.get_mut(usize::from(long))?;
        let mut compressor = match slot.take().filter(|(l, _)| *l == level) {
            Some((_, compressor)) => compressor,
            None => {
                // The fast search of level 1 suits long matches whatever the level.
                let mut new = zstd::bulk::Compressor::new(if long { 1 } else { level }).ok()?;
                if long {
                    new.set_parameter(CParameter::MinMatch(7)).ok()?;
                }
                new
            }
        };
        let packed = compressor.compress(bytes).ok();
        *slot = Some((level, compressor));
        packed
    })
}

/// Takes a stream of at most `most` decoded bytes off the front.
pub(super) fn take<'a>(from: &mut &'a [u8], most: usize) -> Result<Cow<'a, [u8]>, String> {
    let head = take_varint(from)?;
    let size = usize::try_from(head >> 1).map_err(|_| "stream is too large")?;
    if size > most {
        return Err(format!("stream of {size} bytes where at most {most} can be"));
    }
    if head & 1 == 0 {
        return take_bytes(from, size).map(Cow::Borrowed);
    }
    let packed = take_length(from, from.len())?;
    let packed = take_bytes(from, packed)?;
    let mut bytes = Vec::new();
    super::decompress(packed, size, &mut bytes)?;
    Ok(Cow::Owned(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_comes_back_and_has_one_form() {
        for n in [0, 1, 127, 128, 300, 16_383, 16_384, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, n);
            assert_eq!(take_varint(&mut &bytes[..]), Ok(n));
            for end in 0..bytes.len() {
                assert!(take_varint(&mut &bytes[..end]).is_err());
            }
        }
        for bad in [&[0x80, 0][..], &[0xff; 10], &[0x80; 11]] {
            assert!(take_varint(&mut &bad[..]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_stream_comes_back_and_its_size_is_limited() {
        for bytes in [&b""[..], b"short", &[7; 5000], &b"0123456789".repeat(40)] {
            for symbols in [false, true] {
                let mut stored = Vec::new();
                put(&mut stored, bytes, 3, symbols);
                let mut from = &stored[..];
                assert_eq!(take(&mut from, bytes.len()).unwrap(), bytes);
                assert!(from.is_empty());
                assert!(bytes.is_empty() || take(&mut &stored[..], bytes.len() - 1).is_err());
            }
        }
    }
}
