//! [`FileBytes`]: the bytes of one file, read by range, wherever they are: in the store or in the
//! working tree. This is what the readers of model and data files are handed.
//!
//! Of a stored file, only the chunks that are asked for are read, each compared with its id. The
//! list of chunks also tells where two files are equal without reading either.

pub(crate) mod shared;
pub(crate) mod tensors;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mv_formats::{FileSource, Source};
use mv_graph::{FileEntry, Mode, RepoPath};
use mv_store::{BlobHasher, Hash, Kind, Store};

use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::worktree::{Root, read_stable};

/// Chunks of the longest file that is compared chunk by chunk; about 128 GB.
const MAX_CHUNKS: usize = 1 << 20;
/// Bytes that are read at once of a longer file.
const WINDOW: u64 = 1 << 20;
/// Bytes of the largest chunk there is.
const MAX_CHUNK: u64 = 16 << 20;
/// Decoded bytes kept for the next read.
const CACHE_BYTES: usize = 16 << 20;

/// The bytes of one file.
pub struct FileBytes {
    place: Place,
    size: u64,
}

enum Place {
    Stored(Stored),
    Working { file: FileSource, path: PathBuf },
}

struct Stored {
    store: Store,
    id: Hash,
    pieces: OnceLock<Option<Vec<Piece>>>,
    /// Decoded pieces with their offsets, the latest last. Never held while decoding.
    cache: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

/// Why a look inside a file failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Its bytes could not be had.
    Bytes(Error),
    /// They are not what their format asks for.
    Format(mv_formats::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Bytes(error)
    }
}

impl From<mv_store::Error> for Fault {
    fn from(error: mv_store::Error) -> Fault {
        Fault::Bytes(error.into())
    }
}

/// A chunk of a stored file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it begins.
    pub(crate) start: u64,
    /// Its length; at least 1.
    pub(crate) len: u64,
    /// What it is.
    pub(crate) id: Hash,
}

impl Piece {
    pub(crate) fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// Whether the bytes of a file are to be read from the working tree, because no version holds them
/// yet. In a part of a repository what is not here may be on the remote as well: then the file in
/// the working tree must be this very one.
pub(crate) fn is_in_worktree(repo: &Repo, path: &RepoPath, entry: &FileEntry) -> Result<bool> {
    if repo.store().has(&entry.id)? {
        return Ok(false);
    }
    if repo.partial().is_none() {
        return Ok(true);
    }
    let root = repo.root_dir()?;
    match root.stat(path)? {
        Some((Some(Mode::File | Mode::Exec), stat)) if stat.size == entry.bytes => {}
        _ => return Ok(false),
    }
    let absolute = root.absolute(path.as_bytes());
    let (id, _, _) = read_stable(&root, path, &mut |file, _| {
        let (mut hasher, mut buffer) = (BlobHasher::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer).map_err(|e| Error::io("read", &absolute, e))? {
                0 => return Ok(hasher.finish()),
                len => hasher.update(&buffer[..len]),
            }
        }
    })?;
    Ok(id == entry.id)
}

impl FileBytes {
    /// The bytes of a file of a version, or of the working tree when the store does not have them.
    /// None for what is no regular file.
    ///
    /// # Errors
    /// `Corrupt` when the length is not the recorded one, `Blocked`, `Changed`, `Io`.
    pub fn open(repo: &Repo, path: &RepoPath, entry: &FileEntry) -> Result<Option<FileBytes>> {
        if !is_file(entry) {
            return Ok(None);
        }
        if is_in_worktree(repo, path, entry)? {
            return FileBytes::working(&repo.root_dir()?, path).map(Some);
        }
        FileBytes::stored(repo.store(), entry).map(Some)
    }

    /// The bytes of a file of the working tree.
    ///
    /// # Errors
    /// `Blocked`, `Changed`, `Io`.
    pub(crate) fn working(root: &Root, path: &RepoPath) -> Result<FileBytes> {
        let file = root.open_file(path)?;
        let path = root.absolute(path.as_bytes());
        let file =
            FileSource::new(file).map_err(|e| Error::io("open", &path, io::Error::other(e)))?;
        let size = file.size();
        Ok(FileBytes { place: Place::Working { file, path }, size })
    }

    /// The bytes of a stored file.
    ///
    /// # Errors
    /// `Missing`; `Corrupt` when the length is not the recorded one.
    pub fn stored(store: &Store, entry: &FileEntry) -> Result<FileBytes> {
        let size = store.len_of(&entry.id)?;
        if size != entry.bytes {
            let detail = format!("it has {size} bytes, the tree says {}", entry.bytes);
            return Err(mv_store::Error::corrupt("blob", entry.id, detail).into());
        }
        let (pieces, cache) = (OnceLock::new(), Mutex::default());
        let store = store.clone();
        let place = Place::Stored(Stored { store, id: entry.id, pieces, cache });
        Ok(FileBytes { place, size })
    }

    /// The answer of a reader of this file's format, with its error named by whose it is.
    pub(crate) fn told<T>(&self, read: mv_formats::Result<T>) -> Result<T, Fault> {
        read.map_err(|error| match error {
            mv_formats::Error::Read(error) => Fault::Bytes(self.unreadable(error)),
            other => Fault::Format(other),
        })
    }

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Io`.
    pub(crate) fn fill(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        match self.read_at(offset, into) {
            Err(mv_formats::Error::Read(error)) => Err(self.unreadable(error)),
            Err(other) => Err(self.unreadable(io::Error::other(other))),
            Ok(()) => Ok(()),
        }
    }

    fn unreadable(&self, error: io::Error) -> Error {
        match (error.downcast::<mv_store::Error>(), &self.place) {
            (Ok(store), _) => store.into(),
            (Err(error), Place::Working { path, .. }) => Error::io("read", path, error),
            (Err(error), Place::Stored(stored)) => {
                mv_store::Error::corrupt("blob", stored.id, error).into()
            }
        }
    }

    /// The chunks of a stored file in their order; none for a working file and a very long one.
    pub(crate) fn pieces(&self) -> Result<Option<&[Piece]>> {
        match &self.place {
            Place::Stored(stored) => Ok(stored.pieces()?),
            Place::Working { .. } => Ok(None),
        }
    }
}

/// A parser's failure on a file as one of this crate: damage in the store stays what it is.
pub(crate) fn failure(error: mv_formats::Error, path: &RepoPath) -> Error {
    let mv_formats::Error::Read(source) = error else {
        return Error::invalid(format!("file `{}`", path.display_escaped()), error);
    };
    match source.downcast::<mv_store::Error>() {
        Ok(stored) => stored.into(),
        Err(source) => Error::io("read", path.to_path(), source),
    }
}

/// Whether an entry is a regular file.
pub(crate) fn is_file(entry: &FileEntry) -> bool {
    matches!(entry.mode, Mode::File | Mode::Exec)
}

impl Source for FileBytes {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> mv_formats::Result<()> {
        match &self.place {
            Place::Working { file, .. } => file.read_at(offset, into),
            Place::Stored(stored) => {
                let end = offset.checked_add(into.len() as u64).filter(|&end| end <= self.size);
                let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
                Ok(stored.read_at(offset, end, into).map_err(io::Error::other)?)
            }
        }
    }
}

impl Stored {
    fn pieces(&self) -> mv_store::Result<Option<&[Piece]>> {
        if self.pieces.get().is_none() {
            let mut start = 0;
            let chunks = self.store.chunks(&self.id, MAX_CHUNKS)?;
            let pieces = chunks.map(|chunks| {
                let at = |c: &mv_store::ListItem| {
                    start += c.len;
                    Piece { start: start - c.len, len: c.len, id: c.id }
                };
                chunks.iter().map(at).collect()
            });
            // Another thread may have been first, with the same.
            drop(self.pieces.set(pieces));
        }
        Ok(self.pieces.get().and_then(Option::as_deref))
    }

    fn read_at(&self, mut at: u64, end: u64, mut into: &mut [u8]) -> mv_store::Result<()> {
        while at < end {
            let (start, bytes) = self.piece_at(at)?;
            let from = usize::try_from(at - start).unwrap_or(usize::MAX);
            let found = bytes.get(from..).filter(|found| !found.is_empty()).ok_or_else(|| {
                mv_store::Error::corrupt("blob", self.id, "it is shorter than its list says")
            })?;
            let len = found.len().min(into.len());
            let (now, rest) = into.split_at_mut(len);
            now.copy_from_slice(&found[..len]);
            into = rest;
            at += len as u64;
        }
        Ok(())
    }

    /// The decoded piece that this offset lies in, and where it begins.
    fn piece_at(&self, at: u64) -> mv_store::Result<(u64, Arc<Vec<u8>>)> {
        let cached = {
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let holds = |(start, bytes): &&(u64, Arc<Vec<u8>>)| {
                at.checked_sub(*start).is_some_and(|n| n < bytes.len() as u64)
            };
            cache.iter().rev().find(holds).cloned()
        };
        if let Some(found) = cached {
            return Ok(found);
        }
        let (start, bytes) = match self.pieces()? {
            Some(pieces) => {
                let next = pieces.partition_point(|p| p.start <= at);
                let piece = next.checked_sub(1).and_then(|n| pieces.get(n)).ok_or_else(|| {
                    mv_store::Error::corrupt("blob", self.id, "its list of chunks is empty")
                })?;
                let cap = piece.len.min(MAX_CHUNK);
                (piece.start, self.store.get(Kind::Blob, &piece.id, cap)?)
            }
            None => {
                let start = at - at % WINDOW;
                let len = WINDOW.min(self.store.len_of(&self.id)? - start);
                (start, self.store.read_range(&self.id, start, len)?)
            }
        };
        let bytes = Arc::new(bytes);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.push_back((start, Arc::clone(&bytes)));
        let mut kept: usize = cache.iter().map(|(_, bytes)| bytes.len()).sum();
        while kept > CACHE_BYTES && cache.len() > 1 {
            kept -= cache.pop_front().map_or(0, |(_, bytes)| bytes.len());
        }
        Ok((start, bytes))
    }
}
