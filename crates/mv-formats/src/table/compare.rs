//! What differs between two tables.

use std::collections::HashMap;

use super::head::Head;
use super::walk::{RowCounts, Side, compare_rows, count_rows};
use super::{Bounds, Column, Retyped, SharedRange, TableDiff, TableFormat};
use crate::error::Result;
use crate::source::Source;

/// See [`super::compare_tables`].
pub(super) fn compare(
    format: TableFormat,
    old: &dyn Source,
    new: &dyn Source,
    shared: &[SharedRange],
    bounds: &Bounds,
) -> Result<TableDiff> {
    let read = |source| -> Result<Side<'_>> {
        let head = Head::read(format, source, bounds)?;
        Ok(Side { source, head, fields: None })
    };
    let mut sides = [read(old)?, read(new)?];
    let rows = match Basis::of(format, &sides) {
        Basis::Whole => {
            let shared = in_bounds(shared, old.size(), new.size());
            compare_rows(&mut sides, &shared, bounds)?
        }
        Basis::Fields(pairs) => {
            let (old_fields, new_fields) = pairs.into_iter().unzip();
            sides[0].fields = Some(old_fields);
            sides[1].fields = Some(new_fields);
            compare_rows(&mut sides, &[], bounds)?
        }
        Basis::Nothing => {
            let before = count_rows(&sides[0], bounds)?;
            let after = count_rows(&sides[1], bounds)?;
            RowCounts { before, after, added: after, removed: before }
        }
    };

    let mut columns = sides.each_ref().map(|side| side.head.shape.columns());
    if ColumnChanges::between(&columns[0], &columns[1]).in_doubt(format) {
        for side in &mut sides {
            side.head.shape.observe_up_to(side.source, side.head.body, bounds)?;
        }
        columns = sides.each_ref().map(|side| side.head.shape.columns());
    }
    let changes = ColumnChanges::between(&columns[0], &columns[1]);
    Ok(TableDiff {
        format,
        rows_before: rows.before,
        rows_after: rows.after,
        rows_added: rows.added,
        rows_removed: rows.removed,
        columns_added: changes.added,
        columns_removed: changes.removed,
        columns_retyped: changes.retyped,
        row_groups: None,
    })
}

/// What of two rows is compared.
enum Basis {
    /// Everything.
    Whole,
    /// These fields of the old row and of the new one.
    Fields(Vec<(usize, usize)>),
    /// No column is in both.
    Nothing,
}

impl Basis {
    fn of(format: TableFormat, [old, new]: &[Side<'_>; 2]) -> Basis {
        if format == TableFormat::JsonLines {
            return Basis::Whole;
        }
        let columns = [old, new].map(|side| side.head.shape.columns());
        let pairs = pairs(&columns[0], &columns[1]);
        let all = pairs.len() == columns[0].len() && pairs.len() == columns[1].len();
        let in_order = pairs.iter().all(|(a, b)| a == b);
        let alike = old.head.grammar == new.head.grammar && old.head.named == new.head.named;
        match () {
            () if all && in_order && alike => Basis::Whole,
            () if pairs.is_empty() => Basis::Nothing,
            () => Basis::Fields(pairs),
        }
    }
}

/// Shared ranges that are what they should be: inside both files, one after the other.
fn in_bounds(shared: &[SharedRange], old_size: u64, new_size: u64) -> Vec<SharedRange> {
    let (mut old_end, mut new_end) = (0, 0);
    let fits = |range: &&SharedRange| {
        let old = range.old.checked_add(range.len).filter(|&end| end <= old_size);
        let new = range.new.checked_add(range.len).filter(|&end| end <= new_size);
        let (Some(old), Some(new)) = (old, new) else { return false };
        let follows = range.old >= old_end && range.new >= new_end;
        if follows {
            (old_end, new_end) = (old, new);
        }
        follows
    };
    shared.iter().filter(fits).copied().collect()
}

/// The columns that are in both, as numbers in the old and the new table, in the order of the
/// old one. Of several with one name the first goes with the first, the second with the second.
fn pairs(old: &[Column], new: &[Column]) -> Vec<(usize, usize)> {
    let numbered = number_equals(new);
    let places: HashMap<_, usize> = numbered.into_iter().zip(0..).collect();
    let found = number_equals(old).into_iter().enumerate();
    found.filter_map(|(at, name)| Some((at, *places.get(&name)?))).collect()
}

/// Each name, with how many equal ones stand before it.
fn number_equals(columns: &[Column]) -> Vec<(&str, usize)> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let names = columns.iter().map(|column| column.name.as_str());
    let number = |name| {
        let count = seen.entry(name).or_insert(0);
        *count += 1;
        (name, *count)
    };
    names.map(number).collect()
}

/// Columns that came, went or changed.
pub(super) struct ColumnChanges {
    pub(super) added: Vec<Column>,
    pub(super) removed: Vec<Column>,
    pub(super) retyped: Vec<Retyped>,
}

impl ColumnChanges {
    /// What changed between these columns. A column that had no values and now has some, or the other way
    /// round, is not of another kind.
    pub(super) fn between(old: &[Column], new: &[Column]) -> ColumnChanges {
        let pairs = pairs(old, new);
        let mut kept = (vec![false; old.len()], vec![false; new.len()]);
        let mut retyped = Vec::new();
        for &(before, after) in &pairs {
            kept.0[before] = true;
            kept.1[after] = true;
            let (from, to) = (&old[before], &new[after]);
            if from.kind != to.kind && from.kind != "empty" && to.kind != "empty" {
                let (name, from, to) = (from.name.clone(), from.kind.clone(), to.kind.clone());
                retyped.push(Retyped { name, from, to });
            }
        }
        let rest = |columns: &[Column], kept: Vec<bool>| {
            let rest = columns.iter().zip(kept).filter(|(_, kept)| !kept);
            rest.map(|(column, _)| column.clone()).collect()
        };
        ColumnChanges { added: rest(new, kept.1), removed: rest(old, kept.0), retyped }
    }

    /// Whether a larger sample might show that there is no change.
    fn in_doubt(&self, format: TableFormat) -> bool {
        let keys = format == TableFormat::JsonLines;
        !self.retyped.is_empty() || keys && !(self.added.is_empty() && self.removed.is_empty())
    }
}
