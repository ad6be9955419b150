//! A pack under a new name: the same blocks and index behind a header with another nonce.
//!
//! The deletion protocol needs names that are never used twice (`docs/CONCURRENCY.md`), so a pack
//! that goes to a remote or comes from one is not copied as it is. Only the 16 bytes of the nonce
//! differ. BLAKE3 is a tree, so the old name is checked and the new one found in one pass: of the
//! pieces that the file is hashed in, all but the first are the same for both.
//!
//! The tree's rules are in section 2.1 of the BLAKE3 paper: a file of several pieces of 2^n bytes
//! has, above the pieces, a left subtree with the largest power of two of them that is less than
//! all.

use std::sync::OnceLock;

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use rayon::prelude::*;

use super::{HEADER_LEN, HEADER_MAGIC, PackId, VERSION};
use crate::error::{Error, Result};
use crate::hash::{Hash, Nonce};
use crate::progress::Task;
use crate::transport::Source;

/// Bytes of one piece: a power of two.
pub(crate) const PIECE: u64 = 4 << 20;
const HEADER: usize = 24;

/// The pieces of one file, hashed in any order by any thread, under two headers.
pub(crate) struct PieceHashes {
    len: u64,
    header: [u8; HEADER],
    /// Of each piece: under the file's own header, and under the new one.
    values: Vec<OnceLock<(ChainingValue, ChainingValue)>>,
    /// Of a file that is one piece, the hashes themselves.
    only: OnceLock<(Hash, Hash)>,
}

impl PieceHashes {
    /// For a file of `len` bytes that is to begin with `header`.
    pub(crate) fn new(len: u64, header: [u8; HEADER]) -> PieceHashes {
        let pieces = usize::try_from(len.div_ceil(PIECE)).unwrap_or(0);
        let values = std::iter::repeat_with(OnceLock::new).take(pieces).collect();
        PieceHashes { len, header, values, only: OnceLock::new() }
    }

    /// How many pieces there are.
    pub(crate) fn pieces(&self) -> u64 {
        self.values.len() as u64
    }

    /// Where a piece lies in the file.
    pub(crate) fn range(&self, piece: u64) -> (u64, usize) {
        let start = piece * PIECE;
        (start, usize::try_from(PIECE.min(self.len.saturating_sub(start))).unwrap_or(0))
    }

    /// The first and the last piece that a range of bytes lies in; an empty range lies in one.
    pub(crate) fn touched(&self, start: u64, len: u64) -> (u64, u64) {
        let last = start.saturating_add(len.max(1) - 1);
        (start / PIECE, last / PIECE)
    }

    /// Takes the bytes of a piece as the file has them, and puts the new header into the first.
    pub(crate) fn take(&self, piece: u64, bytes: &mut [u8]) {
        let value = |bytes: &[u8]| {
            blake3::Hasher::new().set_input_offset(piece * PIECE).update(bytes).finalize_non_root()
        };
        let mut old = None;
        if piece == 0 {
            old = Some(bytes.to_vec());
            let header = HEADER.min(bytes.len());
            bytes[..header].copy_from_slice(&self.header[..header]);
        }
        if self.values.len() == 1 {
            let before = old.as_deref().unwrap_or(bytes);
            let hashes = (Hash(blake3::hash(before).into()), Hash(blake3::hash(bytes).into()));
            self.only.get_or_init(|| hashes);
        } else if let Some(slot) = usize::try_from(piece).ok().and_then(|n| self.values.get(n)) {
            let new = value(bytes);
            slot.get_or_init(|| (old.as_deref().map_or(new, value), new));
        }
    }

    /// The hash of the file as it was, and as it is with the new header; none before every piece
    /// was taken.
    pub(crate) fn finish(&self) -> Option<(Hash, Hash)> {
        if self.values.len() <= 1 {
            return self.only.get().copied();
        }
        let values: Vec<_> =
            self.values.iter().map(|v| v.get().copied()).collect::<Option<Vec<_>>>()?;
        let (old, new): (Vec<_>, Vec<_>) = values.into_iter().unzip();
        Some((root(&old), root(&new)))
    }
}

/// The hash of a file of at least two pieces.
fn root(values: &[ChainingValue]) -> Hash {
    let (left, right) = values.split_at(left_of(values.len()));
    Hash(merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).into())
}

fn subtree(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [one] => *one,
        _ => {
            let (left, right) = values.split_at(left_of(values.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// The largest power of two below `count`, which is at least 2.
fn left_of(count: usize) -> usize {
    count.div_ceil(2).next_power_of_two()
}

/// The header of a pack with this nonce.
pub(crate) fn header(nonce: &Nonce) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&HEADER_MAGIC);
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header[8..].copy_from_slice(nonce);
    header
}

/// Refuses a header that no pack of this version has.
pub(crate) fn check_header(bytes: &[u8], id: PackId) -> Result<()> {
    let Some(header) = bytes.get(..HEADER) else {
        return Err(Error::corrupt("pack", id, "it ends in its header"));
    };
    let version = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    if header[..4] != HEADER_MAGIC {
        return Err(Error::corrupt("pack", id, "it does not begin with a header"));
    }
    if version != VERSION {
        return Err(Error::Unsupported {
            what: format!("pack version {version}"),
            name: format!("pack {id}"),
        });
    }
    Ok(())
}

/// A pack as it will be under its new name.
pub(crate) struct PackCopy<'a> {
    source: &'a dyn Source,
    header: [u8; HEADER],
    /// The new name.
    pub(crate) id: PackId,
}

impl<'a> PackCopy<'a> {
    /// Reads the pack once, on all cores, and compares it with its name.
    ///
    /// # Errors
    /// `Corrupt` when its bytes do not match the name, `Unsupported`, `Cancelled`, `Io`.
    pub(crate) fn new(
        source: &'a dyn Source,
        id: PackId,
        nonce: &Nonce,
        task: &Task,
    ) -> Result<PackCopy<'a>> {
        let header = header(nonce);
        let hashes = PieceHashes::new(source.len(), header);
        (0..hashes.pieces()).into_par_iter().try_for_each_init(Vec::new, |buffer, piece| {
            task.check()?;
            let (start, len) = hashes.range(piece);
            buffer.resize(len, 0);
            source.read_at(buffer, start)?;
            if piece == 0 {
                check_header(buffer, id)?;
            }
            hashes.take(piece, buffer);
            Ok(())
        })?;
        match hashes.finish() {
            Some((old, new)) if old == id.0 => Ok(PackCopy { source, header, id: PackId(new) }),
            _ => Err(Error::corrupt("pack", id, "its bytes do not match its name")),
        }
    }
}

impl Source for PackCopy<'_> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.source.read_at(buffer, offset)?;
        let from = usize::try_from(offset.min(HEADER_LEN)).unwrap_or(HEADER);
        for (byte, header) in buffer.iter_mut().zip(&self.header[from..]) {
            *byte = *header;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Source for Bytes {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
            let start = usize::try_from(offset).unwrap();
            buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
            Ok(())
        }
    }

    #[test]
    fn the_copy_of_a_pack_of_any_length_has_the_name_that_its_bytes_hash_to() {
        let piece = usize::try_from(PIECE).unwrap();
        for len in [100, piece, piece + 1, 2 * piece, 3 * piece - 5, 5 * piece + 1, 8 * piece] {
            let mut bytes = vec![7; len];
            blake3::Hasher::new().finalize_xof().fill(&mut bytes);
            bytes[..HEADER].copy_from_slice(&header(&[1; 16]));
            let id = PackId(Hash(blake3::hash(&bytes).into()));
            let task = crate::Progress::new().task("test", crate::Unit::Bytes);
            let source = Bytes(bytes);
            let copy = PackCopy::new(&source, id, &[2; 16], &task).unwrap();
            let mut copied = vec![0; len];
            copy.read_at(&mut copied, 0).unwrap();
            assert_eq!(copied[..HEADER], header(&[2; 16]));
            assert_eq!(copied[HEADER..], source.0[HEADER..]);
            assert_eq!(copy.id.0, Hash(blake3::hash(&copied).into()), "{len}");
            let mut part = vec![0; 30];
            copy.read_at(&mut part, 10).unwrap();
            assert_eq!(part, copied[10..40]);
            assert!(PackCopy::new(&source, PackId(Hash::ZERO), &[2; 16], &task).is_err());
        }
    }
}
