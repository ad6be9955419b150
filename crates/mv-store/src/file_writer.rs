//! Storing one file of any size: read, cut, hash, look up and encode, a window at a time.
//!
//! While one window is hashed and encoded on all cores, the next is read and cut. Memory is two
//! windows and their encoded form, whatever the file's size.

use std::io::Read;
use std::path::Path;

use rayon::prelude::*;

use crate::codec::{CHUNK_LEVEL, Encoding};
use crate::cut::SIZES;
use crate::error::{IoContext, Result};
use crate::hash::{BlobHasher, Hash, Kind, id_of};
use crate::list::{self, ListItem};
use crate::progress::Task;
use crate::writer::{SMALL, StoreWriter, encode};

/// New bytes read at a time.
const WINDOW: usize = 8 << 20;

/// Bytes of a file and where they are cut.
#[derive(Default)]
struct Window {
    bytes: Vec<u8>,
    cuts: Vec<usize>,
}

/// What became of one chunk on its way to the pack.
struct Prepared {
    item: ListItem,
    /// None when the chunk is known; else its encoded form, if encoding pays.
    fresh: Option<Option<Vec<u8>>>,
}

impl StoreWriter<'_> {
    /// Stores a file's content and returns its id and length. `path` serves only for messages;
    /// `len_hint` is the expected length.
    ///
    /// A file of one chunk is one block. A longer one is a list of chunks. Content that is wholly
    /// known costs reading and hashing.
    ///
    /// # Errors
    /// `Io` with `path` for reads, `Cancelled`.
    pub fn put_file(
        &self,
        path: &Path,
        len_hint: u64,
        read: &mut (dyn Read + Send),
        task: &Task,
    ) -> Result<(Hash, u64)> {
        let mut source = Source { path, read, at_end: false, task };
        let expected = usize::try_from(len_hint).unwrap_or(usize::MAX).min(WINDOW);
        let mut current = source.next(Vec::new(), expected)?;
        if source.at_end && current.cuts.len() <= 1 {
            return self.put_whole(&current.bytes);
        }
        let mut hasher = BlobHasher::new();
        let mut items = Vec::new();
        let mut total = 0;
        // A window without a cut is no end: a hint that was too low makes the first one short.
        while !(source.at_end && current.bytes.is_empty()) {
            let used = current.cuts.iter().sum::<usize>();
            let rest = current.bytes[used..].to_vec();
            // A file that fits one window is handled by the thread that asked: files are stored in
            // parallel then, and a nested join would let one thread hold many windows.
            let (next, done) = if source.at_end && rest.is_empty() {
                (Ok(Window::default()), self.store_window(&current, &mut hasher, total > 0))
            } else {
                rayon::join(
                    || source.next(rest, WINDOW),
                    || self.store_window(&current, &mut hasher, true),
                )
            };
            total += used as u64;
            items.extend(done?);
            current = next?;
        }
        self.count_logical(total);
        let id = hasher.finish();
        if self.claim(&id) {
            let top = list::build(items, |node| self.put(Kind::List, &node))?;
            self.append_stored(Kind::Blob, Encoding::List, &top.encode(), total, &[(id, 0)])?;
        }
        Ok((id, total))
    }

    /// Stores content that is not cut.
    fn put_whole(&self, bytes: &[u8]) -> Result<(Hash, u64)> {
        self.count_logical(bytes.len() as u64);
        if bytes.len() < SMALL {
            return Ok((self.put(Kind::Blob, bytes)?, bytes.len() as u64));
        }
        let id = id_of(Kind::Blob, bytes);
        if self.claim(&id) {
            self.append(Kind::Blob, bytes, &[(id, 0)], CHUNK_LEVEL)?;
        }
        Ok((id, bytes.len() as u64))
    }

    fn store_window(
        &self,
        window: &Window,
        hasher: &mut BlobHasher,
        parallel: bool,
    ) -> Result<Vec<ListItem>> {
        let mut chunks = Vec::with_capacity(window.cuts.len());
        let mut rest = &window.bytes[..];
        for &len in &window.cuts {
            let (chunk, after) = rest.split_at(len);
            chunks.push(chunk);
            rest = after;
        }
        let used = &window.bytes[..window.bytes.len() - rest.len()];
        let prepared: Result<Vec<Prepared>> = if parallel {
            let (prepared, ()) = rayon::join(
                || chunks.par_iter().map(|chunk| self.prepare(chunk)).collect(),
                || hasher.update(used),
            );
            prepared
        } else {
            hasher.update(used);
            chunks.iter().map(|chunk| self.prepare(chunk)).collect()
        };
        let mut items = Vec::with_capacity(chunks.len());
        for (chunk, prepared) in chunks.into_iter().zip(prepared?) {
            items.push(prepared.item);
            if let Some(encoded) = prepared.fresh {
                let member = [(prepared.item.id, 0)];
                self.append_encoded(Kind::Blob, &encoded, chunk, &member)?;
            }
        }
        Ok(items)
    }

    fn prepare(&self, chunk: &[u8]) -> Result<Prepared> {
        let id = id_of(Kind::Blob, chunk);
        let fresh = if self.claim(&id) { Some(encode(chunk, CHUNK_LEVEL)?) } else { None };
        Ok(Prepared { item: ListItem { id, len: chunk.len() as u64 }, fresh })
    }
}

/// The file being read.
struct Source<'a> {
    path: &'a Path,
    read: &'a mut (dyn Read + Send),
    at_end: bool,
    task: &'a Task,
}

impl Source<'_> {
    /// Reads up to `more` bytes after the `rest` of the last window, and cuts what can be cut.
    fn next(&mut self, rest: Vec<u8>, more: usize) -> Result<Window> {
        self.task.check()?;
        let mut bytes = rest;
        if !self.at_end {
            let before = bytes.len();
            bytes.reserve(more + 1);
            // One byte beyond what is expected tells the end of a file without another window.
            let limit = (more as u64).saturating_add(1);
            let got =
                (&mut *self.read).take(limit).read_to_end(&mut bytes).at("read", self.path)?;
            self.at_end = (got as u64) < limit;
            self.task.add((bytes.len() - before) as u64);
        }
        let mut cuts = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let Some(len) = SIZES.first_cut(&bytes[at..], self.at_end) else { break };
            cuts.push(len);
            at += len;
        }
        Ok(Window { bytes, cuts })
    }
}
