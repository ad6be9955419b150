//! The list of a zip file's entries, and where their bytes lie. Nothing is ever extracted.
//!
//! After PKWARE's APPNOTE.TXT: the end record is searched from the end, it names the central
//! directory, and that names the entries. Stored and deflated entries, zip64.

use crate::MAX_HEADER;
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::reader::Reader;
use crate::source::Source;

const FORMAT: &str = "zip";
/// Entries of one file.
const MAX_ENTRIES: usize = 1 << 17;
/// What every zip file begins with, unless it is empty.
pub(crate) const MAGIC: [u8; 4] = *b"PK\x03\x04";

const END: [u8; 4] = *b"PK\x05\x06";
const END_LEN: u64 = 22;
const END64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR64: [u8; 4] = *b"PK\x06\x07";
const LOCATOR64_LEN: u64 = 20;
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL_LEN: u64 = 30;

/// One entry.
pub(crate) struct Entry {
    /// Its path.
    pub(crate) name: String,
    /// How its bytes are stored; none for methods that are not known here.
    pub(crate) method: Option<Method>,
    /// Bytes in the file.
    pub(crate) packed: u64,
    /// Bytes once decompressed.
    pub(crate) size: u64,
    /// Where its own header begins.
    pub(crate) header: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Stored,
    Deflated,
}

impl Entry {
    /// Where its bytes begin, which only its own header knows. They lie inside the file.
    pub(crate) fn data(&self, source: &dyn Source) -> Result<u64> {
        self.begin(source, LOCAL_LEN as usize).map(|(data, _)| data)
    }

    /// Where its bytes begin, and the first ones of them, as far as they lie in the `len` bytes after
    /// the beginning of its header: one read for both.
    pub(crate) fn begin(&self, source: &dyn Source, len: usize) -> Result<(u64, Vec<u8>)> {
        let left = source.size().checked_sub(self.header);
        let left = left.ok_or_else(|| self.malformed("begins after the file"))?;
        let wanted = left.min(len.max(LOCAL_LEN as usize) as u64) as usize;
        let mut start = source.read(self.header, wanted)?;
        let Some((fixed, _)) = start.split_first_chunk::<{ LOCAL_LEN as usize }>() else {
            return Err(self.malformed("ends after the file"));
        };
        if !fixed.starts_with(&MAGIC) {
            return Err(self.malformed("has no header"));
        }
        let &[.., a, b, c, d] = fixed;
        let (name, extra) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let head = LOCAL_LEN + u64::from(name) + u64::from(extra);
        if left.checked_sub(head).is_none_or(|left| self.packed > left) {
            return Err(self.malformed("ends after the file"));
        }
        start.drain(..start.len().min(head as usize));
        start.truncate(usize::try_from(self.packed).unwrap_or(usize::MAX));
        Ok((self.header + head, start))
    }

    /// An error about this entry.
    pub(crate) fn malformed(&self, detail: &str) -> Error {
        Error::malformed(FORMAT, format!("entry `{}` {detail}", self.name))
    }
}

/// The entries, in the order of the central directory. Directories are left out.
pub(crate) fn entries(source: &dyn Source, budget: &mut Budget) -> Result<Vec<Entry>> {
    let Directory { count, offset, len } = directory(source)?;
    let limit =
        |what, limit: usize| Err(Error::Limit { format: FORMAT, what, limit: limit as u64 });
    if count > MAX_ENTRIES as u64 {
        return limit("the number of entries", MAX_ENTRIES);
    }
    if len > MAX_HEADER as u64 {
        return limit("the directory", MAX_HEADER);
    }
    let mut reader = Reader::range(source, FORMAT, offset, len)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let entry = entry(&mut reader)?;
        if !entry.name.ends_with('/') {
            budget.take(entry.name.len() + 16)?;
            budget.push(&mut entries, entry)?;
        }
    }
    Ok(entries)
}

struct Directory {
    count: u64,
    offset: u64,
    len: u64,
}

/// Finds the directory from the end of the file.
fn directory(source: &dyn Source) -> Result<Directory> {
    let size = source.size();
    let start = size.saturating_sub(END_LEN + u64::from(u16::MAX));
    let tail = source.read(start, (size - start) as usize)?;
    let at = memchr::memmem::rfind(&tail, &END)
        .map(|at| start + at as u64)
        .ok_or_else(|| Error::malformed(FORMAT, "it has no directory"))?;
    let mut end = Reader::new(source, FORMAT);
    end.skip(at + 8)?;
    let _here = end.u16()?;
    let mut found =
        Directory { count: end.u16()?.into(), len: end.u32()?.into(), offset: end.u32()?.into() };
    if at >= LOCATOR64_LEN {
        let mut locator = Reader::new(source, FORMAT);
        locator.skip(at - LOCATOR64_LEN)?;
        if locator.array()? == LOCATOR64 {
            locator.skip(4)?;
            found = directory64(source, locator.u64()?)?;
        }
    }
    Ok(found)
}

fn directory64(source: &dyn Source, at: u64) -> Result<Directory> {
    let mut end = Reader::new(source, FORMAT);
    end.skip(at)?;
    if end.array()? != END64 {
        return Err(end.malformed("the end record is not where it should be"));
    }
    end.skip(8 + 2 + 2 + 4 + 4 + 8)?;
    Ok(Directory { count: end.u64()?, len: end.u64()?, offset: end.u64()? })
}

fn entry(reader: &mut Reader<'_>) -> Result<Entry> {
    if reader.array()? != ENTRY {
        return Err(reader.malformed("the directory is damaged"));
    }
    reader.skip(4)?;
    let flags = reader.u16()?;
    let method = reader.u16()?;
    reader.skip(8)?;
    let (packed, size) = (reader.u32()?, reader.u32()?);
    let (name, extra, comment) = (reader.u16()?, reader.u16()?, reader.u16()?);
    reader.skip(8)?;
    let header = reader.u32()?;
    let name = reader.bytes(name.into(), u16::MAX.into())?;
    let mut numbers = [size, packed, header].map(u64::from);
    let extra = reader.bytes(extra.into(), u16::MAX.into())?;
    widen(&mut numbers, &extra);
    reader.skip(comment.into())?;
    let [size, packed, header] = numbers;
    let method = match method {
        _ if flags & 1 != 0 => None,
        0 if size == packed => Some(Method::Stored),
        0 => return Err(reader.malformed("a stored entry has two sizes")),
        8 => Some(Method::Deflated),
        _ => None,
    };
    let name = String::from_utf8_lossy(&name).into_owned();
    Ok(Entry { name, method, packed, size, header })
}

/// Takes those numbers that did not fit from the zip64 field, in which only they stand.
fn widen(numbers: &mut [u64; 3], mut extra: &[u8]) {
    while let Some((&[a, b, c, d], rest)) = extra.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([c, d]));
        let Some((mut field, rest)) = rest.split_at_checked(len) else { return };
        if u16::from_le_bytes([a, b]) == 1 {
            for number in numbers.iter_mut().filter(|number| **number == u64::from(u32::MAX)) {
                let Some((wide, rest)) = field.split_first_chunk() else { return };
                (*number, field) = (u64::from_le_bytes(*wide), rest);
            }
            return;
        }
        extra = rest;
    }
}
