//! A blob as a stream, for whoever stores it anew.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::Store;
use crate::error::Result;
use crate::hash::Hash;
use crate::list::ListItem;

/// Raw bytes decoded at once.
const WINDOW: u64 = 8 << 20;

/// The bytes of a blob, decoded a few MiB at a time on all cores. They are not compared with the
/// blob's id: whoever stores them learns what they are.
pub(crate) struct BlobStream<'a> {
    store: &'a Store,
    id: Hash,
    items: VecDeque<ListItem>,
    decoded: VecDeque<Vec<u8>>,
    /// Bytes of the first decoded piece that were handed out.
    at: usize,
}

impl Store {
    /// Opens a blob as a stream. Costs its list of chunks.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Io`; those of the chunks come while reading.
    pub fn stream(&self, id: &Hash) -> Result<impl Read + Send + '_> {
        let items = self.chunks(id, usize::MAX)?.unwrap_or_default().into();
        Ok(BlobStream { store: self, id: *id, items, decoded: VecDeque::new(), at: 0 })
    }
}

impl BlobStream<'_> {
    fn decode(&mut self) -> Result<()> {
        let mut window = Vec::new();
        let mut bytes = 0;
        while bytes < WINDOW
            && let Some(item) = self.items.pop_front()
        {
            bytes += item.len;
            window.push(item);
        }
        self.decoded = self.store.decode_window(&self.id, &window)?.into();
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
            } else if self.items.is_empty() {
                return Ok(0);
            } else {
                self.decode().map_err(io::Error::other)?;
            }
        }
    }
}
