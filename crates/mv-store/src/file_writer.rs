//! Storing one file of any size: read, cut, hash, look up and encode, a window at a time.
//!
//! While one window is hashed and encoded on all cores, the next is read and cut. Memory is two
//! windows, what their chunks are coded against and their encoded form, whatever the file's size.

use std::io::Read;
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

use crate::changed_runs::{Alignment, Fate, Prepared, joined, members};
use crate::codec::{Element, Encoding};
use crate::effort::{Effort, Levels, SMALL};
use crate::encode::{self, Encoded};
use crate::error::Result;
use crate::grouping::{Block, alone, encode_group, groups};
use crate::hash::{BlobHasher, Hash, Kind, id_of};
use crate::list::{self, ListItem};
use crate::nearer::nearer;
use crate::outline::{Outline, Similar};
use crate::pack::Stored;
use crate::progress::Task;
use crate::windows::{Cut, Window, Windows};
use crate::writer::StoreWriter;

/// New bytes read at a time.
const WINDOW: usize = 8 << 20;
/// Chunks below this size share blocks with others.
const TINY: usize = 16 << 10;
/// How deep a commit lets chains of differences between numbers become: so deep that any version is
/// read at half a GB a second on two cores. Decoding takes a time for each number, so wide ones are
/// quicker, byte for byte.
fn deepest(element: Element) -> u32 {
    if element.size() >= 4 { 3 } else { 2 }
}

impl StoreWriter<'_> {
    /// Stores a file's content and returns its id and length. `path` serves only for messages;
    /// `len_hint` is the expected length, `outline` what is known of the content.
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
        outline: &Outline,
        read: &mut (dyn Read + Send),
        task: &Task,
    ) -> Result<(Hash, u64)> {
        let mut windows = Windows { path, read, at_end: false, task, outline, at: 0, part: 0 };
        let expected = usize::try_from(len_hint).unwrap_or(usize::MAX).min(WINDOW);
        let mut current = windows.next(Vec::new(), expected)?;
        if windows.at_end && current.bytes.len() < SMALL && outline.parts.is_empty() {
            self.count_logical(current.bytes.len() as u64);
            return Ok((self.put(Kind::Blob, &current.bytes)?, current.bytes.len() as u64));
        }
        let mut file = FileWriter {
            writer: self,
            outline,
            alignment: Alignment::new(self, outline),
            hasher: BlobHasher::new(),
            items: Vec::new(),
        };
        let mut total = 0;
        // A window without a cut is no end: a hint that was too low makes the first one short.
        while !(windows.at_end && current.bytes.is_empty()) {
            let used = current.used();
            let rest = current.bytes[used..].to_vec();
            // A file that fits one window is handled by the thread that asked: files are stored in
            // parallel then, and a nested join would let one thread hold many windows.
            let (next, done) = if windows.at_end && rest.is_empty() {
                (Ok(Window::default()), file.store(&current, total > 0))
            } else {
                rayon::join(|| windows.next(rest, WINDOW), || file.store(&current, true))
            };
            total += used as u64;
            done?;
            current = next?;
        }
        self.count_logical(total);
        let id = file.hasher.finish();
        // A file of one chunk is that chunk.
        if !matches!(&file.items[..], [only] if only.id == id) {
            self.put_list(id, total, &file.items)?;
        }
        if self.is_anew() || outline.parts.iter().any(|part| part.element.is_some()) {
            self.tables.put(id, file.items);
        }
        Ok((id, total))
    }

    fn put_list(&self, id: Hash, total: u64, items: &[ListItem]) -> Result<()> {
        if !self.claim_list(&id, items) {
            return Ok(());
        }
        let top = list::build(items.to_vec(), |node| self.put(Kind::List, &node))?;
        let (kind, encoding, bytes) = (Kind::Blob, Encoding::List, &top.encode()[..]);
        self.append_stored(
            &Stored { kind, encoding, bytes, raw_len: total, bases: &[] },
            &[(id, 0)],
        )
    }
}

/// A file that is being stored.
struct FileWriter<'a> {
    writer: &'a StoreWriter<'a>,
    outline: &'a Outline,
    /// Where in the file's parent the writing stands.
    alignment: Alignment<'a>,
    hasher: BlobHasher,
    items: Vec<ListItem>,
}

impl FileWriter<'_> {
    fn store(&mut self, window: &Window, parallel: bool) -> Result<()> {
        let chunks = window.chunks();
        let work: Vec<(&Cut, &[u8])> = window.cuts.iter().zip(chunks.iter().copied()).collect();
        let used = &window.bytes[..window.used()];
        let (writer, outline, hasher) = (self.writer, self.outline, &mut self.hasher);
        let prepare = |(cut, chunk): &(&Cut, &[u8])| prepare(writer, outline, cut, chunk);
        let prepared: Result<Vec<Prepared>> = if parallel {
            let (prepared, ()) =
                rayon::join(|| work.par_iter().map(prepare).collect(), || hasher.update(used));
            prepared
        } else {
            hasher.update(used);
            work.iter().map(prepare).collect()
        };
        let mut prepared = prepared?;
        self.alignment.encode(window, &chunks, &mut prepared, parallel)?;
        for ((cut, chunk), prepared) in work.iter().zip(&mut prepared) {
            // What lies between tensors: it shares a block with its like.
            if chunk.len() < TINY && cut.element.is_none() && matches!(prepared.fate, Fate::Fresh) {
                writer.put_claimed(Kind::Blob, prepared.id, chunk)?;
                prepared.fate = Fate::Known;
            }
        }
        let groups = groups(&work, &prepared);
        let level = Levels::of(outline.effort).chunk;
        let encode = |group: &Range<usize>| encode_group(outline, &work, group.clone(), level);
        let encoded: Result<Vec<Vec<Block>>> = match parallel {
            true => groups.par_iter().map(encode).collect(),
            false => groups.iter().map(encode).collect(),
        };
        for Block { chunks: these, encoded } in encoded?.into_iter().flatten() {
            let members = members(&prepared[these.clone()], &chunks[these.clone()]);
            prepared[these.clone()].iter_mut().for_each(|chunk| chunk.fate = Fate::Known);
            let raw = joined(&chunks[these]);
            writer.append_encoded(Kind::Blob, &encoded, &raw, &members)?;
        }
        for (chunk, prepared) in chunks.into_iter().zip(prepared) {
            let id = prepared.id;
            // What is a file of its own and stored as a list is no chunk: its chunks are.
            match writer.listed(&id)? {
                Some(items) => self.items.extend(items),
                None => self.items.push(ListItem { id, len: chunk.len() as u64 }),
            }
            if let Fate::Encoded(encoded) = prepared.fate {
                writer.append_encoded(Kind::Blob, &encoded, chunk, &[(id, 0)])?;
            }
        }
        Ok(())
    }
}

/// Looks a chunk up, and encodes it if it is new and numbers are known that it resembles.
fn prepare(
    writer: &StoreWriter<'_>,
    outline: &Outline,
    cut: &Cut,
    chunk: &[u8],
) -> Result<Prepared> {
    let id = id_of(Kind::Blob, chunk);
    if !writer.claim(&id) {
        return Ok(Prepared { id, fate: Fate::Known });
    }
    let encoded = if outline.effort == Effort::Fast {
        Some(alone(outline, (cut, chunk), Levels::of(outline.effort).chunk)?)
    } else {
        resembling(writer, outline, cut, chunk)
    };
    Ok(Prepared { id, fate: encoded.map_or(Fate::Fresh, Fate::Encoded) })
}

/// Encodes numbers against the first of those that they resemble enough.
fn resembling(
    writer: &StoreWriter<'_>,
    outline: &Outline,
    cut: &Cut,
    chunk: &[u8],
) -> Option<Encoded> {
    let (number, offset) = cut.part?;
    let element = cut.element?;
    let most = outline.depth.unwrap_or_else(|| deepest(element));
    let against = |similar: &Similar| {
        let scale = |n: u64| n / element.size() as u64 * similar.element.size() as u64;
        let (start, len) = (scale(offset), scale(chunk.len() as u64));
        let end = similar.len.min(start.saturating_add(len));
        let range = similar.start.checked_add(start)?..similar.start.checked_add(end)?;
        let table = writer.tables.get(writer.store(), &similar.blob)?;
        let cover = table.cover(range)?;
        let base = writer.base(&similar.blob, &cover, most);
        let base = match base {
            None if similar.element == element => nearer(writer, &cover, (element, chunk), most),
            base => base,
        }?;
        encode::against(chunk, element, &base, similar.element)
    };
    outline.parts.get(number)?.similar.iter().find_map(against)
}
