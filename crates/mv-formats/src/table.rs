//! Tables: their columns, and what differs between two of them.
//!
//! Text tables (CSV, TSV, JSON lines) have no index, so that what is said about them is either
//! exact or not said:
//!
//! - **Rows are a multiset.** Order does not matter. `rows_added` and `rows_removed` are the two
//!   halves of the multiset difference. They are exact but for collisions of a keyed 64-bit hash
//!   among the rows that differ: about one in 10^7 for two million of them. They are `None` when
//!   finding them would mean reading more than 4 GiB, or when a record is longer than 1 MiB.
//! - **The number of rows** is counted in files of at most 256 MiB, and where everything is read
//!   anyway.
//! - **Kinds of columns** are those of a sample: the first MiB of a file, and in a comparison the first
//!   8 MiB of rows that are not the same at the same place in both. A change of kind (and a key of JSON
//!   lines that comes or goes) is reported if the first 256 MiB of both files bear it out.
//!
//! Parquet has its numbers in its footer, and no page of it is decoded. Rows added and removed are known
//! when one file has all row groups of the other, byte for byte and in the same order, as
//! after an append.
//!
//! The grammar of CSV: a record ends at a newline outside quotes, with or without a
//! carriage return before it; a field that begins with a quote runs to the next quote that is
//! not doubled; blank lines are no records; a UTF-8 byte-order mark is skipped.

mod kind;
mod records;
mod rows;

mod boundary;
mod head;

mod walk;

mod compare;
mod groups;

#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::parquet::ParquetLayout;
use crate::source::Source;

/// Kinds of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TableFormat {
    /// `.csv`: comma, semicolon, tab or bar between fields, whichever its head suggests.
    Csv,
    /// `.tsv`, `.tab`
    Tsv,
    /// `.jsonl`, `.ndjson`: one JSON value a line.
    JsonLines,
    /// `.parquet`
    Parquet,
}

impl TableFormat {
    /// Its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TableFormat::Csv => "csv",
            TableFormat::Tsv => "tsv",
            TableFormat::JsonLines => "json lines",
            TableFormat::Parquet => "parquet",
        }
    }

    /// The format that a file's name promises.
    #[must_use]
    pub fn of_name(name: &str) -> Option<TableFormat> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "csv" => TableFormat::Csv,
            "tsv" | "tab" => TableFormat::Tsv,
            "jsonl" | "ndjson" => TableFormat::JsonLines,
            "parquet" | "pq" => TableFormat::Parquet,
            _ => return None,
        })
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, not escaped: a field of the header, `column 3` in a file without one, a key of
    /// the objects, the dotted path of a Parquet leaf.
    pub name: String,
    /// What its values are. Text tables: `int`, `float`, `bool`, `date`, `timestamp`, `text`, `empty`,
    /// and in JSON lines `list`, `object`, `mixed`. Parquet: its type.
    pub kind: String,
}

/// A column whose values are of another kind than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retyped {
    /// Its name, not escaped.
    pub name: String,
    /// Its kind before.
    pub from: String,
    /// Its kind now.
    pub to: String,
}

/// What a file of rows and columns says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What kind of file it is.
    pub format: TableFormat,
    /// Its columns, in the order of the file.
    pub columns: Vec<Column>,
    /// Its rows, where the format records them.
    pub rows: Option<u64>,
    /// Its row groups, where the format has them.
    pub row_groups: Option<u64>,
}

/// A range of bytes that both files are known to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedRange {
    /// Where it begins in the old file.
    pub old: u64,
    /// Where it begins in the new file.
    pub new: u64,
    /// Its bytes.
    pub len: u64,
}

/// What differs between two tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDiff {
    /// What kind of files they are.
    pub format: TableFormat,
    /// Rows of the old table.
    pub rows_before: Option<u64>,
    /// Rows of the new table.
    pub rows_after: Option<u64>,
    /// Rows that the new table has and the old one has not, each as often as it is there more often.
    pub rows_added: Option<u64>,
    /// Rows that the old table has and the new one has not.
    pub rows_removed: Option<u64>,
    /// Columns that only the new table has, in its order.
    pub columns_added: Vec<Column>,
    /// Columns that only the old table has, in its order.
    pub columns_removed: Vec<Column>,
    /// Columns of both whose kind changed.
    pub columns_retyped: Vec<Retyped>,
    /// Row groups of the old and the new table, where the format has them.
    pub row_groups: Option<(u64, u64)>,
}

/// How much is read, and held; smaller in tests.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Bytes of the longest record, of the head that is read first, and of what is read to find where a
    /// record begins.
    record: usize,
    /// Bytes of the rows of each file whose columns are looked at while they are compared.
    sample: u64,
    /// Bytes of each file that must bear out a change of kind.
    proof: u64,
    /// Bytes of a file that is read to count its rows.
    counted: u64,
    /// Bytes of both files that are read to compare rows.
    read: u64,
    /// Slots for differing rows: about seven times as many rows are held at once.
    slots: usize,
}

const BOUNDS: Bounds = Bounds {
    record: 1 << 20,
    sample: 8 << 20,
    proof: 256 << 20,
    counted: 256 << 20,
    read: 4 << 30,
    slots: rows::MAX_SLOTS,
};

/// As [`compare_tables`], with records of at most so many bytes, ranges skipped from four times as
/// many on, and room for so few differing rows that bags overflow.
///
/// # Errors
/// As [`compare_tables`].
#[cfg(feature = "fuzzing")]
pub fn compare_tables_within(
    record: usize,
    name: &str,
    old: &dyn Source,
    new: &dyn Source,
    shared: &[SharedRange],
) -> Result<Option<TableDiff>> {
    let Some(format) = TableFormat::of_name(name) else { return Ok(None) };
    let bounds = Bounds { record, sample: 1 << 20, proof: 1 << 20, counted: 0, slots: 8, ..BOUNDS };
    compare::compare(format, old, new, shared, &bounds).map(Some)
}

/// Columns of one table. No real table comes near; a hostile head could name millions.
const MAX_COLUMNS: usize = 1 << 16;
/// Different keys in the lines of one file, and bytes of their names.
const MAX_KEYS: usize = 1 << 14;
const MAX_KEY_BYTES: usize = 1 << 20;

/// Column names and kinds, from the head of the file; none if the name is not that of a table.
///
/// Of text at most 1 MiB is read, of Parquet the footer. Rows are known only where the format records them. An empty text file is a
/// table without columns.
///
/// # Errors
/// [`crate::Error::Malformed`] if it is not a table of the format that its name says,
/// [`crate::Error::Limit`] if its head is too large, [`crate::Error::Read`].
pub fn read_table(name: &str, source: &dyn Source) -> Result<Option<Table>> {
    let Some(format) = TableFormat::of_name(name) else { return Ok(None) };
    if format == TableFormat::Parquet {
        let layout = ParquetLayout::read(source)?;
        let (rows, groups) = (layout.rows, layout.row_groups.len() as u64);
        let columns = groups::columns(&layout);
        return Ok(Some(Table { format, columns, rows: Some(rows), row_groups: Some(groups) }));
    }
    let head = head::Head::read(format, source, &BOUNDS)?;
    Ok(Some(Table { format, columns: head.shape.columns(), rows: None, row_groups: None }))
}

/// What differs between two tables; none if the name is not that of a table.
///
/// An empty source stands for a file that is not there: all columns and rows are added or
/// removed. When columns were added, removed or moved, rows are compared on the columns that both
/// have, so that a new column alone changes no row (and without any common column, every row is
/// removed and added); a field that is missing then equals an empty one, and fields beyond the
/// header do not count. Lines of JSON are compared as they are written.
///
/// `shared` are ranges of equal bytes, ascending in both files, from equal chunk ids; it may be
/// empty. With equal columns, shared ranges of 4 MiB and more cost nothing in large files: what is read
/// is what lies between them, and up to 1 MiB before it to find where a record begins. That is
/// exact for files whose quotes are paired as RFC 4180 has it; where it is in doubt, the range is read.
///
/// # Errors
/// As [`read_table`]; numbers that cannot be had within the bounds are `None`, not errors.
pub fn compare_tables(
    name: &str,
    old: &dyn Source,
    new: &dyn Source,
    shared: &[SharedRange],
) -> Result<Option<TableDiff>> {
    let Some(format) = TableFormat::of_name(name) else { return Ok(None) };
    compare::compare(format, old, new, shared, &BOUNDS).map(Some)
}
