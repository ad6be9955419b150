//! [`Source`]: bytes that are read by range.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};

/// Bytes of a known number that can be read anywhere.
pub trait Source: Sync {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`Error::Read`], also when fewer are left.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()>;

    /// The bytes of a range, which must lie inside. Compare `len` with a limit before.
    ///
    /// # Errors
    /// [`Error::Read`], also when fewer are left.
    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.size()) {
            return Err(short());
        }
        let mut bytes = vec![0; len];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }
}

fn short() -> Error {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let start = usize::try_from(offset).map_err(|_| short())?;
        let end = start.checked_add(into.len()).ok_or_else(short)?;
        into.copy_from_slice(self.get(start..end).ok_or_else(short)?);
        Ok(())
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.as_slice().read_at(offset, into)
    }
}

/// A range of a source, as a source of its own.
pub(crate) struct Within<'a> {
    source: &'a dyn Source,
    offset: u64,
    len: u64,
}

impl<'a> Within<'a> {
    /// The bytes from `offset` on, which must all be there.
    pub(crate) fn new(source: &'a dyn Source, offset: u64, len: u64) -> Within<'a> {
        Within { source, offset, len }
    }
}

impl Source for Within<'_> {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let end = offset.checked_add(into.len() as u64);
        end.filter(|&end| end <= self.len).ok_or_else(short)?;
        self.source.read_at(self.offset + offset, into)
    }
}

/// An open file with the size that it had when it was opened.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    /// Reads from this file. The size is taken now: a file that shrinks gives [`Error::Read`].
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn new(file: File) -> Result<FileSource> {
        let size = file.metadata()?.len();
        Ok(FileSource { file, size })
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(into, offset)?)
    }
}
