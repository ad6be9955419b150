//! Which new chunks share a block.
//!
//! A chunk alone in its block is read without others, and so it is at a commit. With all the work that
//! may pay, chunks that follow one another are one block: tables by columns want many rows, and bytes
//! repeat themselves further apart than a chunk is long.

use std::ops::Range;

use crate::changed_runs::{Fate, Prepared};
use crate::effort::Effort;
use crate::encode::{self, Encoded};
use crate::error::Result;
use crate::outline::Outline;
use crate::pack::MAX_SHARED;
use crate::windows::Cut;

/// A chunk of a window and how it was cut.
pub(crate) type Chunk<'a> = (&'a Cut, &'a [u8]);

/// Chunks as they are to be stored.
pub(crate) struct Block {
    /// Their numbers in the window.
    pub(crate) chunks: Range<usize>,
    pub(crate) encoded: Encoded,
}

/// The chunks of which nothing is known yet: those that follow one another, as far as one block
/// may hold; numbers each alone.
pub(crate) fn groups(work: &[Chunk<'_>], prepared: &[Prepared]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for n in (0..work.len()).filter(|n| matches!(prepared[*n].fate, Fate::Fresh)) {
        let (cut, chunk) = work[n];
        bytes += chunk.len();
        match groups.last_mut() {
            Some(last)
                if last.end == n
                    && bytes as u64 <= MAX_SHARED
                    && cut.element.is_none()
                    && work[last.start].0.element.is_none() =>
            {
                last.end = n + 1;
            }
            _ => {
                groups.push(n..n + 1);
                bytes = chunk.len();
            }
        }
    }
    groups
}

/// Encodes a group as one block or as several.
pub(crate) fn encode_group(
    outline: &Outline,
    work: &[Chunk<'_>],
    group: Range<usize>,
    level: i32,
) -> Result<Vec<Block>> {
    if group.len() > 1 && outline.effort == Effort::Best {
        let chunks: Vec<&[u8]> = work[group.clone()].iter().map(|(_, chunk)| *chunk).collect();
        let encoded = encode::at_leisure(&chunks.concat(), level)?;
        return Ok(vec![Block { chunks: group, encoded }]);
    }
    let one = |n| Ok(Block { chunks: n..n + 1, encoded: alone(outline, work[n], level)? });
    group.map(one).collect()
}

/// Encodes a chunk by itself.
pub(crate) fn alone(outline: &Outline, (cut, chunk): Chunk<'_>, level: i32) -> Result<Encoded> {
    match cut.element {
        Some(element) => encode::numbers(chunk, element, outline.effort),
        None if outline.effort == Effort::Best => encode::at_leisure(chunk, level),
        None => encode::plain(chunk, level),
    }
}
