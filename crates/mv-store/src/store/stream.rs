//! A blob as a stream, for whoever stores it anew.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::Store;
use super::chunks::Chunks;
use crate::error::Result;
use crate::hash::{Hash, Kind};
use crate::list::{List, ListItem};

/// The bytes of a blob, decoded a few MiB at a time on all cores. They are not compared with the
/// blob's id: whoever stores them learns what they are.
pub(crate) struct BlobStream<'a> {
    store: &'a Store,
    id: Hash,
    /// The list is walked as it is read: a hostile one may repeat its nodes without end.
    chunks: Chunks<'a>,
    at_end: bool,
    decoded: VecDeque<Vec<u8>>,
    /// Bytes of the first decoded piece that were handed out.
    at: usize,
}

impl Store {
    /// Opens a blob as a stream.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Io`; those of list nodes and chunks come while reading.
    pub fn stream(&self, id: &Hash) -> Result<impl Read + Send + '_> {
        let found = self.find_as(Kind::Blob, id)?;
        let list = match found.is_list() {
            true => self.sound_list(id, &found)?,
            false => List { height: 0, items: vec![ListItem { id: *id, len: found.raw_len() }] },
        };
        let chunks = Chunks::new(self, list);
        let decoded = VecDeque::new();
        Ok(BlobStream { store: self, id: *id, chunks, at_end: false, decoded, at: 0 })
    }
}

impl BlobStream<'_> {
    fn decode(&mut self) -> Result<()> {
        let window = self.chunks.next_window()?;
        self.at_end = window.is_empty();
        self.decoded = self.store.decode_window(&self.id, &window, false)?.into();
        self.at = 0;
        Ok(())
    }
}

impl Read for BlobStream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(piece) = self.decoded.front() {
                let rest = piece.get(self.at..).unwrap_or_default();
                if !rest.is_empty() {
                    let len = rest.len().min(into.len());
                    into[..len].copy_from_slice(&rest[..len]);
                    self.at += len;
                    return Ok(len);
                }
                self.decoded.pop_front();
                self.at = 0;
            } else if self.at_end {
                return Ok(0);
            } else {
                self.decode().map_err(io::Error::other)?;
            }
        }
    }
}
