//! How a block's bytes are stored: chosen when written, free to change at repack.
//!
//! Raw and zstd hold bytes; a list names the objects whose bytes follow one another. The others know
//! what the bytes mean: numbers with an exponent, or what they differ from (`docs/FORMAT.md`, section 5).

mod bits;
pub(crate) mod cast;
pub(crate) mod columns;
pub(crate) mod delta;
pub(crate) mod diff;
mod element;
mod entropy;
pub(crate) mod float;
mod lanes;
mod number;
#[cfg(test)]
mod samples;
mod scale;
mod streams;
mod token;

use std::cell::RefCell;
use std::fmt;

use zstd::zstd_safe::CParameter;

use crate::error::{Error, Result};

pub use element::Element;

/// The form in which a block is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// The bytes themselves.
    Raw,
    /// One zstd frame.
    Zstd,
    /// The ids and lengths of other objects, whose bytes in order are this object.
    List,
    /// Delimited text, regrouped column by column.
    Columns,
    /// Numbers whose exponents and mantissas are stored apart.
    Float,
    /// Numbers as differences to those of other objects.
    Delta,
    /// Numbers that are a narrower form of those of other objects.
    Cast,
    /// Copies from other objects and insertions between them.
    Diff,
}

impl Encoding {
    /// All of them, by number.
    pub const ALL: [Encoding; 8] = [
        Encoding::Raw,
        Encoding::Zstd,
        Encoding::List,
        Encoding::Columns,
        Encoding::Float,
        Encoding::Delta,
        Encoding::Cast,
        Encoding::Diff,
    ];

    /// The number stored in packs.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The encoding of a stored number; none for one that a newer version wrote.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Encoding> {
        Encoding::ALL.get(usize::from(code)).copied()
    }

    /// Whether other objects are needed to decode it.
    #[must_use]
    pub fn has_bases(self) -> bool {
        matches!(self, Encoding::Delta | Encoding::Cast | Encoding::Diff)
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::Raw => "raw",
            Encoding::Zstd => "zstd",
            Encoding::List => "list",
            Encoding::Columns => "columns",
            Encoding::Float => "float",
            Encoding::Delta => "delta",
            Encoding::Cast => "cast",
            Encoding::Diff => "diff",
        })
    }
}

impl Element {
    /// Whether numbers are those of a wider type, rounded as machine learning libraries do.
    #[must_use]
    pub fn is_rounded(self, bytes: &[u8], wide: Element, wide_bytes: &[u8]) -> bool {
        cast::encode(self, bytes, wide, wide_bytes).is_some()
    }
}

/// Decodes a block into exactly `raw_len` bytes. `base` are the bytes of the block's bases, one after
/// the other; empty for encodings without.
pub(crate) fn decode(
    encoding: Encoding,
    stored: &[u8],
    base: &[u8],
    raw_len: usize,
) -> std::result::Result<Vec<u8>, String> {
    let mut raw = Vec::new();
    match encoding {
        Encoding::Raw | Encoding::List => raw.extend_from_slice(stored),
        Encoding::Zstd => decompress(stored, raw_len, &mut raw)?,
        Encoding::Columns => columns::decode(stored, raw_len, &mut raw)?,
        Encoding::Float => float::decode(stored, raw_len, &mut raw)?,
        Encoding::Delta | Encoding::Cast | Encoding::Diff => {
            let (base, stored) = aligned(stored, base)?;
            match encoding {
                Encoding::Delta => delta::decode(stored, base, raw_len, &mut raw)?,
                Encoding::Cast => cast::decode(stored, base, raw_len, &mut raw)?,
                _ => diff::decode(stored, base, raw_len, &mut raw)?,
            }
        }
    }
    if encoding != Encoding::List && raw.len() != raw_len {
        return Err(format!("decodes to {} bytes, recorded are {raw_len}", raw.len()));
    }
    Ok(raw)
}

/// Bytes before what a codec with a base stores: where in the bases it begins.
pub(crate) const START_LEN: usize = 4;

/// Splits off where in the bases a block's counterpart begins.
fn aligned<'a>(
    stored: &'a [u8],
    base: &'a [u8],
) -> std::result::Result<(&'a [u8], &'a [u8]), String> {
    let (start, rest) = stored.split_first_chunk().ok_or("it ends before its start")?;
    let start = usize::try_from(u32::from_le_bytes(*start)).unwrap_or(usize::MAX);
    let base = base.get(start..).ok_or("it begins behind its bases")?;
    Ok((base, rest))
}

/// Bytes looked at before compression is tried.
const SAMPLE: usize = 4096;
/// Bits a byte beyond which a sample counts as noise.
const NOISE_BITS: f64 = 7.85;
/// Bits a byte beyond which bytes are no text: what repeats there is a number of four bytes and more.
const DENSE_BITS: f64 = 6.5;
/// Levels that by themselves look for longer repetitions only.
const QUICK_LEVELS: i32 = 2;

/// Compresses a block if that pays; none means that it is stored raw.
pub(crate) fn compress(bytes: &[u8], level: i32) -> Result<Option<Vec<u8>>> {
    if looks_like_noise(bytes) { Ok(None) } else { compress_any(bytes, level) }
}

/// The same without a look at how evenly bytes occur, for what may repeat itself all the same.
pub(crate) fn compress_any(bytes: &[u8], level: i32) -> Result<Option<Vec<u8>>> {
    if bytes.len() < 32 {
        return Ok(None);
    }
    let short = level <= QUICK_LEVELS && sampled_bits(bytes) > DENSE_BITS;
    type Kept = Option<(i32, bool, zstd::bulk::Compressor<'static>)>;
    thread_local! {
        static CONTEXT: RefCell<Kept> = const { RefCell::new(None) };
    }
    let packed = CONTEXT.with_borrow_mut(|slot| {
        let kept = slot.take().filter(|(l, s, _)| (*l, *s) == (level, short));
        let mut compressor = match kept {
            Some((.., compressor)) => compressor,
            None => {
                let mut new = zstd::bulk::Compressor::new(level)?;
                if short {
                    new.set_parameter(CParameter::MinMatch(4))?;
                }
                new
            }
        };
        let packed = compressor.compress(bytes);
        *slot = Some((level, short, compressor));
        packed
    });
    let packed =
        packed.map_err(|e| Error::Invalid { what: "block", detail: format!("zstd: {e}") })?;
    // What saves less than a twentieth is not worth its decoding: reading raw is several times as fast.
    Ok((packed.len() <= bytes.len() / 20 * 19).then_some(packed))
}

/// Whether bytes occur so evenly that nothing is to be gained: 4 KiB cost about 2 µs.
fn looks_like_noise(bytes: &[u8]) -> bool {
    // 4096 samples of pure noise measure about 7.95 bits, not 8.
    bytes.len() >= 4 * SAMPLE && sampled_bits(bytes) > NOISE_BITS
}

/// Estimates the order-0 entropy, in bits a byte, from a sample spread over the block.
fn sampled_bits(bytes: &[u8]) -> f64 {
    if bytes.len() < 4 * SAMPLE {
        return 0.0;
    }
    let mut counts = [0u32; 256];
    let pieces = 16;
    let stride = (bytes.len() - SAMPLE / pieces) / (pieces - 1);
    for piece in 0..pieces {
        let at = piece * stride;
        for &byte in &bytes[at..at + SAMPLE / pieces] {
            counts[usize::from(byte)] += 1;
        }
    }
    let total = f64::from(u32::try_from(SAMPLE).unwrap_or(u32::MAX));
    counts
        .iter()
        .filter(|&&n| n > 0)
        .map(|&n| {
            let share = f64::from(n) / total;
            -share * share.log2()
        })
        .sum()
}

/// Decodes one zstd frame into exactly `raw_len` bytes.
///
/// Strict, because stored bytes are hostile: one frame, nothing after it, no dictionary, no
/// skippable or legacy frame, a declared size equal to `raw_len`; memory is `raw_len` and the window.
pub(crate) fn decompress(
    packed: &[u8],
    raw_len: usize,
    into: &mut Vec<u8>,
) -> std::result::Result<(), String> {
    check_frame(packed, raw_len)?;
    thread_local! {
        static CONTEXT: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let start = into.len();
    into.resize(start + raw_len, 0);
    let outcome = CONTEXT.with_borrow_mut(|slot| {
        let mut decompressor = match slot.take() {
            Some(kept) => kept,
            None => zstd::bulk::Decompressor::new()?,
        };
        let outcome = decompressor.decompress_to_buffer(packed, &mut into[start..]);
        *slot = Some(decompressor);
        outcome
    });
    match outcome {
        Ok(n) if n == raw_len => Ok(()),
        Ok(n) => Err(format!("decodes to {n} bytes, recorded are {raw_len}")),
        Err(e) => Err(format!("zstd: {e}")),
    }
}

/// Reads a frame header (RFC 8878, section 3.1.1.1) and refuses all but the form that we write.
fn check_frame(packed: &[u8], raw_len: usize) -> std::result::Result<(), String> {
    if packed.get(..4) != Some(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err("not a zstd frame".into());
    }
    let descriptor = *packed.get(4).ok_or("zstd frame ends in its header")?;
    if descriptor & 0b11 != 0 {
        return Err("zstd frame wants a dictionary".into());
    }
    if zstd::zstd_safe::find_frame_compressed_size(packed).ok() != Some(packed.len()) {
        return Err("zstd frame does not end with the block".into());
    }
    match zstd::zstd_safe::get_frame_content_size(packed) {
        Ok(Some(size)) if size == raw_len as u64 => Ok(()),
        Ok(Some(size)) => Err(format!("zstd frame declares {size} bytes, recorded are {raw_len}")),
        _ => Err("zstd frame declares no size".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        compress(bytes, 3).unwrap().unwrap()
    }

    fn unpacked(packed: &[u8], len: usize) -> std::result::Result<Vec<u8>, String> {
        let mut out = Vec::new();
        decompress(packed, len, &mut out).map(|()| out)
    }

    #[test]
    fn what_was_packed_comes_back() {
        let text = b"weights and biases ".repeat(1000);
        assert_eq!(unpacked(&packed(&text), text.len()).unwrap(), text);
    }

    #[test]
    fn noise_is_left_alone() {
        let mut noise = vec![0; 1 << 16];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert!(compress(&noise, 1).unwrap().is_none());
        assert!(looks_like_noise(&noise));
    }

    #[test]
    fn a_declared_size_that_lies_is_refused() {
        let frame = packed(&[0; 100_000]);
        for lie in [0, 1, 99_999, 100_001, 1 << 30] {
            assert!(unpacked(&frame, lie).is_err(), "{lie}");
        }
    }

    #[test]
    fn two_frames_or_trailing_bytes_are_refused() {
        let frame = packed(&[0; 1000]);
        let twice = [&frame[..], &frame[..]].concat();
        assert!(unpacked(&twice, 2000).is_err());
        assert!(unpacked(&twice, 1000).is_err());
        assert!(unpacked(&[&frame[..], b"x"].concat(), 1000).is_err());
    }

    #[test]
    fn skippable_legacy_and_dictionary_frames_are_refused() {
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0];
        assert!(unpacked(&skippable, 1).is_err());
        let legacy = [0x24, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0];
        assert!(unpacked(&legacy, 1).is_err());
        let mut frame = packed(&[0; 1000]);
        frame[4] |= 1;
        assert!(unpacked(&frame, 1000).is_err());
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused() {
        let frame = packed(b"abcabcabcabcabcabcabcabcabcabcabcabcabcabcabc");
        for end in 0..frame.len() {
            assert!(unpacked(&frame[..end], 45).is_err(), "{end}");
        }
    }
}
