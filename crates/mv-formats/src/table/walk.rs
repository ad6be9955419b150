//! The rows of two text tables, one against the other, reading only what may differ.
//!
//! Two cursors go through the files side by side, so that rows which are equal and near each other cancel
//! at once and only those that differ are held. Where both cursors stand at the same place of a shared
//! range, at the beginning of a record, what follows in the range is read alike on both sides. It is
//! then left out, up to the beginning of the last record in it.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use memchr::{memchr, memchr3};

use super::boundary::record_before;
use super::head::{Head, Shape};
use super::records::{BLOCK, Fields, Grammar, Records, trim};
use super::rows::{RowBag, Share};
use super::{Bounds, SharedRange};
use crate::error::{Error, Result};
use crate::source::Source;

/// One of the two files.
pub(super) struct Side<'a> {
    /// Its bytes.
    pub(super) source: &'a dyn Source,
    /// Its columns; rows that may differ add to what is known of them.
    pub(super) head: Head,
    /// Which fields of a row are compared, in which order; all as they are if none.
    pub(super) fields: Option<Vec<usize>>,
}

/// What comparing rows found. Unknown numbers are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowCounts {
    /// Rows of the old table.
    pub(super) before: Option<u64>,
    /// Rows of the new table.
    pub(super) after: Option<u64>,
    /// Rows that were added.
    pub(super) added: Option<u64>,
    /// Rows that were removed.
    pub(super) removed: Option<u64>,
}

/// Compares the rows. `shared` must be ascending and lie within the files, and its ranges have the
/// same meaning on both sides: equal columns, equal grammar.
///
/// # Errors
/// [`Error::Read`].
pub(super) fn compare_rows(
    sides: &mut [Side<'_>; 2],
    shared: &[SharedRange],
    bounds: &Bounds,
) -> Result<RowCounts> {
    let shared = worthwhile(shared, bounds);
    let counted = sides.iter().all(|side| side.source.size() <= bounds.counted);
    let total: u64 = sides.iter().map(|side| side.source.size()).sum();
    let left_out: u64 = shared.iter().map(|range| range.len * 2).sum();
    // Behind each range reading begins anew, after a look for where a record begins.
    let detours = shared.len() as u64 * (bounds.record as u64 + 2 * BLOCK);
    let cost = if counted { total } else { total.saturating_sub(left_out) + detours };

    let allowance = Cell::new(bounds.read);
    let hasher = RandomState::new();
    let mut counts = RowCounts::default();
    let mut sum = (0, 0);
    let mut shares = vec![Share::default()];
    let mut first = true;
    while let Some(share) = shares.pop() {
        if cost > allowance.get() {
            return Ok(counts);
        }
        let bag = RowBag::new(share, bounds.slots);
        let mut pass = Pass::new(sides, bag, &hasher, &allowance, counted, first, bounds);
        match pass.run(&shared) {
            Ok(()) => {}
            Err(Error::Limit { .. }) => return Ok(counts),
            Err(e) => return Err(e),
        }
        if first && pass.all_rows_seen {
            let [old, new] = &pass.cursors;
            (counts.before, counts.after) = (Some(old.rows), Some(new.rows));
        }
        let (added, removed) = pass.bag.added_and_removed();
        sum = (sum.0 + added, sum.1 + removed);
        shares.append(&mut pass.bag.left);
        first = false;
    }
    Ok(RowCounts { added: Some(sum.0), removed: Some(sum.1), ..counts })
}

/// How many rows a table has; none if its file is too large to be read for that.
///
/// # Errors
/// [`Error::Read`].
pub(super) fn count_rows(side: &Side<'_>, bounds: &Bounds) -> Result<Option<u64>> {
    if side.source.size() > bounds.counted {
        return Ok(None);
    }
    let allowance = Cell::new(u64::MAX);
    let Head { grammar, body, .. } = side.head;
    let mut records = Records::new(side.source, grammar, body, bounds.record, &allowance);
    let mut rows = 0;
    loop {
        match records.peek() {
            Ok(0) => return Ok(Some(rows)),
            Ok(len) => rows += u64::from(!trim(records.take(len)).is_empty()),
            Err(Error::Limit { .. }) => return Ok(None),
            Err(e) => return Err(e),
        }
    }
}

/// Ranges that are long enough to save anything.
fn worthwhile(shared: &[SharedRange], bounds: &Bounds) -> Vec<SharedRange> {
    let mut ranges = join(shared);
    ranges.retain(|range| range.len >= 4 * bounds.record as u64);
    ranges
}

/// Ranges that follow each other in both files made one.
pub(super) fn join(shared: &[SharedRange]) -> Vec<SharedRange> {
    let mut joined: Vec<SharedRange> = Vec::new();
    for &range in shared {
        match joined.last_mut() {
            Some(last) if last.old + last.len == range.old && last.new + last.len == range.new => {
                last.len += range.len;
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// One way through both files.
struct Pass<'a> {
    cursors: [Cursor<'a>; 2],
    bag: RowBag,
    hasher: &'a RandomState,
    bounds: &'a Bounds,
    /// Whether what both share is read on one side to count its rows.
    counted: bool,
    /// Whether nothing was left out unread.
    all_rows_seen: bool,
    /// Whether equal bytes are equal rows: the same fields of them are compared.
    comparable: bool,
    fields: Fields,
    text: Vec<u8>,
}

/// Where a pass is in one file.
struct Cursor<'a> {
    source: &'a dyn Source,
    grammar: Grammar,
    records: Records<'a>,
    fields: Option<&'a [usize]>,
    /// What is told about the rows that may differ, and how many bytes more.
    shape: &'a mut Shape,
    sample: u64,
    /// Rows that it went past.
    rows: u64,
    /// What each counts: -1 in the old file, 1 in the new one.
    sign: i32,
}

impl<'a> Pass<'a> {
    fn new(
        sides: &'a mut [Side<'_>; 2],
        bag: RowBag,
        hasher: &'a RandomState,
        allowance: &'a Cell<u64>,
        counted: bool,
        first: bool,
        bounds: &'a Bounds,
    ) -> Pass<'a> {
        let mut sign = -3;
        let cursors = sides.each_mut().map(|side| {
            sign += 2;
            let Head { grammar, body, .. } = side.head;
            Cursor {
                source: side.source,
                grammar,
                records: Records::new(side.source, grammar, body, bounds.record, allowance),
                fields: side.fields.as_deref(),
                shape: &mut side.head.shape,
                sample: if first { bounds.sample } else { 0 },
                rows: 0,
                sign,
            }
        });
        let [old, new] = &cursors;
        let comparable = old.grammar == new.grammar && old.fields == new.fields;
        Pass {
            comparable,
            cursors,
            bag,
            hasher,
            bounds,
            counted,
            all_rows_seen: true,
            fields: Fields::default(),
            text: Vec::new(),
        }
    }

    fn run(&mut self, shared: &[SharedRange]) -> Result<()> {
        for range in shared {
            if self.meet_in(range)? {
                self.leave_out(range)?;
            }
        }
        let ends = self.cursors.each_ref().map(|cursor| cursor.source.size());
        self.meet_in(&SharedRange { old: ends[0], new: ends[1], len: 0 })?;
        Ok(())
    }

    /// Goes on until both cursors are at the same place of this range; says whether they got there.
    fn meet_in(&mut self, range: &SharedRange) -> Result<bool> {
        let mut side = 0;
        loop {
            let [old, new] = self.positions();
            if old >= range.old && new >= range.new {
                let (old_in, new_in) = (old - range.old, new - range.new);
                if old_in >= range.len || new_in >= range.len {
                    return Ok(false);
                }
                if old_in == new_in {
                    return Ok(true);
                }
                self.step(usize::from(new_in < old_in))?;
            } else if old >= range.old || new >= range.new {
                self.step(usize::from(new < range.new))?;
            } else if !self.step_both_if_equal()? {
                // A row that the other side had already been past: this side is behind, and goes on
                // until both are at equal rows again.
                let behind = self.step(side)?;
                side = if behind { side } else { 1 - side };
            }
        }
    }

    /// Passes over the next record of both sides if they are equal byte by byte.
    fn step_both_if_equal(&mut self) -> Result<bool> {
        let [old, new] = &mut self.cursors;
        if !self.comparable {
            return Ok(false);
        }
        let len = old.records.peek()?;
        let record = old.records.ahead(len);
        if old.records.is_last(len) || new.records.ahead(len) != record {
            return Ok(false);
        }
        let rows = u64::from(!trim(record).is_empty());
        for cursor in [old, new] {
            cursor.rows += rows;
            cursor.records.take(len);
        }
        Ok(true)
    }

    fn positions(&self) -> [u64; 2] {
        self.cursors.each_ref().map(|cursor| cursor.records.position())
    }

    /// Takes the next record of one side into account; says whether the other side had it before. There
    /// must be one.
    fn step(&mut self, side: usize) -> Result<bool> {
        let cursor = &mut self.cursors[side];
        let len = cursor.records.peek()?;
        let row = trim(cursor.records.take(len));
        if row.is_empty() {
            return Ok(false);
        }
        cursor.rows += 1;
        if let Some(left) = cursor.sample.checked_sub(len as u64) {
            cursor.sample = left;
            cursor.shape.observe(row)?;
        }
        let plain = match (cursor.grammar, cursor.fields) {
            (Grammar::Lines, _) => row,
            (Grammar::Fields { .. }, None) if memchr(b'"', row).is_none() => row,
            (Grammar::Fields { delimiter }, None) => {
                self.fields.split(row, delimiter);
                requote(&self.fields, delimiter, &mut self.text);
                &self.text
            }
            (Grammar::Fields { delimiter }, Some(fields)) => {
                self.fields.split(row, delimiter);
                pick(&self.fields, fields, &mut self.text);
                &self.text
            }
        };
        let mut hasher = self.hasher.build_hasher();
        hasher.write(plain);
        Ok(self.bag.add(hasher.finish(), cursor.sign))
    }

    /// Moves both cursors, which are at the same place of this range, to the last record that begins in it.
    fn leave_out(&mut self, range: &SharedRange) -> Result<()> {
        let [old, new] = &mut self.cursors;
        let end = range.old + range.len;
        if !self.counted
            && let Some(begin) = record_before(old.source, old.grammar, end, self.bounds.record)?
        {
            if let Some(skipped) = begin.checked_sub(old.records.position()) {
                self.all_rows_seen = false;
                old.records.seek(begin);
                new.records.seek(new.records.position() + skipped);
            }
            return Ok(());
        }
        let from = old.records.position();
        let mut rows = 0;
        loop {
            let len = old.records.peek()?;
            if old.records.is_last(len) || old.records.position() + len as u64 > end {
                break;
            }
            let record = old.records.take(len);
            rows += u64::from(!trim(record).is_empty());
        }
        old.rows += rows;
        new.rows += rows;
        let skipped = old.records.position() - from;
        new.records.seek(new.records.position() + skipped);
        Ok(())
    }
}

/// Fields as one text that is the same however they were quoted: quoted where they must be.
fn requote(fields: &Fields, delimiter: u8, text: &mut Vec<u8>) {
    text.clear();
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            text.push(delimiter);
        }
        if memchr3(delimiter, b'\n', b'"', field).is_none() {
            text.extend_from_slice(field);
            continue;
        }
        text.push(b'"');
        for part in field.split_inclusive(|&b| b == b'"') {
            text.extend_from_slice(part);
            if part.ends_with(b"\"") {
                text.push(b'"');
            }
        }
        text.push(b'"');
    }
}

/// Some fields with their lengths. What is missing is empty.
fn pick(fields: &Fields, numbers: &[usize], text: &mut Vec<u8>) {
    text.clear();
    for &number in numbers {
        let field = fields.get(number).unwrap_or_default();
        text.extend_from_slice(&(field.len() as u64).to_le_bytes());
        text.extend_from_slice(field);
    }
}
