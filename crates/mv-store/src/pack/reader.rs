//! Reading a pack: the index is mapped from a local file, blocks are read from where they lie.
//!
//! The index of a local pack is the end of its file. That of a remote pack is fetched once, checked
//! whole, since it may be hostile, and kept in a file of its own.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::index::Trailer;
use super::{Block, HEADER_LEN, PackId, PackIndex, TRAILER_LEN};
use crate::codec::{self, Encoding};
use crate::error::{Error, IoContext, Result};
use crate::fs::{self, TempFile};
use crate::hash::{Nonces, nonce_hex};
use crate::transport::{Source, Transport};

/// Bytes asked for at first when an index is fetched: enough for some thousand objects.
const INDEX_END: u64 = 128 << 10;
/// Bytes of a larger index that are fetched at once.
const INDEX_PIECE: u64 = 8 << 20;

/// Where packs lie.
#[derive(Clone)]
pub(crate) enum Home {
    /// Below a repository folder.
    Local(PathBuf),
    /// On a remote; indexes are kept below a local folder.
    Remote(Arc<RemoteHome>),
}

/// A remote's packs.
pub(crate) struct RemoteHome {
    pub(crate) transport: Arc<dyn Transport>,
    /// Holds `index/ab/<pack-id>`.
    pub(crate) folder: PathBuf,
    /// For names of temporary files.
    pub(crate) nonces: Nonces,
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Home::Local(root) => f.debug_tuple("Local").field(root).finish(),
            Home::Remote(remote) => f.debug_tuple("Remote").field(&remote.folder).finish(),
        }
    }
}

/// A pack's bytes, opened.
pub(crate) enum PackFile {
    /// A local file.
    Local {
        /// The file.
        file: File,
        /// For messages.
        path: PathBuf,
        /// Its length when it was opened.
        len: u64,
    },
    /// A remote object.
    Remote {
        /// Where it lies.
        transport: Arc<dyn Transport>,
        /// Its name there.
        name: String,
        /// Its length.
        len: u64,
    },
}

impl Source for PackFile {
    fn len(&self) -> u64 {
        match self {
            PackFile::Local { len, .. } | PackFile::Remote { len, .. } => *len,
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        match self {
            PackFile::Local { file, path, .. } => fs::read_at(file, path, buffer, offset),
            PackFile::Remote { transport, name, .. } => {
                // A pack that vanishes while it is read was dropped by somebody's gc.
                transport.read_into(name, offset, buffer).map_err(|e| match e {
                    Error::Absent { .. } => Error::Stale { name: name.clone() },
                    other => other,
                })
            }
        }
    }
}

/// An opened pack. Holds a mapping, no open file.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) id: PackId,
    home: Home,
    pub(crate) bytes: u64,
    pub(crate) index: PackIndex<Mmap>,
}

impl Pack {
    /// Opens the pack of that id and checks the shape of its index.
    pub(crate) fn open(home: &Home, id: PackId) -> Result<Pack> {
        match home {
            Home::Local(root) => Pack::open_local(home, &root.join(id.file_name()), id),
            Home::Remote(remote) => Pack::open_remote(home, remote, id),
        }
    }

    fn open_local(home: &Home, path: &Path, id: PackId) -> Result<Pack> {
        let file = open_file(path, id)?;
        let bytes = file.metadata().at("stat", path)?.len();
        let name = id.to_string();
        let trailer_at = bytes
            .checked_sub(TRAILER_LEN)
            .filter(|&at| at >= HEADER_LEN)
            .ok_or_else(|| Error::corrupt("pack", &name, format!("it has only {bytes} bytes")))?;
        let mut trailer = [0; 64];
        fs::read_at(&file, path, &mut trailer, trailer_at)?;
        let trailer = Trailer::parse(&trailer, bytes, &name)?;
        let len = usize::try_from(bytes - trailer.footer_offset)
            .map_err(|_| Error::corrupt("pack", &name, "its index is too large"))?;
        let map = fs::map_range(&file, path, trailer.footer_offset, len)?;
        let index = PackIndex::open(map, trailer, name)?;
        Ok(Pack { id, home: home.clone(), bytes, index })
    }

    fn open_remote(home: &Home, remote: &RemoteHome, id: PackId) -> Result<Pack> {
        let path = index_path(&remote.folder, id);
        match open_index(home, &path, id) {
            Ok(Some(pack)) => return Ok(pack),
            Ok(None) => {}
            // A kept index that was damaged is fetched again.
            Err(e) if e.is_corruption() => fs::remove(&path)?,
            Err(e) => return Err(e),
        }
        fetch_index(remote, id, &path)?;
        open_index(home, &path, id)?.ok_or_else(|| Error::Stale { name: id.to_string() })
    }

    /// Reads a block's stored bytes.
    pub(crate) fn stored(&self, file: &PackFile, block: &Block) -> Result<Vec<u8>> {
        let mut bytes = vec![0; block.stored_len as usize];
        match file.read_at(&mut bytes, block.offset) {
            Ok(()) => Ok(bytes),
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(Error::corrupt("pack", self.id, "it ends inside a block"))
            }
            Err(e) => Err(e),
        }
    }

    /// Decodes a block; of a list block, the list itself. `base` are the bytes of its bases.
    pub(crate) fn decode<'b>(
        &self,
        stored: impl Into<Cow<'b, [u8]>>,
        base: &[u8],
        block: &Block,
    ) -> Result<Vec<u8>> {
        let stored = stored.into();
        if matches!(block.encoding, Encoding::Raw | Encoding::List) {
            return Ok(stored.into_owned());
        }
        // `block.raw_len` was bounded when the record was read.
        let raw_len = usize::try_from(block.raw_len)
            .map_err(|_| Error::corrupt("pack", self.id, "a block is too large"))?;
        codec::decode(block.encoding, &stored, base, raw_len).map_err(|detail| {
            let encoding = block.encoding;
            let detail = format!("{encoding} block at {}: {detail}", block.offset);
            Error::corrupt("pack", self.id, detail)
        })
    }

    /// The index from the footer's begin to the end.
    pub(crate) fn index_bytes(&self) -> &[u8] {
        self.index.bytes()
    }

    pub(crate) fn open_file(&self) -> Result<Arc<PackFile>> {
        let len = self.bytes;
        Ok(Arc::new(match &self.home {
            Home::Local(root) => {
                let path = root.join(self.id.file_name());
                PackFile::Local { file: open_file(&path, self.id)?, path, len }
            }
            Home::Remote(remote) => PackFile::Remote {
                transport: Arc::clone(&remote.transport),
                name: self.id.file_name(),
                len,
            },
        }))
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

/// Where the index of a remote pack is kept below the remote's folder.
fn index_path(folder: &Path, id: PackId) -> PathBuf {
    let hex = id.0.to_hex();
    folder.join("index").join(&hex[..2]).join(hex)
}

/// Opens a kept index: footer and trailer of the pack, without the blocks.
fn open_index(home: &Home, path: &Path, id: PackId) -> Result<Option<Pack>> {
    let file = match fs::open_regular(path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(None);
        }
        other => other?,
    };
    let name = id.to_string();
    let len = file.metadata().at("stat", path)?.len();
    let trailer_at = len
        .checked_sub(TRAILER_LEN)
        .ok_or_else(|| Error::corrupt("pack", &name, "its kept index is cut off"))?;
    let mut trailer = [0; 64];
    fs::read_at(&file, path, &mut trailer, trailer_at)?;
    let bytes = Trailer::file_len(&trailer, len);
    let trailer = Trailer::parse(&trailer, bytes, &name)?;
    let len = usize::try_from(len)
        .map_err(|_| Error::corrupt("pack", &name, "its index is too large"))?;
    let index = PackIndex::open(fs::map_range(&file, path, 0, len)?, trailer, name)?;
    Ok(Some(Pack { id, home: home.clone(), bytes, index }))
}

/// Fetches an index, checks all of it, and keeps it.
fn fetch_index(remote: &RemoteHome, id: PackId, path: &Path) -> Result<()> {
    let name = id.file_name();
    let stale = |error| match error {
        Error::Absent { .. } => Error::Stale { name: id.to_string() },
        other => other,
    };
    let (end, len) = remote.transport.read_end(&name, INDEX_END).map_err(stale)?;
    let trailer = end
        .len()
        .checked_sub(64)
        .map(|at| Trailer::parse(&end[at..], len, &id.to_string()))
        .ok_or_else(|| Error::corrupt("pack", id, format!("it has only {len} bytes")))??;
    let mut at = trailer.footer_offset;
    let mut file = TempFile::create(&remote.folder.join("tmp"), &nonce_hex(&remote.nonces.next()))?;
    let end_at = len - end.len() as u64;
    while at < end_at {
        let piece = INDEX_PIECE.min(end_at - at);
        file.append(&remote.transport.read_range(&name, at, piece).map_err(stale)?)?;
        at += piece;
    }
    let rest = usize::try_from(at - end_at).unwrap_or(usize::MAX);
    file.append(end.get(rest..).unwrap_or_default())?;
    let map = file.map()?;
    PackIndex::open(map, trailer, id.to_string())?.verify()?;
    fs::create_dir_durably(path.parent().unwrap_or(&remote.folder))?;
    file.place_cache(path)
}

/// Keeps the index of a pack that was just sent, which need not be fetched then.
pub(crate) fn keep_index(remote: &RemoteHome, id: PackId, bytes: &[u8]) -> Result<()> {
    let path = index_path(&remote.folder, id);
    fs::create_dir_durably(path.parent().unwrap_or(&remote.folder))?;
    fs::replace_cache(&path, bytes, &remote.folder.join("tmp"), &remote.nonces.next())
}
