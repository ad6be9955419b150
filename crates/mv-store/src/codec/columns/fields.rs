//! The fields of a column as they are read back: bytes and where each field ends.

use std::borrow::Cow;

use super::super::streams;
use super::shape::Shape;
use super::{DECIMAL, PATTERN, TEXT, WORD, WORDS, integers};

/// What is said of columns with too many bytes.
const TOO_LARGE: &str = "the columns are larger than the recorded length";

/// The fields of a column, one after another.
pub(super) struct Fields<'a> {
    bytes: Cow<'a, [u8]>,
    /// Where each field ends.
    ends: Vec<u32>,
    /// How many bytes stand between two fields.
    between: usize,
}

/// A place in a column.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    ends: std::slice::Iter<'a, u32>,
    between: usize,
    start: usize,
}

impl<'a> Cursor<'a> {
    /// The next field; none behind the last.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let end = usize::try_from(*self.ends.next()?).ok()?;
        let field = self.bytes.get(self.start..end);
        self.start = end + self.between;
        field
    }
}

impl<'a> Fields<'a> {
    /// Takes a column off the front; its fields and one byte for each must fit in `left`.
    pub(super) fn take(
        from: &mut &'a [u8],
        rows: usize,
        left: &mut usize,
    ) -> std::result::Result<Fields<'a>, String> {
        match streams::take_byte(from)? {
            TEXT => {
                let fields = Fields::lines(streams::take(from, *left)?)?;
                if fields.ends.len() != rows {
                    return Err("as many fields as rows are needed".into());
                }
                *left -= fields.bytes.len();
                Ok(fields)
            }
            WORD => {
                let words = Fields::lines(streams::take(from, *left)?)?;
                if words.ends.len() > WORDS {
                    return Err("a column has too many words".into());
                }
                let words: Vec<&[u8]> = words.iter().collect();
                let mut fields = Written::new(rows, left);
                for number in integers::take(from, rows)? {
                    let word = usize::try_from(number).ok().and_then(|n| words.get(n));
                    fields.add(word.ok_or("no such word")?)?;
                }
                Ok(fields.finish())
            }
            DECIMAL => {
                let shape = Shape::take_decimal(from)?;
                Fields::shaped(from, &shape, rows, left)
            }
            PATTERN => {
                let shape = Shape::take_pattern(from)?;
                Fields::shaped(from, &shape, rows, left)
            }
            other => Err(format!("column of kind {other}")),
        }
    }

    /// Splits a stream in which each field is followed by a newline.
    fn lines(bytes: Cow<'a, [u8]>) -> std::result::Result<Fields<'a>, String> {
        if bytes.last().is_some_and(|&last| last != b'\n') {
            return Err("the last field is cut off".into());
        }
        let ends = bytes.iter().enumerate().filter(|&(_, &b)| b == b'\n');
        let ends = ends.map(|(at, _)| u32::try_from(at)).collect::<std::result::Result<_, _>>();
        let ends = ends.map_err(|_| TOO_LARGE)?;
        Ok(Fields { bytes, ends, between: 1 })
    }

    /// Writes integers in a shape, and the fields that miss it between them.
    fn shaped(
        from: &mut &'a [u8],
        shape: &Shape,
        rows: usize,
        left: &mut usize,
    ) -> std::result::Result<Fields<'a>, String> {
        // A byte for each miss, and one more for 128 rows and more between two.
        let gaps = streams::take(from, rows.saturating_mul(2))?;
        let missing = Fields::lines(streams::take(from, *left)?)?;
        let count = rows.checked_sub(missing.ends.len()).ok_or("more misses than rows")?;
        let mut gaps = &gaps[..];
        let mut integers = integers::take(from, count)?.into_iter();
        let mut fields = Written::new(rows, left);
        for field in missing.iter() {
            let before = streams::take_length(&mut gaps, integers.len())?;
            fields.write(shape, integers.by_ref().take(before))?;
            fields.add(field)?;
        }
        if !gaps.is_empty() {
            return Err("as many misses as their fields are needed".into());
        }
        fields.write(shape, integers)?;
        Ok(fields.finish())
    }

    /// The place before the first field.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor { bytes: &self.bytes, ends: self.ends.iter(), between: self.between, start: 0 }
    }

    /// The fields from the first to the last.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut cursor = self.cursor();
        std::iter::from_fn(move || cursor.next())
    }
}

/// Fields as they are written, with the room that is left for them.
struct Written<'b> {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    left: &'b mut usize,
}

impl<'b> Written<'b> {
    /// None yet; `rows` are expected.
    fn new(rows: usize, left: &'b mut usize) -> Written<'b> {
        Written { bytes: Vec::new(), ends: Vec::with_capacity(rows), left }
    }

    /// Appends a field.
    fn add(&mut self, field: &[u8]) -> std::result::Result<(), String> {
        self.bytes.extend_from_slice(field);
        self.end(field.len())
    }

    /// Appends integers in their shape.
    fn write(
        &mut self,
        shape: &Shape,
        integers: impl Iterator<Item = i64>,
    ) -> std::result::Result<(), String> {
        for integer in integers {
            let before = self.bytes.len();
            shape.write(integer, &mut self.bytes).ok_or("integer does not fit its shape")?;
            self.end(self.bytes.len() - before)?;
        }
        Ok(())
    }

    /// Ends a field: with the byte that follows it, it must fit.
    fn end(&mut self, length: usize) -> std::result::Result<(), String> {
        self.ends.push(u32::try_from(self.bytes.len()).map_err(|_| TOO_LARGE)?);
        let left = self.left.checked_sub(length + 1);
        *self.left = left.ok_or(TOO_LARGE)?;
        Ok(())
    }

    /// The fields, for reading.
    fn finish(self) -> Fields<'static> {
        Fields { bytes: Cow::Owned(self.bytes), ends: self.ends, between: 0 }
    }
}
