//! [`Records`]: the records of a text file, one after the other, in bounded memory.

use std::cell::Cell;

use memchr::{memchr, memchr2};

use crate::error::{Error, Result};
use crate::source::Source;

/// Bytes that are read at a time.
pub(super) const BLOCK: u64 = 512 << 10;

/// How a text is divided into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// Every line is a record.
    Lines,
    /// Fields between delimiters, quoted if need be.
    Fields {
        /// What stands between fields.
        delimiter: u8,
    },
}

impl Grammar {
    /// The bytes of the first record with its newline; none when its end is not in sight.
    pub(super) fn record_len(self, bytes: &[u8]) -> Option<usize> {
        match self {
            Grammar::Lines => memchr(b'\n', bytes).map(|end| end + 1),
            Grammar::Fields { delimiter } => {
                let first = memchr2(b'\n', b'"', bytes)?;
                match bytes[first] {
                    b'\n' => Some(first + 1),
                    _ => quoted_record_len(bytes, delimiter),
                }
            }
        }
    }
}

/// [`Grammar::record_len`] of a record that may have quotes. A quote has a meaning only where a
/// field begins and in a field that began with one.
fn quoted_record_len(bytes: &[u8], delimiter: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                at += memchr(b'"', &bytes[at..])? + 1;
                if bytes.get(at) != Some(&b'"') {
                    break;
                }
                at += 1;
            }
        }
        at += memchr2(delimiter, b'\n', &bytes[at..])? + 1;
        if bytes[at - 1] == b'\n' {
            return Some(at);
        }
    }
}

/// The fields of one record, unquoted.
#[derive(Default)]
pub(super) struct Fields {
    text: Vec<u8>,
    /// Where each ends; records are far shorter than 4 GiB.
    ends: Vec<u32>,
}

impl Fields {
    /// Takes the fields of this record, which has no newline at its end, in place of the earlier ones.
    pub(super) fn split(&mut self, record: &[u8], delimiter: u8) {
        self.text.clear();
        self.ends.clear();
        let mut rest = record;
        loop {
            if let Some(quoted) = rest.strip_prefix(b"\"") {
                rest = self.unquote(quoted);
            }
            let end = memchr(delimiter, rest);
            self.text.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            self.ends.push(self.text.len() as u32);
            let Some(end) = end else { break };
            rest = &rest[end + 1..];
        }
    }

    /// Takes text up to the closing quote and returns what follows it.
    fn unquote<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        while let Some(quote) = memchr(b'"', rest) {
            self.text.extend_from_slice(&rest[..quote]);
            rest = &rest[quote + 1..];
            let Some(doubled) = rest.strip_prefix(b"\"") else { return rest };
            self.text.push(b'"');
            rest = doubled;
        }
        self.text.extend_from_slice(rest);
        &[]
    }

    /// How many there are; one at least.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The field of this number.
    pub(super) fn get(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)?;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start as usize..end as usize])
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|number| self.get(number))
    }
}

/// A position in a text that moves from record to record.
pub(super) struct Records<'a> {
    source: &'a dyn Source,
    grammar: Grammar,
    /// Bytes of the longest record.
    longest: usize,
    /// Bytes that may still be read; shared with other readers.
    allowance: &'a Cell<u64>,
    buffer: Vec<u8>,
    /// Where the next record begins in the buffer.
    next: usize,
    /// Where it begins in the source.
    position: u64,
}

impl<'a> Records<'a> {
    /// Starts at a position, which must be where a record begins.
    pub(super) fn new(
        source: &'a dyn Source,
        grammar: Grammar,
        position: u64,
        longest: usize,
        allowance: &'a Cell<u64>,
    ) -> Records<'a> {
        Records { source, grammar, longest, allowance, buffer: Vec::new(), next: 0, position }
    }

    /// Where the next record begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Moves to where another record begins.
    pub(super) fn seek(&mut self, position: u64) {
        let ahead = position.checked_sub(self.position).and_then(|n| usize::try_from(n).ok());
        match ahead.and_then(|n| self.next.checked_add(n)).filter(|&n| n <= self.buffer.len()) {
            Some(next) => self.next = next,
            None => {
                self.buffer.clear();
                self.next = 0;
            }
        }
        self.position = position;
    }

    /// The bytes of the next record with its newline; zero at the end.
    ///
    /// # Errors
    /// [`Error::Limit`] if it is too long or the allowance is used up, [`Error::Read`].
    pub(super) fn peek(&mut self) -> Result<usize> {
        loop {
            let ahead = &self.buffer[self.next..];
            let found = self.grammar.record_len(ahead);
            if found.is_none() && self.refill()? {
                continue;
            }
            let len = found.unwrap_or(self.buffer.len() - self.next);
            if len > self.longest {
                return Err(self.too_much("a record", self.longest as u64));
            }
            return Ok(len);
        }
    }

    /// Whether nothing follows the next record, of this length. Its end may then be only that of the
    /// file, and the same bytes may go on in another file.
    pub(super) fn is_last(&self, len: usize) -> bool {
        self.position + len as u64 >= self.source.size()
    }

    /// So many of the bytes that come next, as far as they were read.
    pub(super) fn ahead(&self, len: usize) -> &[u8] {
        let ahead = &self.buffer[self.next..];
        &ahead[..len.min(ahead.len())]
    }

    /// Moves past a record of this length, as [`Records::peek`] gave it.
    pub(super) fn take(&mut self, len: usize) -> &[u8] {
        let start = self.next;
        self.next += len;
        self.position += len as u64;
        &self.buffer[start..self.next]
    }

    /// Reads on behind what is in the buffer; says whether there was anything left.
    fn refill(&mut self) -> Result<bool> {
        let ahead = self.buffer.len() - self.next;
        if ahead > self.longest {
            return Err(self.too_much("a record", self.longest as u64));
        }
        let from = self.position + ahead as u64;
        let more = self.source.size().saturating_sub(from).min(BLOCK);
        if more == 0 {
            return Ok(false);
        }
        let left = self.allowance.get();
        let Some(left) = left.checked_sub(more) else {
            return Err(self.too_much("what had to be read", left));
        };
        self.allowance.set(left);
        self.buffer.drain(..self.next);
        self.next = 0;
        self.buffer.resize(ahead + more as usize, 0);
        self.source.read_at(from, &mut self.buffer[ahead..])?;
        Ok(true)
    }

    fn too_much(&self, what: &'static str, limit: u64) -> Error {
        let format = match self.grammar {
            Grammar::Lines => "json lines",
            Grammar::Fields { .. } => "csv",
        };
        Error::Limit { format, what, limit }
    }
}

/// A record without the end of its line.
pub(super) fn trim(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records of a text whose lines end in `\n`, as the crate `csv-core` reads them.
    fn by_csv_core(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let terminator = csv_core::Terminator::Any(b'\n');
        let mut reader = csv_core::ReaderBuilder::new().terminator(terminator).build();
        let (mut output, mut ends) = (vec![0; text.len() + 1], vec![0; text.len() + 1]);
        let (mut input, mut records) = (text, Vec::new());
        let (mut written, mut ended) = (0, 0);
        loop {
            let (result, read, out, end) =
                reader.read_record(input, &mut output[written..], &mut ends[ended..]);
            input = &input[read..];
            (written, ended) = (written + out, ended + end);
            match result {
                csv_core::ReadRecordResult::InputEmpty => input = &[],
                csv_core::ReadRecordResult::Record => {
                    let mut start = 0;
                    let fields = ends[..ended].iter().map(|&end| {
                        let field = output[start..end].to_vec();
                        start = end;
                        field
                    });
                    records.push(fields.collect());
                    (written, ended) = (0, 0);
                }
                csv_core::ReadRecordResult::End => return records,
                full => panic!("{full:?}"),
            }
        }
    }

    fn by_us(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let (text, allowance) = (text.to_vec(), Cell::new(u64::MAX));
        let grammar = Grammar::Fields { delimiter: b',' };
        let mut records = Records::new(&text, grammar, 0, 1 << 20, &allowance);
        let (mut fields, mut found) = (Fields::default(), Vec::new());
        loop {
            match records.peek().unwrap() {
                0 => return found,
                len => {
                    let record = trim(records.take(len));
                    if !record.is_empty() {
                        fields.split(record, b',');
                        found.push(fields.iter().map(<[u8]>::to_vec).collect());
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn records_are_divided_as_other_readers_do(
            text in prop::collection::vec(prop::sample::select(&b"ab,\"\n"[..]), 0..200),
        ) {
            // A quote that is never closed takes the last newline with it or not: that is a matter of taste.
            let mut text = text;
            if text.iter().filter(|&&b| b == b'"').count() % 2 == 1 {
                text.retain(|&b| b != b'"');
            }
            text.push(b'x');
            prop_assert_eq!(by_us(&text), by_csv_core(&text));
        }
    }

    #[test]
    fn a_cursor_moves_within_and_beyond_what_it_has_read() {
        let text: Vec<u8> = (0..200_000).flat_map(|n| format!("{n:07}\n").into_bytes()).collect();
        let allowance = Cell::new(u64::MAX);
        let mut records = Records::new(&text, Grammar::Lines, 0, 100, &allowance);
        for at in [3, 4, 70_000, 100_000, 2, 199_999] {
            records.seek(at * 8);
            assert_eq!(records.peek().unwrap(), 8);
            assert_eq!(trim(records.take(8)), format!("{at:07}").as_bytes());
            assert_eq!(records.position(), (at + 1) * 8);
        }
        assert_eq!(records.peek().unwrap(), 0);
    }
}
