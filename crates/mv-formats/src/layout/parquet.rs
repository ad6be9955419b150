//! Parts of a Parquet file: column chunks, cut at large pages.
//!
//! A page is compressed as a whole, so that only whole pages can be those of another version. Small pages
//! in a row stay together: as parts they would cost more than they share.

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::layout::find::{File, Within, lenient};
use crate::layout::parts::{Found, Parts};
use crate::layout::{Content, Part};
use crate::parquet::{Chunk, ParquetLayout, RowGroup, page_len};
use crate::source::Source;

/// What every file begins with.
pub(super) const MAGIC: &[u8] = b"PAR1";
/// Bytes of a page that is a part of its own.
const LARGE: u64 = 64 << 10;
/// Chunks of a file whose chunks are parts; of one with more, row groups are.
const MAX_CHUNKS: usize = 1 << 16;
/// Bytes that most headers of pages fit in, and those of all that are looked at.
const HEADER: u64 = 256;
const LONG_HEADER: u64 = 8 << 10;
/// Bytes of all headers of pages of a file that are read.
const MAX_READ: u64 = 16 << 20;
/// Pages after which a chunk of small ones is not looked at further.
const FEW: u64 = 16;
/// Bytes of the footer of a file in an archive, and how much more is held for it at most.
const MAX_INNER: u64 = 512 << 10;
const HELD: usize = 32;

/// Finds the parts of a Parquet file.
pub(super) fn parts(file: &File<'_>, mut budget: Budget) -> Result<Vec<Found>> {
    let source = file.source;
    if file.within == Within::Archive {
        let tail = source.read(source.size().saturating_sub(8), source.size().min(4) as usize)?;
        let len = tail.iter().rev().fold(0, |len, &byte| len << 8 | u64::from(byte));
        if len > MAX_INNER {
            return Err(Error::Limit { format: "parquet", what: "the footer", limit: MAX_INNER });
        }
        budget.take(len as usize * HELD)?;
    }
    let groups = ParquetLayout::read(source)?.row_groups;
    let held = |group: &RowGroup| size_of_val(group) + group.chunks.capacity() * size_of::<Chunk>();
    if file.within == Within::Nothing {
        budget.take(groups.iter().map(held).sum())?;
    }
    let mut parts = Parts::new(budget);
    let chunks: usize = groups.iter().map(|group| group.chunks.len()).sum();
    if chunks > MAX_CHUNKS {
        for range in groups.iter().filter_map(RowGroup::range) {
            parts.push(part(range.offset, range.offset + range.len))?;
        }
        return Ok(parts.into_found());
    }
    let mut pages = Pages { source, left: MAX_READ };
    for &chunk in groups.iter().flat_map(|group| &group.chunks) {
        pages.cut(chunk, &mut parts)?;
    }
    Ok(parts.into_found())
}

fn part(start: u64, end: u64) -> Part {
    Part { start, len: end - start, content: Content::Opaque, name: None }
}

struct Pages<'a> {
    source: &'a dyn Source,
    /// Bytes of headers that may still be read.
    left: u64,
}

impl Pages<'_> {
    /// Adds the parts of a chunk.
    fn cut(&mut self, chunk: Chunk, parts: &mut Parts) -> Result<()> {
        let end = chunk.offset + chunk.len;
        // Where the part begins that is not added yet.
        let mut begin = chunk.offset;
        if chunk.len > LARGE {
            let (mut at, mut pages) = (begin, 0);
            while let Some(len) = self.page(at, end)? {
                if len >= LARGE {
                    if begin < at {
                        parts.push(part(begin, at))?;
                    }
                    parts.push(part(at, at + len))?;
                    begin = at + len;
                }
                (at, pages) = (at + len, pages + 1);
                if pages == FEW && begin == chunk.offset {
                    break;
                }
            }
        }
        if begin < end {
            parts.push(part(begin, end))?;
        }
        Ok(())
    }

    /// Bytes of the page that begins here, its header included; none at the end of the chunk, and where
    /// there is no page or no more is read.
    fn page(&mut self, at: u64, end: u64) -> Result<Option<u64>> {
        for wanted in [HEADER, LONG_HEADER] {
            let wanted = wanted.min(end - at);
            let left = self.left.checked_sub(wanted);
            let Some(left) = left.filter(|_| wanted > 0) else { return Ok(None) };
            self.left = left;
            let bytes = self.source.read(at, wanted as usize)?;
            if let Some(len) = lenient(page_len(&bytes))? {
                return Ok(Some(len).filter(|&len| len <= end - at));
            }
        }
        Ok(None)
    }
}
