//! Doors to inner decoders, for fuzz targets only: whole packs reach them too rarely.

use crate::codec;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::list::List;

/// The zstd frame of a block; none when it is stored raw.
///
/// # Errors
/// `Invalid`.
pub fn compress(bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    codec::compress(bytes, codec::CHUNK_LEVEL)
}

/// The bytes of a block that is stored as zstd.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decompress(packed: &[u8], raw_len: usize) -> std::result::Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    codec::decompress(packed, raw_len, &mut bytes).map(|()| bytes)
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
