//! [`Compact`]: a reader of Thrift's compact protocol, as far as footers need it.
//!
//! A structure is a list of fields up to a zero byte. A field begins with a byte: the difference
//! of its number to the one before in the upper half (zero: the number follows), the type of its
//! value in the lower one. Integers are zigzag varints; text, lists and maps begin with how long
//! they are. (Thrift's `doc/specs/thrift-compact-protocol.md`.)

use crate::error::{Error, Result};

/// Nested values below one that is skipped.
const MAX_DEPTH: usize = 32;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// Bytes in the compact protocol that are read from front to back.
pub(super) struct Compact<'a>(&'a [u8]);

/// What a value is, said before it comes.
#[derive(Clone, Copy)]
pub(super) struct Type(u8);

impl<'a> Compact<'a> {
    /// Reads from the front of these bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Compact<'a> {
        Compact(bytes)
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// Reads a structure. `field` is called with the number and the type of each field and must read or
    /// skip its value.
    pub(super) fn structure(
        &mut self,
        mut field: impl FnMut(&mut Compact<'a>, i64, Type) -> Result<()>,
    ) -> Result<()> {
        let mut number = 0;
        loop {
            let header = self.byte()?;
            if header == 0 {
                return Ok(());
            }
            number = match i64::from(header >> 4) {
                0 => self.zigzag()?,
                more => number + more,
            };
            if !(0..=i64::from(i16::MAX)).contains(&number) {
                return Err(bad("a field number is out of range"));
            }
            field(self, number, Type(header & 15))?;
        }
    }

    /// Reads a list of structures: how many there are. They follow one after the other.
    pub(super) fn structures(&mut self, of: Type) -> Result<usize> {
        if of.0 != LIST {
            return Err(bad("a list is something else"));
        }
        let (element, count) = self.list_header()?;
        if element.0 != STRUCT && count > 0 {
            return Err(bad("a list holds something else"));
        }
        Ok(count)
    }

    /// Reads a structure that is the value of a field.
    pub(super) fn nested(
        &mut self,
        of: Type,
        field: impl FnMut(&mut Compact<'a>, i64, Type) -> Result<()>,
    ) -> Result<()> {
        if of.0 != STRUCT {
            return Err(bad("a structure is something else"));
        }
        self.structure(field)
    }

    /// Reads an integer of any width.
    pub(super) fn integer(&mut self, of: Type) -> Result<i64> {
        match of.0 {
            BYTE => Ok(i64::from(self.byte()?.cast_signed())),
            I16..=I64 => self.zigzag(),
            _ => Err(bad("an integer is something else")),
        }
    }

    /// Reads an integer that counts or measures something.
    pub(super) fn count(&mut self, of: Type) -> Result<u64> {
        self.integer(of)?.try_into().map_err(|_| bad("a count is negative"))
    }

    /// Reads a truth value, which is in the type.
    pub(super) fn boolean(&mut self, of: Type) -> Result<bool> {
        match of.0 {
            TRUE => Ok(true),
            FALSE => Ok(false),
            _ => Err(bad("a truth value is something else")),
        }
    }

    /// Reads text.
    pub(super) fn binary(&mut self, of: Type) -> Result<&'a [u8]> {
        if of.0 != BINARY {
            return Err(bad("a text is something else"));
        }
        let len = self.varint()?;
        self.take(len)
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self, of: Type) -> Result<()> {
        self.skip_at(of, 0)
    }

    fn skip_at(&mut self, of: Type, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(bad("values are nested too deeply"));
        }
        match of.0 {
            TRUE | FALSE => Ok(()),
            BYTE => self.take(1).map(drop),
            I16..=I64 => self.varint().map(drop),
            DOUBLE => self.take(8).map(drop),
            BINARY => self.binary(of).map(drop),
            LIST | SET => {
                let (element, count) = self.list_header()?;
                (0..count).try_for_each(|_| self.skip_element(element, depth + 1))
            }
            MAP => {
                let count = self.varint()?;
                if count == 0 {
                    return Ok(());
                }
                let types = self.byte()?;
                let count = self.checked(count)?;
                (0..count).try_for_each(|_| {
                    self.skip_element(Type(types >> 4), depth + 1)?;
                    self.skip_element(Type(types & 15), depth + 1)
                })
            }
            STRUCT => self.structure(|bytes, _, of| bytes.skip_at(of, depth + 1)),
            _ => Err(bad("a type is unknown")),
        }
    }

    /// Passes over an element of a list, where a truth value is a byte of its own.
    fn skip_element(&mut self, of: Type, depth: usize) -> Result<()> {
        match of.0 {
            TRUE | FALSE => self.take(1).map(drop),
            _ => self.skip_at(of, depth),
        }
    }

    fn list_header(&mut self) -> Result<(Type, usize)> {
        let header = self.byte()?;
        let count = match u64::from(header >> 4) {
            15 => self.varint()?,
            count => count,
        };
        Ok((Type(header & 15), self.checked(count)?))
    }

    /// Every element has a byte at least.
    fn checked(&self, count: u64) -> Result<usize> {
        let fits = usize::try_from(count).ok().filter(|&count| count <= self.0.len());
        fits.ok_or_else(|| bad("a list is longer than what is left"))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| bad("it ends too soon"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.0.split_first().ok_or_else(|| bad("it ends too soon"))?;
        self.0 = rest;
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(bad("an integer is too large"))
    }

    fn zigzag(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }
}

/// Something is wrong with a footer.
pub(super) fn bad(detail: &str) -> Error {
    Error::malformed("parquet", format!("footer: {detail}"))
}
