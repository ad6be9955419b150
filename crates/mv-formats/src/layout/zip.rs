//! Parts of a zip: what its entries hold. Stored arrays and checkpoints are tensors, other stored entries
//! are looked into once, and what is compressed is opaque.

use crate::budget::Budget;
use crate::error::Result;
use crate::layout::find::{self, File, START, lenient};
use crate::layout::parts::{Found, Parts};
use crate::layout::{Content, Part, torch};
use crate::pickle::torch::main_entry;
use crate::zip::{Entry, Method, entries};

/// Bytes that are read of an entry at once: its header, and most often enough behind it.
const PEEK: usize = 2 * START;

/// Finds the parts of a zip.
pub(super) fn parts(file: &File<'_>, mut budget: Budget) -> Result<Vec<Found>> {
    let mut entries = entries(file.source, &mut budget)?;
    if let Some(main) = main_entry(&entries).filter(|_| file.one_more_pickle()) {
        let main = entries.iter().position(|entry| std::ptr::eq(entry, main)).unwrap_or_default();
        let budget = budget.share("pytorch", 1);
        if let Some(found) = lenient(torch::parts(file.source, &mut entries, main, budget))? {
            return Ok(found);
        }
    }
    let mut parts = Parts::new(budget);
    // Entries that share bytes are no more than one of them: else many of them could make a file of
    // kilobytes cost as much as one of terabytes.
    entries.sort_unstable_by_key(|entry| entry.header);
    let mut free = 0;
    for entry in entries.into_iter().filter(|entry| entry.packed > 0) {
        if entry.header >= free {
            free = self::entry(file, entry, &mut parts)?.unwrap_or(free);
        }
    }
    Ok(parts.into_found())
}

/// Adds what an entry holds, and says where it ends. One that lies has no part.
fn entry(file: &File<'_>, entry: Entry, parts: &mut Parts) -> Result<Option<u64>> {
    let stored = entry.method == Some(Method::Stored);
    let begin = entry.begin(file.source, if stored { PEEK } else { 0 });
    let Some((offset, start)) = lenient(begin)? else { return Ok(None) };
    let (len, name) = (entry.packed, entry.name);
    if stored {
        find::entry(file, name, (offset, len), start, parts)?;
    } else {
        parts.push(Part { start: offset, len, content: Content::Opaque, name: Some(name) })?;
    }
    Ok(Some(offset + len))
}
