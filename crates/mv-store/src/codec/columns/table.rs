//! Delimited text as rows and columns: which delimiter, how many fields, what is no row.

use std::collections::BTreeMap;

use super::super::streams;
use super::COLUMNS;

/// What may stand between fields.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// The fewest rows: below, the overhead of columns is too large.
const FEWEST: usize = 16;
/// Bytes looked at to find the delimiter.
const SAMPLE: usize = 64 << 10;

/// A block as rows and columns.
pub(super) struct Table<'a> {
    /// What stands between fields.
    pub(super) delimiter: u8,
    /// Whether rows end in a carriage return and a newline.
    pub(super) carriage: bool,
    /// How many rows there are.
    pub(super) rows: usize,
    /// The fields of each column from the first row to the last.
    pub(super) columns: Vec<Vec<&'a [u8]>>,
    /// Where the loose bytes stand, as it is stored.
    pub(super) pieces: Vec<u8>,
    /// What is in no row.
    pub(super) loose: Vec<u8>,
}

impl<'a> Table<'a> {
    /// The table of a block, if most of it is one.
    pub(super) fn of(raw: &'a [u8]) -> Option<Table<'a>> {
        let sample = raw.get(..SAMPLE).unwrap_or(raw);
        let (delimiter, count) = delimiter(sample)?;
        let carriage = sample.split_inclusive(|&b| b == b'\n').nth(1)?.ends_with(b"\r\n");
        let ending: &[u8] = if carriage { b"\r\n" } else { b"\n" };
        let mut table = Table {
            delimiter,
            carriage,
            rows: 0,
            columns: vec![Vec::new(); count],
            pieces: Vec::new(),
            loose: Vec::new(),
        };
        let mut since = 0;
        let mut fields = Vec::with_capacity(count);
        for line in raw.split_inclusive(|&byte| byte == b'\n') {
            fields.clear();
            if let Some(row) = line.strip_suffix(ending) {
                fields.extend(row.split(|&byte| byte == delimiter).take(count + 1));
            }
            if fields.len() == count {
                for (column, field) in table.columns.iter_mut().zip(&fields) {
                    column.push(field);
                }
                table.rows += 1;
                since += 1;
            } else {
                streams::put_varint(&mut table.pieces, since);
                streams::put_varint(&mut table.pieces, line.len() as u64);
                table.loose.extend_from_slice(line);
                since = 0;
            }
        }
        (table.rows >= FEWEST && table.loose.len() <= raw.len() / 4).then_some(table)
    }
}

/// The delimiter that most lines have in the same number, and how many fields that makes.
fn delimiter(sample: &[u8]) -> Option<(u8, usize)> {
    let lines: Vec<&[u8]> = sample.split(|&byte| byte == b'\n').collect();
    // The first and the last may be cut.
    let lines = lines.get(1..lines.len().checked_sub(1)?)?;
    let mut best = None;
    for delimiter in DELIMITERS {
        let mut counts = BTreeMap::new();
        for line in lines {
            let fields = line.iter().filter(|&&byte| byte == delimiter).count() + 1;
            *counts.entry(fields).or_insert(0usize) += 1;
        }
        let usual = counts.into_iter().filter(|&(fields, _)| (2..=COLUMNS).contains(&fields));
        if let Some((fields, lines)) = usual.max_by_key(|&(_, lines)| lines) {
            let rank = (lines, fields);
            best = best.filter(|&(held, _)| held >= rank).or(Some((rank, delimiter)));
        }
    }
    let ((_, fields), delimiter) = best?;
    Some((delimiter, fields))
}
