//! Parquet tables: what differs, from their footers and the bytes of their row groups.

use std::cell::Cell;

use super::compare::ColumnChanges;
use super::{Bounds, Column, SharedRange, TableDiff, TableFormat};
use crate::error::Result;
use crate::parquet::{Chunk, ParquetLayout, RowGroup};
use crate::source::Source;

/// Bytes that are compared at a time.
const BLOCK: u64 = 256 << 10;

/// The columns of a layout.
pub(super) fn columns(layout: &ParquetLayout) -> Vec<Column> {
    let named = |column: &crate::ParquetColumn| Column {
        name: column.path.clone(),
        kind: column.kind.clone(),
    };
    layout.columns.iter().map(named).collect()
}

/// See [`super::compare_tables`]. `shared` must be ascending and lie within the files.
pub(super) fn compare(
    old: &dyn Source,
    new: &dyn Source,
    shared: &[SharedRange],
    bounds: &Bounds,
) -> Result<TableDiff> {
    let read = |source: &dyn Source| match source.size() {
        0 => Ok(ParquetLayout::default()),
        _ => ParquetLayout::read(source),
    };
    let (before, after) = (read(old)?, read(new)?);
    let changes = ColumnChanges::between(&columns(&before), &columns(&after));
    let (added, removed) = if before.rows == 0 || after.rows == 0 {
        (Some(after.rows), Some(before.rows))
    } else if before.columns == after.columns {
        let left = Cell::new(bounds.counted);
        let files = Files { old, new, shared: &super::walk::join(shared), left };
        files.rows_between(&before, &after)?
    } else {
        (None, None)
    };
    Ok(TableDiff {
        format: TableFormat::Parquet,
        rows_before: Some(before.rows),
        rows_after: Some(after.rows),
        rows_added: added,
        rows_removed: removed,
        columns_added: changes.added,
        columns_removed: changes.removed,
        columns_retyped: changes.retyped,
        row_groups: Some((before.row_groups.len() as u64, after.row_groups.len() as u64)),
    })
}

/// Two files whose row groups are compared byte by byte.
struct Files<'a> {
    old: &'a dyn Source,
    new: &'a dyn Source,
    shared: &'a [SharedRange],
    /// Bytes of each that may still be read.
    left: Cell<u64>,
}

impl Files<'_> {
    /// Rows added and removed, if all row groups of one file are in the other, in the same order: then
    /// the rows of the others are the difference. Else that would need the values, and both are unknown.
    fn rows_between(
        &self,
        before: &ParquetLayout,
        after: &ParquetLayout,
    ) -> Result<(Option<u64>, Option<u64>)> {
        let mut old = before.row_groups.iter().peekable();
        let mut new = after.row_groups.iter().peekable();
        let grown = before.row_groups.len() <= after.row_groups.len();
        while let (Some(old_group), Some(new_group)) = (old.peek(), new.peek()) {
            let same = self.is_same(old_group, new_group)?;
            if same || !grown {
                old.next();
            }
            if same || grown {
                new.next();
            }
        }
        Ok(match grown {
            true if old.peek().is_none() => (after.rows.checked_sub(before.rows), Some(0)),
            false if new.peek().is_none() => (Some(0), before.rows.checked_sub(after.rows)),
            _ => (None, None),
        })
    }

    /// Whether two row groups have the same bytes; no, if that would cost too much.
    fn is_same(&self, old: &RowGroup, new: &RowGroup) -> Result<bool> {
        if old.rows != new.rows || old.chunks.len() != new.chunks.len() || old.chunks.is_empty() {
            return Ok(false);
        }
        let mut pairs = old.chunks.iter().zip(&new.chunks);
        if !pairs.clone().all(|(a, b)| a.len == b.len) {
            return Ok(false);
        }
        pairs.try_fold(true, |same, (a, b)| Ok(same && self.is_same_chunk(*a, *b)?))
    }

    fn is_same_chunk(&self, old: Chunk, new: Chunk) -> Result<bool> {
        let after = self.shared.partition_point(|range| range.old <= old.offset);
        let range = after.checked_sub(1).and_then(|at| self.shared.get(at));
        let known = range.is_some_and(|range| {
            let inside = old.offset - range.old;
            range.new.checked_add(inside) == Some(new.offset)
                && range.len.checked_sub(inside).is_some_and(|rest| rest >= old.len)
        });
        if known {
            return Ok(true);
        }
        let mut at = 0;
        while at < old.len {
            let len = (old.len - at).min(BLOCK);
            let Some(left) = self.left.get().checked_sub(len) else { return Ok(false) };
            self.left.set(left);
            let [a, b] = [(self.old, old), (self.new, new)]
                .map(|(source, chunk)| source.read(chunk.offset + at, len as usize));
            if a? != b? {
                return Ok(false);
            }
            at += len;
        }
        Ok(true)
    }
}
