//! Reading a local pack: the index is mapped, blocks are read with positional reads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::index::Trailer;
use super::{Block, HEADER_LEN, HEADER_MAGIC, PackId, PackIndex, TRAILER_LEN, VERSION};
use crate::codec::{self, Encoding};
use crate::error::{Error, IoContext, Result};
use crate::fs;

/// An opened pack. Holds a mapping, no open file.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) id: PackId,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) index: PackIndex<Mmap>,
}

impl Pack {
    /// Opens the pack of that id below `root` and checks the shape of its index.
    pub(crate) fn open(root: &Path, id: PackId) -> Result<Pack> {
        let path = root.join(id.file_name());
        let file = open_file(&path, id)?;
        let bytes = file.metadata().at("stat", &path)?.len();
        let name = id.to_string();
        let trailer_at = bytes
            .checked_sub(TRAILER_LEN)
            .filter(|&at| at >= HEADER_LEN)
            .ok_or_else(|| Error::corrupt("pack", &name, format!("it has only {bytes} bytes")))?;
        let mut trailer = [0; 64];
        fs::read_at(&file, &path, &mut trailer, trailer_at)?;
        let trailer = Trailer::parse(&trailer, bytes, &name)?;
        let len = usize::try_from(bytes - trailer.footer_offset)
            .map_err(|_| Error::corrupt("pack", &name, "its index is too large"))?;
        let map = fs::map_range(&file, &path, trailer.footer_offset, len)?;
        let index = PackIndex::open(map, trailer, name)?;
        Ok(Pack { id, path, bytes, index })
    }

    /// Checks the header, which nothing but fsck and an arriving pack needs.
    pub(crate) fn verify_header(&self, file: &File) -> Result<()> {
        let mut header = [0; 24];
        fs::read_at(file, &self.path, &mut header, 0)?;
        let version = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if header[..4] != HEADER_MAGIC {
            return Err(Error::corrupt("pack", self.id, "it does not begin with a header"));
        }
        if version != VERSION {
            return Err(Error::Unsupported {
                what: format!("pack version {version}"),
                name: format!("pack {}", self.id),
            });
        }
        Ok(())
    }

    /// Reads a block's stored bytes.
    pub(crate) fn stored(&self, file: &File, block: &Block) -> Result<Vec<u8>> {
        let mut bytes = vec![0; block.stored_len as usize];
        match fs::read_at(file, &self.path, &mut bytes, block.offset) {
            Ok(()) => Ok(bytes),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(Error::corrupt("pack", self.id, "it ends inside a block"))
            }
            Err(e) => Err(e),
        }
    }

    /// Reads and decodes a block; of a list block, the list itself.
    pub(crate) fn decoded(&self, file: &File, block: &Block) -> Result<Vec<u8>> {
        let stored = self.stored(file, block)?;
        match block.encoding {
            Encoding::Raw | Encoding::List => Ok(stored),
            Encoding::Zstd => {
                let mut raw = Vec::new();
                // `block.raw_len` was bounded when the record was read.
                let raw_len = usize::try_from(block.raw_len)
                    .map_err(|_| Error::corrupt("pack", self.id, "a block is too large"))?;
                codec::decompress(&stored, raw_len, &mut raw).map_err(|detail| {
                    Error::corrupt("pack", self.id, format!("block at {}: {detail}", block.offset))
                })?;
                Ok(raw)
            }
        }
    }

    pub(crate) fn open_file(&self) -> Result<Arc<File>> {
        open_file(&self.path, self.id).map(Arc::new)
    }
}

/// A pack that the snapshot lists and that is not there was replaced by another process, or lost;
/// reading the state again tells which.
fn open_file(path: &Path, id: PackId) -> Result<File> {
    match fs::open_regular(path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::Stale { name: id.to_string() })
        }
        other => other,
    }
}
