//! [`Parts`]: parts while they are being found, in any order, and what makes a layout of them.

use std::cmp::Reverse;

use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::layout::{Content, Layout, Part};

/// What one allocation costs beside its bytes.
const OVERHEAD: usize = 16;

/// A part, and how many were found before it.
pub(super) struct Found {
    pub(super) part: Part,
    pub(super) order: usize,
}

/// Parts that were found, within a budget.
pub(super) struct Parts {
    list: Vec<Found>,
    budget: Budget,
}

impl Parts {
    /// No parts.
    pub(super) fn new(budget: Budget) -> Parts {
        Parts { list: Vec::new(), budget }
    }

    /// What may still be held.
    pub(super) fn budget(&mut self) -> &mut Budget {
        &mut self.budget
    }

    /// Adds a part.
    pub(super) fn push(&mut self, part: Part) -> Result<()> {
        self.budget.take(held(&part))?;
        let order = self.list.len();
        self.budget.push(&mut self.list, Found { part, order })
    }

    /// Adds the parts of a file that is these bytes of this one.
    pub(super) fn nest(&mut self, inner: Vec<Found>, offset: u64, len: u64) -> Result<()> {
        // Held beside the list that they are taken over into.
        let beside = inner.capacity() * size_of::<Found>();
        self.budget.take(beside)?;
        for Found { mut part, .. } in inner {
            let end = part.start.checked_add(part.len);
            if end.is_some_and(|end| end <= len) {
                part.start += offset;
                self.push(part)?;
            }
        }
        self.budget.give_back(beside);
        Ok(())
    }

    /// All of them, in the order in which they were found.
    pub(super) fn into_found(self) -> Vec<Found> {
        self.list
    }
}

/// Bytes that a part holds outside of itself.
fn held(part: &Part) -> usize {
    let name = part.name.as_ref().map_or(0, String::capacity);
    let content = match &part.content {
        Content::Opaque => 0,
        Content::Tensor { dtype, shape } => {
            let dtype = match dtype {
                Dtype::Block { name, .. } | Dtype::Other(name) => name.capacity(),
                _ => 0,
            };
            dtype + size_of_val(shape.as_slice())
        }
    };
    name + content + OVERHEAD
}

/// Puts the parts in order and leaves out those that are empty, outside the file, or overlap one before:
/// of equal ranges the first that was found stays, else the one that begins first, or is longer.
pub(super) fn finish(mut found: Vec<Found>, size: u64) -> Option<Layout> {
    found.sort_unstable_by_key(|found| (found.part.start, Reverse(found.part.len), found.order));
    let mut free = 0;
    found.retain(|Found { part, .. }| {
        let end = part.start.checked_add(part.len).filter(|&end| end <= size);
        let Some(end) = end.filter(|_| part.len > 0 && part.start >= free) else { return false };
        free = end;
        true
    });
    let parts: Vec<Part> = found.into_iter().map(|found| found.part).collect();
    (!parts.is_empty()).then_some(Layout { parts })
}
