//! Parts of a tar: its entries. Each has a header of 512 bytes before it, and is filled up to a multiple of
//! 512 bytes.
//!
//! After POSIX's `pax` and GNU's manual: ustar, with the long names and the sizes of both. The walk goes
//! from header to header, whose check sums must hold, and ends at what is odd: entries before that are
//! parts, and what follows is not.

use crate::budget::Budget;
use crate::error::Result;
use crate::layout::find::{File, START, entry, lenient};
use crate::layout::parts::{Found, Parts};

/// Bytes of a header, of which entries are multiples.
const BLOCK: u64 = 512;
/// Headers of one file.
const MAX_HEADERS: usize = 1 << 18;
/// Bytes of a header that says more about the next entry.
const MAX_EXTENDED: u64 = 64 << 10;

/// Whether the file begins with a header.
pub(super) fn looks_like(start: &[u8]) -> bool {
    start.first_chunk().and_then(Header::read).is_some()
}

/// Finds the parts of a tar.
pub(super) fn parts(file: &File<'_>, budget: Budget) -> Result<Vec<Found>> {
    let mut parts = Parts::new(budget);
    // What ends the walk takes nothing back.
    lenient(walk(file, &mut parts))?;
    Ok(parts.into_found())
}

fn walk(file: &File<'_>, parts: &mut Parts) -> Result<()> {
    let source = file.source;
    let mut at = 0;
    let mut said = Said::default();
    for _ in 0..MAX_HEADERS {
        let left = source.size().saturating_sub(at);
        if left < BLOCK {
            return Ok(());
        }
        let mut start = source.read(at, left.min(BLOCK + START as u64) as usize)?;
        let Some(header) = start.first_chunk().and_then(Header::read) else { return Ok(()) };
        let (data, left) = (at + BLOCK, left - BLOCK);
        let len = match header.kind {
            // Links, devices and directories have no bytes, whatever they say.
            b'1'..=b'6' => 0,
            b'0' | b'7' | 0 => said.size.unwrap_or(header.size),
            _ => header.size,
        };
        if len > left {
            return Ok(());
        }
        match header.kind {
            b'0' | b'7' | 0 => {
                start.drain(..BLOCK as usize);
                start.truncate(usize::try_from(len).unwrap_or(usize::MAX));
                let name = std::mem::take(&mut said).name.unwrap_or(header.name);
                entry(file, name, (data, len), start, parts)?;
            }
            b'1'..=b'6' => said = Said::default(),
            b'L' | b'x' if len > MAX_EXTENDED => return Ok(()),
            b'L' => said.name = Some(text(&source.read(data, len as usize)?)),
            b'x' if !said.take_in(&source.read(data, len as usize)?) => return Ok(()),
            // Long targets of links, and what holds for all entries.
            b'x' | b'K' | b'g' => {}
            _ => return Ok(()),
        }
        at = data + len.checked_next_multiple_of(BLOCK).unwrap_or(len).min(left);
    }
    Ok(())
}

/// The text up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// What headers before an entry said about it.
#[derive(Default)]
struct Said {
    name: Option<String>,
    size: Option<u64>,
}

impl Said {
    /// Takes in records: their length as text, a space, a key, `=`, a value, a line feed. Whether they are
    /// in order.
    fn take_in(&mut self, mut records: &[u8]) -> bool {
        while !records.is_empty() {
            let Some((record, rest)) = split_record(records) else { return false };
            records = rest;
            let Some(at) = record.iter().position(|&byte| byte == b'=') else { return false };
            let (key, value) = (&record[..at], &record[at + 1..]);
            match key {
                b"path" => self.name = Some(text(value)),
                b"size" => match std::str::from_utf8(value).ok().and_then(|n| n.parse().ok()) {
                    Some(size) => self.size = Some(size),
                    None => return false,
                },
                _ => {}
            }
        }
        true
    }
}

/// The first record without its length and its end, and what follows it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = records.iter().take(20).position(|&byte| byte == b' ')?;
    let len: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(len)?;
    Some((record.get(space + 1..)?.strip_suffix(b"\n")?, rest))
}

struct Header {
    name: String,
    size: u64,
    kind: u8,
}

impl Header {
    /// None when it is no header.
    fn read(block: &[u8; BLOCK as usize]) -> Option<Header> {
        let magic = &block[257..263];
        let posix = magic == b"ustar\0";
        if !posix && magic != b"ustar " {
            return None;
        }
        // The check sum counts as spaces in itself.
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        let own: u64 = block[148..156].iter().map(|&byte| u64::from(byte)).sum();
        if number(&block[148..156])? != sum - own + 8 * u64::from(b' ') {
            return None;
        }
        let mut name = text(&block[..100]);
        let prefix = text(&block[345..500]);
        if posix && !prefix.is_empty() {
            name = format!("{prefix}/{name}");
        }
        Some(Header { name, size: number(&block[124..136])?, kind: block[156] })
    }
}

/// Octal digits, or bytes behind one whose upper bit is set, the first ones the highest.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((&0x80, bytes)) = field.split_first() {
        let add = |all: u64, &byte: &u8| Some(all.checked_mul(256)? | u64::from(byte));
        return bytes.iter().try_fold(0, add);
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if end == 0 || !digits[end..].iter().all(blank) {
        return None;
    }
    let add = |all: u64, &byte: &u8| match byte {
        b'0'..=b'7' => Some(all.checked_mul(8)? | u64::from(byte - b'0')),
        _ => None,
    };
    digits[..end].iter().try_fold(0, add)
}
