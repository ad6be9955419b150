//! Large blobs: a list of chunks, read in order and held against the blob's id.

use std::collections::HashSet;

use rayon::prelude::*;

use super::chunks::Chunks;
use super::{Found, Store, mismatch};
use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{BlobHasher, Hash, Kind, id_of};
use crate::list::{List, ListItem};
use crate::pack::MAX_CHUNK;
use crate::progress::Task;

/// What a list of chunks is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It adds up to the blob.
    Sound,
    /// It adds up to something else.
    Wrong,
    /// Not all of what it names is there and sound.
    Incomplete,
}

impl Store {
    /// Streams a blob of any size, in order, in pieces of at most a few MiB, and compares the whole
    /// with its id. An error at the end means that what was handed out is not the object. A copy that
    /// is damaged does not count where another pack has a sound one.
    /// Decodes on all cores; memory stays under 32 MiB.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Cancelled`, `Io`, or what `out` returns.
    pub fn copy_to(
        &self,
        id: &Hash,
        task: Option<&Task>,
        out: &mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    ) -> Result<u64> {
        let found = match self.find_here(Kind::Blob, id)? {
            Ok(found) => found,
            Err(elsewhere) => return elsewhere.copy_to(id, task, out),
        };
        if found.block.encoding == Encoding::List {
            let list = self.sound_list(id, &found)?;
            return self.copy_list(id, list, self, task, out);
        }
        let whole = |found: &Found| self.whole_at(Kind::Blob, id, found);
        let bytes = self.sound(Kind::Blob, id, &found, whole)?;
        out(&bytes)?;
        if let Some(task) = task {
            task.add(bytes.len() as u64);
        }
        Ok(bytes.len() as u64)
    }

    /// Reads part of a blob, verified chunk by chunk; costs the chunks that the range touches.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Invalid` if the range leaves the blob, `Io`.
    pub fn read_range(&self, id: &Hash, start: u64, len: u64) -> Result<Vec<u8>> {
        let found = match self.find_here(Kind::Blob, id)? {
            Ok(found) => found,
            Err(elsewhere) => return elsewhere.read_range(id, start, len),
        };
        let end =
            start.checked_add(len).filter(|&end| end <= found.raw_len()).ok_or_else(|| {
                let detail = format!("{len} bytes at {start} of {}", found.raw_len());
                Error::Invalid { what: "range", detail }
            })?;
        let cut = |bytes: &[u8], at: u64| -> Vec<u8> {
            let low =
                usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
            let high =
                usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
            bytes[low..high.max(low)].to_vec()
        };
        if found.block.encoding != Encoding::List {
            return Ok(cut(&self.get(Kind::Blob, id, u64::MAX)?, 0));
        }
        let mut out = Vec::new();
        let mut chunks = Chunks::new(self, self.sound_list(id, &found)?);
        let mut at = chunks.skip_to(start)?;
        while let Some(item) = chunks.next()?.filter(|_| at < end) {
            if at + item.len > start {
                let bytes = self.sound_chunk(&item)?;
                out.extend_from_slice(&cut(&bytes, at));
            }
            at += item.len;
        }
        Ok(out)
    }

    /// The chunks of a blob in their order; one that is stored whole is its own only chunk. None when
    /// there are more than `most`. Costs the list nodes, not the chunks.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Io`.
    pub fn chunks(&self, id: &Hash, most: usize) -> Result<Option<Vec<ListItem>>> {
        let found = match self.find_here(Kind::Blob, id)? {
            Ok(found) => found,
            Err(elsewhere) => return elsewhere.chunks(id, most),
        };
        if found.block.encoding != Encoding::List {
            return Ok(Some(vec![ListItem { id: *id, len: found.raw_len() }]));
        }
        let mut chunks = Chunks::new(self, self.sound_list(id, &found)?);
        let mut items = Vec::new();
        while let Some(item) = chunks.next()? {
            if items.len() == most {
                return Ok(None);
            }
            items.push(item);
        }
        Ok(Some(items))
    }

    /// Whether a blob is here as a list and nowhere whole.
    pub(crate) fn is_only_list(&self, id: &Hash) -> Result<bool> {
        let is_list = |found: &Found| found.block.encoding == Encoding::List;
        let Some(found) = self.locate(id)?.filter(is_list) else { return Ok(false) };
        Ok(self.other_copies(Kind::Blob, id, found.slot).all(|found| is_list(&found)))
    }

    /// The list nodes and chunks that a blob is made of; none when it is stored whole.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Io`.
    pub fn children(&self, id: &Hash) -> Result<Option<Vec<Hash>>> {
        let found = match self.find_here(Kind::Blob, id)? {
            Ok(found) => found,
            Err(elsewhere) => return elsewhere.children(id),
        };
        if found.block.encoding != Encoding::List {
            return Ok(None);
        }
        // Each node is opened once, however often a hostile list repeats it.
        let mut seen = HashSet::new();
        let mut ids = Vec::new();
        // A chunk that is a file as well may be here only as a list, whose chunks are no lists again.
        let mut open = vec![(self.sound_list(id, &found)?, false)];
        while let Some((list, within)) = open.pop() {
            for item in &list.items {
                if !seen.insert(item.id) {
                    continue;
                }
                ids.push(item.id);
                if list.height > 0 {
                    open.push((self.list_node(item, list.height - 1)?, within));
                } else if !within && let Some(listed) = self.only_listed(item)? {
                    open.push((listed, true));
                }
            }
        }
        Ok(Some(ids))
    }

    /// Makes sure that the list a blob is stored as adds up to the blob. Its nodes are read from this
    /// snapshot; its chunks, whose ids say what they are, from wherever is nearest. Of a blob that is
    /// stored whole there is nothing to do.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Cancelled`, `Io`, or what `check` returns.
    pub fn verify_list(
        &self,
        id: &Hash,
        chunks: &Store,
        check: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<u64> {
        let found = self.find_as(Kind::Blob, id)?;
        if found.block.encoding != Encoding::List {
            return Ok(0);
        }
        let list = self.sound_list(id, &found)?;
        self.copy_list(id, list, chunks, None, &mut |_| check())
    }

    /// Streams the chunks of a list, with its nodes from here and its chunks from another store.
    pub(super) fn copy_list(
        &self,
        id: &Hash,
        list: List,
        from: &Store,
        task: Option<&Task>,
        out: &mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    ) -> Result<u64> {
        let mut chunks = Chunks::new(self, list.clone());
        let mut hasher = BlobHasher::new();
        let mut written = 0;
        let mut current = from.decode_window(id, &chunks.next_window()?)?;
        while !current.is_empty() {
            task.map_or(Ok(()), Task::check)?;
            let following = chunks.next_window()?;
            // What is slow is not to wait for the other: decoding, giving on, and hashing.
            let (next, (emitted, ())) = rayon::join(
                || from.decode_window(id, &following),
                || {
                    rayon::join(
                        || {
                            current.iter().try_for_each(|piece| {
                                written += piece.len() as u64;
                                if let Some(task) = task {
                                    task.add(piece.len() as u64);
                                }
                                out(piece)
                            })
                        },
                        || current.iter().for_each(|piece| hasher.update(piece)),
                    )
                },
            );
            emitted?;
            current = next?;
        }
        if hasher.finish() != *id {
            return Err(self.blame(id, list, from));
        }
        Ok(written)
    }

    /// What a list that was read from somewhere is worth, with its nodes and chunks from here.
    pub(crate) fn prove(&self, id: &Hash, list: List, task: &Task) -> Result<Proof> {
        let mut chunks = Chunks::new(self, list);
        let mut hasher = BlobHasher::new();
        let next = |chunks: &mut Chunks<'_>| -> Result<Vec<Vec<u8>>> {
            let window = chunks.next_window()?;
            self.read_ahead_chunks(&window)?;
            window.par_iter().map(|item| self.sound_chunk(item)).collect()
        };
        loop {
            task.check()?;
            match next(&mut chunks) {
                Err(e) if e.is_corruption() => return Ok(Proof::Incomplete),
                Err(e) => return Err(e),
                Ok(window) if window.is_empty() => break,
                Ok(window) => window.iter().for_each(|piece| hasher.update(piece)),
            }
        }
        Ok(if hasher.finish() == *id { Proof::Sound } else { Proof::Wrong })
    }

    /// Decodes chunks in parallel. What is wrong with one is told of the blob.
    pub(super) fn decode_window(&self, id: &Hash, window: &[ListItem]) -> Result<Vec<Vec<u8>>> {
        self.read_ahead_chunks(window)?;
        let told = |item: &ListItem, error| match error {
            Error::Corrupt { .. } => damaged_chunk(id, &item.id),
            other => other,
        };
        window.par_iter().map(|item| self.chunk(item).map_err(|e| told(item, e))).collect()
    }

    /// Reads a chunk on its way into a blob that is compared with its id as a whole. Where another
    /// pack may have a sound copy, the chunk is compared with its own id first.
    fn chunk(&self, item: &ListItem) -> Result<Vec<u8>> {
        let found = self.find_as(Kind::Blob, &item.id)?;
        if self.has_twin(&item.id, found.slot) {
            return self.sound_chunk(item);
        }
        has_length(item, &found)?;
        if found.block.encoding == Encoding::List {
            return self.listed_chunk(item, &found);
        }
        self.bytes_of(&found)
    }

    /// The list that a chunk is stored as, when it is stored in no other way.
    fn only_listed(&self, item: &ListItem) -> Result<Option<List>> {
        match self.locate(&item.id)? {
            Some(found)
                if found.block.encoding == Encoding::List && self.best(&item.id)?.is_none() =>
            {
                self.list_of(&found, &item.id).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Reads a chunk that is a file as well, and here only as the list of that file's chunks. Those are
    /// no lists again.
    fn listed_chunk(&self, item: &ListItem, found: &Found) -> Result<Vec<u8>> {
        let mut chunks = Chunks::new(self, self.list_of(found, &item.id)?);
        let mut bytes = Vec::new();
        while let Some(part) = chunks.next()? {
            let piece = self.chunk_bytes(&part.id)?;
            if piece.len() as u64 != part.len || (bytes.len() + piece.len()) as u64 > item.len {
                return Err(not_as_listed(&part));
            }
            bytes.extend_from_slice(&piece);
        }
        if id_of(Kind::Blob, &bytes) == item.id {
            Ok(bytes)
        } else {
            Err(mismatch(Kind::Blob, &item.id))
        }
    }

    /// Whether another pack has the object as well. Costs a search in each pack.
    fn has_twin(&self, id: &Hash, slot: usize) -> bool {
        let others = (0..self.0.slots.len()).filter(|other| *other != slot);
        others.into_iter().any(|other| self.locate_in(other, id).is_ok_and(|found| found.is_some()))
    }

    /// Reads a chunk and compares it with its id.
    pub(super) fn sound_chunk(&self, item: &ListItem) -> Result<Vec<u8>> {
        let found = self.find_as(Kind::Blob, &item.id)?;
        self.sound(Kind::Blob, &item.id, &found, |found| {
            has_length(item, found)?;
            match found.block.encoding {
                Encoding::List => self.listed_chunk(item, found),
                _ => self.checked(Kind::Blob, &item.id, found),
            }
        })
    }

    /// Names the chunk that makes a blob come out wrong.
    fn blame(&self, id: &Hash, list: List, from: &Store) -> Error {
        let culprit = || -> Result<Option<Hash>> {
            let mut chunks = Chunks::new(self, list);
            while let Some(item) = chunks.next()? {
                match from.sound_chunk(&item) {
                    Err(Error::Corrupt { .. }) => return Ok(Some(item.id)),
                    other => drop(other?),
                }
            }
            Ok(None)
        };
        match culprit() {
            Ok(Some(chunk)) => damaged_chunk(id, &chunk),
            Ok(None) => mismatch(Kind::Blob, id),
            Err(e) => e,
        }
    }
}

/// Refuses a chunk of another length than its list says, and one that no writer makes.
fn has_length(item: &ListItem, found: &Found) -> Result<()> {
    if found.raw_len() == item.len && item.len <= MAX_CHUNK {
        return Ok(());
    }
    Err(not_as_listed(item))
}

fn not_as_listed(item: &ListItem) -> Error {
    Error::corrupt("chunk", item.id, "it is not what the list says")
}

fn damaged_chunk(id: &Hash, chunk: &Hash) -> Error {
    Error::corrupt("blob", id, format!("its chunk `{chunk}` is damaged"))
}
