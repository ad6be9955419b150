//! [`Budget`]: what a parser may still hold, and how many bytes of names it may still put together.

use std::cell::Cell;
use std::rc::Rc;

use crate::MAX_MEMORY;
use crate::error::{Error, Result};

/// Kept back for windows, buffers and what is too small to count.
const RESERVE: usize = 2 << 20;
/// Bytes of names that are put together for one file, those of files within it included. A few bytes of a
/// pickle can ask for a name of thousands, and be many.
const MAX_NAMES: u64 = 1 << 26;

/// Counts the bytes that one parser holds, so that they stay below the crate's limit.
pub(crate) struct Budget {
    format: &'static str,
    left: usize,
    /// Bytes of names that are left; all shares of a budget take from the same.
    names: Rc<Cell<u64>>,
}

impl Budget {
    /// A budget that nothing was taken from.
    pub(crate) fn new(format: &'static str) -> Budget {
        Budget { format, left: MAX_MEMORY - RESERVE, names: Rc::new(Cell::new(MAX_NAMES)) }
    }

    /// A budget of one part in `parts` of what is left here. Nothing may be taken from this one while
    /// that other is in use, but what the other parts allow.
    pub(crate) fn share(&self, format: &'static str, parts: usize) -> Budget {
        Budget { format, left: self.left / parts, names: Rc::clone(&self.names) }
    }

    /// Takes bytes that will be held.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or(Error::Limit {
            format: self.format,
            what: "the structure",
            limit: MAX_MEMORY as u64,
        })?;
        Ok(())
    }

    /// Takes bytes of a name that is put together, whether it is held or not.
    pub(crate) fn name(&self, bytes: u64) -> Result<()> {
        let left = self.names.get().checked_sub(bytes).ok_or(Error::Limit {
            format: self.format,
            what: "the length of all names",
            limit: MAX_NAMES,
        })?;
        self.names.set(left);
        Ok(())
    }

    /// Gives back bytes that are no longer held.
    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.left += bytes;
    }

    /// Takes what an entry of a hash table costs: tables are up to half empty, and are copied to grow.
    pub(crate) fn take_entry<T>(&mut self, text: usize) -> Result<()> {
        self.take(4 * size_of::<T>() + text + 16)
    }

    /// Pushes onto a list, paying for the room when it grows.
    pub(crate) fn push<T>(&mut self, list: &mut Vec<T>, item: T) -> Result<()> {
        if list.len() == list.capacity() {
            let more = (list.len() / 2).max(4);
            self.take(more * size_of::<T>())?;
            list.reserve_exact(more);
        }
        list.push(item);
        Ok(())
    }
}
