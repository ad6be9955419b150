//! Parquet: the columns of a file, its row groups and where their bytes lie.
//!
//! ```text
//! "PAR1"  column chunks …  footer  length of the footer (4 bytes)  "PAR1"
//! ```
//!
//! The footer is a Thrift structure `FileMetaData`; the numbers of fields below are those of
//! `parquet.thrift` in apache/parquet-format. Only the footer is read, and headers of pages
//! by [`page_len`]; no page is decoded.

mod compact;
mod types;

use self::compact::{Compact, Type, bad};
use self::types::Element;
use crate::error::{Error, Result};
use crate::source::Source;
use crate::{MAX_HEADER, MAX_MEMORY};

const MAGIC: &[u8; 4] = b"PAR1";
/// Row groups of one file.
const MAX_ROW_GROUPS: usize = 1 << 16;
/// Column chunks of one file: 16 bytes each are held.
const MAX_CHUNKS: usize = 1 << 20;
/// Columns of one file, and bytes of all their paths.
const MAX_COLUMNS: usize = 1 << 16;
const MAX_PATHS: usize = MAX_MEMORY / 16;
/// Bytes of one name.
const MAX_NAME: usize = 64 << 10;
/// Groups of columns within each other.
const MAX_DEPTH: usize = 64;

/// The columns of a Parquet file and where its row groups are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParquetLayout {
    /// How many rows it has.
    pub rows: u64,
    /// Its columns, in the order of the file.
    pub columns: Vec<ParquetColumn>,
    /// Its row groups, in the order of the footer.
    pub row_groups: Vec<RowGroup>,
}

/// One column that holds values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetColumn {
    /// The names from the root to it, with dots between them; not escaped.
    pub path: String,
    /// What its values are: the logical type if it has one, else the physical one.
    pub kind: String,
    /// Whether it, or a group that it is in, may be missing.
    pub optional: bool,
    /// Whether it, or a group that it is in, may be there several times.
    pub repeated: bool,
}

/// Some rows of all columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowGroup {
    /// How many rows.
    pub rows: u64,
    /// Where the column chunks are, in the order of the columns; those in other files are left out, so
    /// that the numbers of chunks are those of columns only where there are as many of both.
    pub chunks: Vec<Chunk>,
}

/// Where the values of one column in one row group are. It was checked to lie inside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub len: u64,
}

impl RowGroup {
    /// The bytes from its first chunk to the end of its last one: where it may be cut out. None
    /// without chunks. Nothing says that ranges of two row groups do not overlap.
    #[must_use]
    pub fn range(&self) -> Option<Chunk> {
        let offset = self.chunks.iter().map(|chunk| chunk.offset).min()?;
        let end = self.chunks.iter().map(|chunk| chunk.offset + chunk.len).max()?;
        Some(Chunk { offset, len: end - offset })
    }
}

impl ParquetLayout {
    /// Reads the footer. Costs its bytes, at most 16 MiB.
    ///
    /// # Errors
    /// [`Error::Malformed`] if this is not Parquet or its footer is encrypted or wrong, [`Error::Limit`],
    /// [`Error::Read`].
    pub fn read(source: &dyn Source) -> Result<ParquetLayout> {
        let size = source.size();
        if size < 12 || source.read(0, 4)? != MAGIC {
            return Err(Error::malformed("parquet", "it does not begin with `PAR1`"));
        }
        let tail = source.read(size - 8, 8)?;
        let (len, magic) = tail.split_at(4);
        match magic {
            b"PAR1" => {}
            b"PARE" => return Err(Error::malformed("parquet", "its footer is encrypted")),
            _ => return Err(Error::malformed("parquet", "it does not end with `PAR1`")),
        }
        let len = len.iter().rev().fold(0, |len, &byte| len << 8 | u64::from(byte));
        if len > MAX_HEADER as u64 {
            return Err(Error::Limit {
                format: "parquet",
                what: "the footer",
                limit: MAX_HEADER as u64,
            });
        }
        let end = size - 8;
        let start = end.checked_sub(len).filter(|&start| start >= 4);
        let start = start.ok_or_else(|| bad("it is longer than the file"))?;
        read_footer(&source.read(start, len as usize)?, start)
    }
}

fn limit(what: &'static str, limit: usize) -> Error {
    Error::Limit { format: "parquet", what, limit: limit as u64 }
}

/// `FileMetaData`. Chunks must end where the footer starts.
fn read_footer(footer: &[u8], end: u64) -> Result<ParquetLayout> {
    let (mut rows, mut columns, mut row_groups) = (None, None, None);
    Compact::new(footer).structure(|bytes, number, of| {
        match number {
            2 => columns = Some(read_schema(bytes, of)?),
            3 => rows = Some(bytes.count(of)?),
            4 => row_groups = Some(read_row_groups(bytes, of, end)?),
            _ => bytes.skip(of)?,
        }
        Ok(())
    })?;
    let (Some(rows), Some(columns), Some(row_groups)) = (rows, columns, row_groups) else {
        return Err(bad("rows, columns or row groups are missing"));
    };
    let sum = row_groups.iter().try_fold(0, |sum: u64, group| sum.checked_add(group.rows));
    if sum != Some(rows) {
        return Err(bad("the row groups have another number of rows than the file"));
    }
    if row_groups.iter().any(|group| group.chunks.len() > columns.len()) {
        return Err(bad("a row group has more columns than the file"));
    }
    Ok(ParquetLayout { rows, columns, row_groups })
}

/// A group of columns whose members are still to come.
struct Parent {
    left: u64,
    /// How long the path was without it.
    path_len: usize,
    optional: bool,
    repeated: bool,
}

/// A list of `SchemaElement`: a tree, parents before their children. Returns the leaves.
fn read_schema(bytes: &mut Compact<'_>, of: Type) -> Result<Vec<ParquetColumn>> {
    let count = bytes.structures(of)?;
    let mut columns = Vec::new();
    let mut paths = 0;
    let mut path = String::new();
    let mut parents: Vec<Parent> = Vec::new();
    for number in 0..count {
        let element = Element::read(bytes)?;
        // Before it is copied: of bytes that are no text each takes three.
        if element.name.len() > MAX_NAME {
            return Err(limit("the length of a name", MAX_NAME));
        }
        if number == 0 {
            let (left, path_len) = (element.children.unwrap_or(0), 0);
            parents.push(Parent { left, path_len, optional: false, repeated: false });
            continue;
        }
        while parents.pop_if(|parent| parent.left == 0).is_some_and(|parent| {
            path.truncate(parent.path_len);
            true
        }) {}
        let Some(parent) = parents.last_mut() else {
            return Err(bad("a column belongs to no group"));
        };
        parent.left -= 1;
        let optional = parent.optional || element.is_optional();
        let repeated = parent.repeated || element.is_repeated();
        let path_len = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&String::from_utf8_lossy(element.name));
        paths += path.len();
        if paths > MAX_PATHS {
            return Err(limit("the names of columns", MAX_PATHS));
        }
        match element.children {
            Some(left) => {
                if parents.len() > MAX_DEPTH {
                    return Err(limit("the depth of columns", MAX_DEPTH));
                }
                parents.push(Parent { left, path_len, optional, repeated });
            }
            None => {
                let kind = element.kind()?;
                columns.push(ParquetColumn { path: path.clone(), kind, optional, repeated });
                path.truncate(path_len);
            }
        }
        if columns.len() > MAX_COLUMNS {
            return Err(limit("the number of columns", MAX_COLUMNS));
        }
    }
    if parents.iter().any(|parent| parent.left > 0) {
        return Err(bad("columns are missing"));
    }
    Ok(columns)
}

/// A list of `RowGroup`.
fn read_row_groups(bytes: &mut Compact<'_>, of: Type, end: u64) -> Result<Vec<RowGroup>> {
    let count = bytes.structures(of)?;
    if count > MAX_ROW_GROUPS {
        return Err(limit("the number of row groups", MAX_ROW_GROUPS));
    }
    let mut chunks_left = MAX_CHUNKS;
    let mut groups = Vec::new();
    for _ in 0..count {
        let (mut rows, mut chunks) = (None, None);
        bytes.structure(|bytes, number, of| {
            match number {
                1 => {
                    let count = bytes.structures(of)?;
                    let left = chunks_left.checked_sub(count);
                    chunks_left = left.ok_or_else(|| limit("the number of chunks", MAX_CHUNKS))?;
                    let read = (0..count).filter_map(|_| read_chunk(bytes, end).transpose());
                    chunks = Some(read.collect::<Result<Vec<Chunk>>>()?);
                }
                3 => rows = Some(bytes.count(of)?),
                _ => bytes.skip(of)?,
            }
            Ok(())
        })?;
        let (Some(rows), Some(chunks)) = (rows, chunks) else {
            return Err(bad("a row group has no rows or no columns"));
        };
        groups.push(RowGroup { rows, chunks });
    }
    Ok(groups)
}

/// `ColumnChunk`; none if it is in another file.
fn read_chunk(bytes: &mut Compact<'_>, end: u64) -> Result<Option<Chunk>> {
    let (mut elsewhere, mut found) = (false, None);
    bytes.structure(|bytes, number, of| {
        match number {
            1 => elsewhere = !bytes.binary(of)?.is_empty(),
            3 => found = Some(read_chunk_place(bytes, of)?),
            _ => bytes.skip(of)?,
        }
        Ok(())
    })?;
    if elsewhere {
        return Ok(None);
    }
    let chunk = found.ok_or_else(|| bad("a column chunk has no place"))?;
    let inside = chunk.offset.checked_add(chunk.len).is_some_and(|chunk_end| chunk_end <= end);
    if !inside || chunk.offset < MAGIC.len() as u64 {
        return Err(bad("a column chunk lies outside the file"));
    }
    Ok(Some(chunk))
}

/// `ColumnMetaData`: a chunk begins with its dictionary, if it has one.
fn read_chunk_place(bytes: &mut Compact<'_>, of: Type) -> Result<Chunk> {
    let (mut len, mut data, mut dictionary) = (None, None, None);
    bytes.nested(of, |bytes, number, of| {
        match number {
            7 => len = Some(bytes.count(of)?),
            9 => data = Some(bytes.count(of)?),
            // Some writers say 0 for none.
            11 => dictionary = Some(bytes.count(of)?).filter(|&offset| offset > 0),
            _ => bytes.skip(of)?,
        }
        Ok(())
    })?;
    let (Some(len), Some(data)) = (len, data) else {
        return Err(bad("a column chunk has no place"));
    };
    Ok(Chunk { offset: dictionary.map_or(data, |dictionary| dictionary.min(data)), len })
}

/// Bytes of the page that begins with these ones, its header included: a `PageHeader`. An error also
/// when they end within the header.
pub(crate) fn page_len(bytes: &[u8]) -> Result<u64> {
    let mut header = Compact::new(bytes);
    let (mut kind, mut unpacked, mut packed) = (None, None, None);
    header.structure(|bytes, number, of| {
        match number {
            1 => kind = Some(bytes.count(of)?),
            2 => unpacked = Some(bytes.count(of)?),
            3 => packed = Some(bytes.count(of)?),
            _ => bytes.skip(of)?,
        }
        Ok(())
    })?;
    let head = (bytes.len() - header.left()) as u64;
    match (kind, unpacked, packed) {
        // Data, an index, a dictionary, data of the second version.
        (Some(0..=3), Some(_), Some(packed)) => {
            packed.checked_add(head).ok_or_else(|| bad("the length of a page"))
        }
        _ => Err(bad("a page is something else")),
    }
}

#[cfg(test)]
mod tests;
