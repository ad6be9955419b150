//! Doors to inner decoders, for fuzz targets only: whole packs reach them too rarely.

use crate::codec::{self, Element, Encoding, START_LEN};
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::list::List;

/// The zstd frame of a block; none when it is stored raw.
///
/// # Errors
/// `Invalid`.
pub fn compress(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    codec::compress(bytes, 1)
}

/// The bytes of a block that is stored as zstd.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decompress(packed: &[u8], raw_len: usize) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    codec::decompress(packed, raw_len, &mut bytes).map(|()| bytes)
}

/// What is known of a block that is to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct Form<'a> {
    /// How it is to be stored.
    pub encoding: Encoding,
    /// The numbers that it consists of.
    pub element: Element,
    /// Those of its bases.
    pub of: Element,
    /// The bytes of its bases.
    pub base: &'a [u8],
    /// Where its counterpart begins in them.
    pub start: u32,
}

/// The stored bytes of a block; none when the codec leaves it alone.
#[must_use]
pub fn encode(form: &Form<'_>, raw: &[u8]) -> Option<Vec<u8>> {
    let base = match form.encoding.has_bases() {
        true => form.base.get(usize::try_from(form.start).ok()?..)?,
        false => &[],
    };
    let stored = match form.encoding {
        Encoding::Raw | Encoding::List => return None,
        Encoding::Zstd => codec::compress(raw, 1).ok().flatten()?,
        Encoding::Columns => codec::columns::encode(raw, 3).ok().flatten()?,
        Encoding::Float => codec::float::encode(form.element, raw)?,
        Encoding::Delta => codec::delta::encode(form.element, raw, base)?,
        Encoding::Cast => codec::cast::encode(form.element, raw, form.of, base)?,
        Encoding::Diff => codec::diff::encode(raw, base, raw.len(), 3)?.stored,
    };
    if !form.encoding.has_bases() {
        return Some(stored);
    }
    let mut bytes = Vec::with_capacity(START_LEN + stored.len());
    bytes.extend_from_slice(&form.start.to_le_bytes());
    bytes.extend_from_slice(&stored);
    Some(bytes)
}

/// The bytes of a block that is stored in any way but as a list.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decode(
    encoding: Encoding,
    stored: &[u8],
    base: &[u8],
    raw_len: usize,
) -> std::result::Result<Vec<u8>, String> {
    codec::decode(encoding, stored, base, raw_len)
}

/// Decodes a chunk list and encodes it again; gives the sum of its lengths as well.
///
/// # Errors
/// `Corrupt`.
pub fn chunk_list(bytes: &[u8], total: Option<u64>) -> Result<(u64, Vec<u8>)> {
    let list = List::decode(bytes, total, &Hash::ZERO)?;
    let sum = list.items.iter().try_fold(0u64, |sum, item| sum.checked_add(item.len));
    let sum = sum.ok_or_else(|| Error::corrupt("list", Hash::ZERO, "its lengths overflow"))?;
    Ok((sum, list.encode()))
}
