//! Files as parsers want them: bytes by range.

mod windows;

use std::io;

use mv_formats::{FileSource, Source};
use mv_graph::{FileEntry, RepoPath};
use mv_store::{Hash, Store};

use crate::error::{Error, Result};
use crate::worktree::Root;
use windows::Windows;

/// A file in the store, read a window at a time. Every byte it gives was compared with the id of its
/// chunk.
#[derive(Debug)]
struct StoredSource {
    store: Store,
    id: Hash,
    size: u64,
    windows: Windows,
}

impl StoredSource {
    /// The content of an entry of a tree.
    ///
    /// # Errors
    /// `Missing`, `Corrupt` when it has another length than the tree says.
    fn open(store: &Store, entry: &FileEntry) -> Result<StoredSource> {
        let size = store.len_of(&entry.id)?;
        if size != entry.bytes {
            let detail = format!("it has {size} bytes, the tree says {}", entry.bytes);
            return Err(mv_store::Error::corrupt("blob", entry.id, detail).into());
        }
        Ok(StoredSource { store: store.clone(), id: entry.id, size, windows: Windows::default() })
    }
}

impl Source for StoredSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> mv_formats::Result<()> {
        let fetch =
            |start, len| self.store.read_range(&self.id, start, len).map_err(io::Error::other);
        Ok(self.windows.read_at(self.size, offset, into, &fetch)?)
    }
}

/// The bytes of a file that a parser is about to read.
pub(crate) type Bytes = Box<dyn Source>;

/// A file of a version.
///
/// # Errors
/// `Missing`, `Corrupt`.
pub(crate) fn stored(store: &Store, entry: &FileEntry) -> Result<Bytes> {
    Ok(Box::new(StoredSource::open(store, entry)?))
}

/// A file of the working tree.
///
/// # Errors
/// `Blocked`, `Changed`, `Io`.
pub(crate) fn working(root: &Root, path: &RepoPath) -> Result<Bytes> {
    let source = FileSource::new(root.open_file(path)?).map_err(|e| failure(e, path))?;
    Ok(Box::new(source))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_in_the_store_is_still_damage_after_a_parser_met_it() {
        let path = RepoPath::from_bytes(b"models/a.bin").unwrap();
        let id = Hash([3; 32]);
        let damage = io::Error::other(mv_store::Error::corrupt("chunk", id, "damaged"));
        let told = failure(mv_formats::Error::Read(damage), &path);
        assert!(matches!(told, Error::Store(e) if e.is_corruption()));
        let short = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(matches!(failure(mv_formats::Error::Read(short), &path), Error::Io { .. }));
    }
}
