//! Large blobs: a list of chunks, read in order and held against the blob's id.

use rayon::prelude::*;

use super::chunks::Chunks;
use super::{Found, Store, is_damage, mismatch};
use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{BlobHasher, Hash, Kind, id_of};
use crate::list::{List, ListItem};
use crate::pack::MAX_CHUNK;
use crate::progress::Task;

/// What a list of chunks is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It adds up to the blob.
    Sound,
    /// It adds up to something else.
    Wrong,
    /// Not all of what it names is there and sound.
    Incomplete,
}

/// What was handed out of a blob so far, and to whom.
pub(super) struct Handed<'a> {
    hasher: BlobHasher,
    bytes: u64,
    /// Whether each chunk is compared with its id: where there is another copy of the blob, which can
    /// only go on from bytes that are right.
    proven: bool,
    /// Whether `out` failed: then nothing more is handed out.
    refused: bool,
    task: Option<&'a Task>,
    out: &'a mut (dyn FnMut(&[u8]) -> Result<()> + Send),
}

impl<'a> Handed<'a> {
    pub(super) fn new(
        task: Option<&'a Task>,
        out: &'a mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    ) -> Handed<'a> {
        let hasher = BlobHasher::new();
        Handed { hasher, bytes: 0, proven: false, refused: false, task, out }
    }

    fn take(&mut self, piece: &[u8]) -> Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        self.task.into_iter().for_each(|task| task.add(piece.len() as u64));
        (self.out)(piece).inspect_err(|_| self.refused = true)
    }
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
        let mut handed = Handed::new(task, out);
        handed.proven = self.other_copies(Kind::Blob, id, found.slot).next().is_some();
        let Err(error) = self.copy_at(id, &found, &mut handed) else { return Ok(handed.bytes) };
        // Another copy goes on from where this one ended: its chunks may be others, and sound.
        if is_damage(&error) && handed.bytes < found.raw_len() {
            for copy in self.other_copies(Kind::Blob, id, found.slot) {
                if !handed.refused && self.copy_at(id, &copy, &mut handed).is_ok() {
                    return Ok(handed.bytes);
                }
            }
        }
        Err(error)
    }

    fn copy_at(&self, id: &Hash, found: &Found, handed: &mut Handed<'_>) -> Result<()> {
        if found.is_list() {
            return self.copy_list(id, self.list_of(found, id)?, self, handed);
        }
        let bytes = self.whole_at(Kind::Blob, id, found)?;
        let known = usize::try_from(handed.bytes).unwrap_or(usize::MAX).min(bytes.len());
        handed.take(&bytes[known..])?;
        if handed.hasher.finish() == *id { Ok(()) } else { Err(mismatch(Kind::Blob, id)) }
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
        self.sound(Kind::Blob, id, &found, |found| {
            if !found.is_list() {
                return Ok(cut(&self.whole_at(Kind::Blob, id, found)?, 0));
            }
            let mut out = Vec::new();
            let mut chunks = Chunks::new(self, self.list_of(found, id)?);
            let mut at = chunks.skip_to(start)?;
            while let Some(item) = chunks.next()?.filter(|_| at < end) {
                if at + item.len > start {
                    out.extend_from_slice(&cut(&self.sound_chunk(&item)?, at));
                }
                at += item.len;
            }
            Ok(out)
        })
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
        if !found.is_list() {
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

    /// Makes sure that the lists a blob is stored as add up to the blob. Their nodes are read from this
    /// snapshot; their chunks, whose ids say what they are, from wherever is nearest. A list that is not
    /// whole is no harm where another copy is; one that adds up to something else is. Of a blob that is
    /// only stored whole there is nothing to do.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Cancelled`, `Io`, or what the task returns.
    pub fn verify_list(&self, id: &Hash, chunks: &Store, task: &Task) -> Result<u64> {
        let found = self.find_as(Kind::Blob, id)?;
        let copies = std::iter::once(found).chain(self.other_copies(Kind::Blob, id, found.slot));
        let (mut read, mut sound, mut unsound) = (0, !found.is_list(), None);
        for copy in copies.filter(Found::is_list) {
            let quietly = &mut |_: &[u8]| task.check();
            let mut handed = Handed::new(None, quietly);
            let list = self.list_of(&copy, id)?;
            match self.copy_list(id, list.clone(), chunks, &mut handed) {
                Ok(()) => (sound, read) = (true, read + handed.bytes),
                Err(error @ (Error::Cancelled | Error::Remote { .. })) => return Err(error),
                Err(error) if chunks.join(self).prove(id, list, task)? == Worth::Wrong => {
                    return Err(error);
                }
                Err(error) => unsound = unsound.or(Some(error)),
            }
        }
        match unsound.filter(|_| !sound) {
            Some(error) => Err(error),
            None => Ok(read),
        }
    }

    /// Hands out what a list names, with its nodes from here and its chunks from another store. What was
    /// handed out before is passed over.
    pub(super) fn copy_list(
        &self,
        id: &Hash,
        list: List,
        from: &Store,
        handed: &mut Handed<'_>,
    ) -> Result<()> {
        let mut chunks = Chunks::new(self, list.clone());
        let mut known = handed.bytes;
        let mut current = from.decode_window(id, &chunks.next_window()?, handed.proven)?;
        while !current.is_empty() {
            handed.task.map_or(Ok(()), Task::check)?;
            let (following, proven) = (chunks.next_window()?, handed.proven);
            let (next, emitted) = rayon::join(
                || from.decode_window(id, &following, proven),
                || {
                    current.iter().try_for_each(|piece| {
                        let passed = known.min(piece.len() as u64);
                        known -= passed;
                        let passed = usize::try_from(passed).unwrap_or(piece.len());
                        handed.take(piece.get(passed..).unwrap_or_default())
                    })
                },
            );
            emitted?;
            current = next?;
        }
        if handed.hasher.finish() == *id { Ok(()) } else { Err(self.blame(id, list, from)) }
    }

    /// What a list that was read from somewhere is worth, with its nodes and chunks from here.
    pub(crate) fn prove(&self, id: &Hash, list: List, task: &Task) -> Result<Worth> {
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
                Err(e) if e.is_corruption() => return Ok(Worth::Incomplete),
                Err(e) => return Err(e),
                Ok(window) if window.is_empty() => break,
                Ok(window) => window.iter().for_each(|piece| hasher.update(piece)),
            }
        }
        Ok(if hasher.finish() == *id { Worth::Sound } else { Worth::Wrong })
    }

    /// Decodes chunks in parallel, and compares them with their ids if that is asked for. What is wrong
    /// with one is told of the blob.
    pub(super) fn decode_window(
        &self,
        id: &Hash,
        window: &[ListItem],
        proven: bool,
    ) -> Result<Vec<Vec<u8>>> {
        self.read_ahead_chunks(window)?;
        let told = |item: &ListItem, error| match error {
            Error::Corrupt { .. } => damaged_chunk(id, &item.id),
            other => other,
        };
        let read = |item| if proven { self.sound_chunk(item) } else { self.chunk(item) };
        window.par_iter().map(|item| read(item).map_err(|e| told(item, e))).collect()
    }

    /// Reads a chunk on its way into a blob that is compared with its id as a whole. Where another pack
    /// may have a sound copy, of the chunk or of what it needs, it is compared with its own id first.
    fn chunk(&self, item: &ListItem) -> Result<Vec<u8>> {
        let found = self.find_as(Kind::Blob, &item.id)?;
        let coded = found.block.encoding.has_bases();
        let twin = match self.chain(&item.id).filter(|_| coded) {
            Some(chain) => chain.twin,
            None => self.has_twin(&item.id, found.slot),
        };
        if twin {
            return self.sound_chunk(item);
        }
        has_length(item, &found)?;
        if found.is_list() {
            return self.listed_chunk(item, &found);
        }
        self.bytes_of(&found)
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
