//! [`Reader`]: a range of a file, read from front to back with jumps.

use crate::error::{Error, Result};
use crate::source::Source;

/// Bytes that are read ahead.
const WINDOW: u64 = 8 << 10;

/// Reads a range of a file through a small window. What would pass its end is malformed.
pub(crate) struct Reader<'a> {
    source: &'a dyn Source,
    format: &'static str,
    position: u64,
    end: u64,
    window: Vec<u8>,
    /// Where in the file the window begins.
    begins: u64,
}

impl<'a> Reader<'a> {
    /// Reads the whole file.
    pub(crate) fn new(source: &'a dyn Source, format: &'static str) -> Reader<'a> {
        let end = source.size();
        Reader { source, format, position: 0, end, window: Vec::new(), begins: 0 }
    }

    /// Reads a range, which must lie in the file.
    pub(crate) fn range(
        source: &'a dyn Source,
        format: &'static str,
        offset: u64,
        len: u64,
    ) -> Result<Reader<'a>> {
        let mut reader = Reader::new(source, format);
        reader.skip(offset)?;
        reader.end = offset
            .checked_add(len)
            .filter(|&end| end <= reader.end)
            .ok_or_else(|| reader.short())?;
        Ok(reader)
    }

    /// Where in the file the next byte is.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes up to the end of the range.
    pub(crate) fn left(&self) -> u64 {
        self.end - self.position
    }

    /// Jumps over bytes that are all in the range, and returns where they begin.
    pub(crate) fn skip(&mut self, len: u64) -> Result<u64> {
        if len > self.left() {
            return Err(self.short());
        }
        let begin = self.position;
        self.position += len;
        Ok(begin)
    }

    /// Goes back to a place that was read before.
    pub(crate) fn rewind(&mut self, position: u64) {
        self.position = position.min(self.position);
    }

    /// The next bytes, at most `limit` of them.
    pub(crate) fn bytes(&mut self, len: u64, limit: usize) -> Result<Vec<u8>> {
        if len > self.left() {
            return Err(self.short());
        }
        if len > limit as u64 {
            let what = "the length of a text";
            return Err(Error::Limit { format: self.format, what, limit: limit as u64 });
        }
        let mut bytes = vec![0; len as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next bytes as text, at most `limit` of them.
    pub(crate) fn text(&mut self, len: u64, limit: usize) -> Result<String> {
        String::from_utf8(self.bytes(len, limit)?).map_err(|_| self.malformed("text is not UTF-8"))
    }

    /// The next bytes of a number.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// The next two bytes, little-endian.
    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next four bytes, little-endian.
    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next eight bytes, little-endian.
    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A [`Error::Malformed`] of the format.
    pub(crate) fn malformed(&self, detail: impl Into<String>) -> Error {
        Error::malformed(self.format, detail)
    }

    fn short(&self) -> Error {
        self.malformed("it ends too early")
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        let len = into.len() as u64;
        if len > self.left() {
            return Err(self.short());
        }
        if len > WINDOW {
            self.source.read_at(self.position, into)?;
        } else {
            let within =
                |begins: u64, held: u64, at: u64| at >= begins && at + len <= begins + held;
            if !within(self.begins, self.window.len() as u64, self.position) {
                self.window.resize(WINDOW.min(self.left()) as usize, 0);
                self.source.read_at(self.position, &mut self.window)?;
                self.begins = self.position;
            }
            let from = (self.position - self.begins) as usize;
            into.copy_from_slice(&self.window[from..from + into.len()]);
        }
        self.position += len;
        Ok(())
    }
}
