//! `.npy`: one NumPy array behind a header that is a Python literal; `.npz`: a zip of them.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.

use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::listing::{Listing, cut};
use crate::model::{Location, Model, ModelFormat};
use crate::read::inflate;
use crate::reader::Reader;
use crate::source::Source;
use crate::zip::{Entry, Method};
use crate::{MAX_HEADER, MAX_RANK};

const FORMAT: &str = "npy";
/// What every file begins with.
pub(crate) const MAGIC: [u8; 6] = *b"\x93NUMPY";
/// Bytes of the longest header.
const MAX_LITERAL: usize = 1 << 20;

/// Lists the one array of a file, which is called `array`.
pub(crate) fn read(source: &dyn Source, budget: Budget) -> Result<Model> {
    let mut listing = Listing::new(ModelFormat::Npy, source, budget);
    let mut reader = Reader::new(source, FORMAT);
    let array = header(&mut reader)?;
    let location = array.location(reader.position(), reader.left());
    listing.tensor("array".to_owned(), array.dtype, array.shape, location)?;
    listing.finish()
}

/// Lists the arrays of a zip: its entries that end in `.npy`.
pub(crate) fn read_zip(source: &dyn Source, entries: &[Entry], budget: Budget) -> Result<Model> {
    let mut listing = Listing::new(ModelFormat::Npz, source, budget);
    let mut unpacked = 0;
    for entry in entries {
        let Some(name) = entry.name.strip_suffix(".npy") else { continue };
        let data = entry.data(source)?;
        let (array, location) = match entry.method {
            Some(Method::Stored) => {
                let mut reader = Reader::range(source, FORMAT, data, entry.size)?;
                let array = header(&mut reader)?;
                let location = array.location(reader.position(), reader.left());
                (array, location)
            }
            Some(Method::Deflated) => {
                let start = start(source, entry, data)?;
                let mut reader = Reader::new(&start, FORMAT);
                let array = header(&mut reader)?;
                let skip = reader.position();
                unpacked += skip;
                if unpacked > MAX_HEADER as u64 {
                    let what = "the headers";
                    return Err(Error::Limit { format: FORMAT, what, limit: MAX_HEADER as u64 });
                }
                let location = array.deflated(data, entry, skip);
                (array, location)
            }
            None => return Err(entry.malformed("is compressed in a way that is not known")),
        };
        listing.tensor(name.to_owned(), array.dtype, array.shape, location)?;
    }
    listing.finish()
}

/// The header of a deflated entry, which says in its first bytes how long it is.
fn start(source: &dyn Source, entry: &Entry, data: u64) -> Result<Vec<u8>> {
    let unpack = |len: u64| inflate(source, data, entry.packed, entry.size.min(len) as usize);
    let fixed = unpack(12)?;
    let mut reader = Reader::new(&fixed, FORMAT);
    let len = literal_len(&mut reader)?;
    unpack(reader.position() + len)
}

/// An array without its bytes.
pub(crate) struct Array {
    dtype: Dtype,
    shape: Vec<u64>,
    /// Whether the bytes lie in the order of the elements, little-endian.
    plain: bool,
    /// Whether its elements are big-endian.
    swapped: bool,
}

impl Array {
    /// An array of this [type](dtype) and shape, in the order of columns or of rows.
    pub(crate) fn new(descr: &str, shape: Vec<u64>, columns: bool) -> Array {
        let (dtype, swapped) = dtype(descr);
        let flat = shape.iter().filter(|&&n| n != 1).count() < 2;
        Array { dtype, shape, plain: !swapped && (flat || !columns), swapped }
    }

    /// How many bytes it has, as far as its type says so.
    pub(crate) fn len(&self) -> Option<u64> {
        self.dtype.bytes_of(self.shape.iter().try_fold(1, |all: u64, &n| all.checked_mul(n))?)
    }

    /// Where its bytes are when they begin here and at most so many are left. Whether they are enough
    /// is seen when the tensor is listed.
    pub(crate) fn location(&self, offset: u64, left: u64) -> Location {
        let len = self.len().unwrap_or(left);
        match self.plain {
            // Too many for what is left: a range that no file has.
            _ if len > left => Location::Plain { offset: u64::MAX, len },
            true => Location::Plain { offset, len },
            false => Location::Scattered { offset, len },
        }
    }

    fn deflated(&self, offset: u64, entry: &Entry, skip: u64) -> Location {
        let left = entry.size.saturating_sub(skip);
        match self.location(0, left) {
            Location::Plain { offset: 0, len } => {
                Location::Deflated { offset, packed: entry.packed, skip, len }
            }
            // Compressed and in another order: bytes that cannot be pointed at.
            Location::Scattered { .. } => Location::Elsewhere,
            outside => outside,
        }
    }

    /// Its type and the shape that its bytes have when they are read in order, little-endian; none when
    /// they are big-endian. Columns that lie one after the other are the rows of the turned shape.
    pub(crate) fn in_order(&self) -> Option<(Dtype, Vec<u64>)> {
        let (dtype, mut shape) = (!self.swapped).then(|| self.parts())?;
        if !self.plain {
            shape.reverse();
        }
        Some((dtype, shape))
    }

    /// Its type, its shape.
    pub(crate) fn parts(&self) -> (Dtype, Vec<u64>) {
        (self.dtype.clone(), self.shape.clone())
    }
}

/// Reads up to the first byte of the array.
pub(crate) fn header(reader: &mut Reader<'_>) -> Result<Array> {
    let len = literal_len(reader)?;
    let literal = reader.bytes(len, MAX_LITERAL)?;
    let literal =
        std::str::from_utf8(&literal).map_err(|_| reader.malformed("the header is not text"))?;
    parse(literal).ok_or_else(|| reader.malformed("the header is not what NumPy writes"))
}

fn literal_len(reader: &mut Reader<'_>) -> Result<u64> {
    if reader.array()? != MAGIC {
        return Err(reader.malformed("it does not begin like one"));
    }
    let len: u64 = match reader.array()? {
        [1, _] => reader.u16()?.into(),
        [2 | 3, _] => reader.u32()?.into(),
        [version, _] => return Err(reader.malformed(format!("version {version}"))),
    };
    if len > MAX_LITERAL as u64 {
        let limit = MAX_LITERAL as u64;
        return Err(Error::Limit { format: FORMAT, what: "the header", limit });
    }
    Ok(len)
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, in any order of keys.
fn parse(literal: &str) -> Option<Array> {
    let mut rest = literal.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let (mut descr, mut columns, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':')?;
        let (value, after) = value(after)?;
        match key.trim().trim_matches(['\'', '"']) {
            "descr" if descr.is_none() => descr = Some(value),
            "fortran_order" if columns.is_none() => {
                columns = Some(match value {
                    "True" => true,
                    "False" => false,
                    _ => return None,
                });
            }
            "shape" if shape.is_none() => shape = Some(dimensions(value)?),
            _ => return None,
        }
        rest = after.trim_start();
        rest = rest.strip_prefix(',').map_or(rest, str::trim_start);
    }
    let descr = descr?;
    Some(Array::new(descr.trim_matches(['\'', '"']), shape?, columns?))
}

/// One value of the literal as it is written, and what follows it.
fn value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let (mut depth, mut quote) = (0_usize, None);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.checked_sub(1)?,
            (None, b',') if depth == 0 => return Some((text[..at].trim_end(), &text[at..])),
            (None, _) => {}
        }
    }
    (depth == 0 && quote.is_none()).then_some((text.trim_end(), ""))
}

/// `(3, 4)`, `(3,)`, `()`. Python 2 wrote `3L`.
fn dimensions(tuple: &str) -> Option<Vec<u64>> {
    let items = tuple.strip_prefix('(')?.strip_suffix(')')?.trim();
    let items = items.strip_suffix(',').unwrap_or(items);
    if items.is_empty() {
        return Some(Vec::new());
    }
    // One more than allowed, so that the list of tensors can say that they are too many.
    let items = items.split(',').take(MAX_RANK + 1);
    items.map(|item| item.trim().trim_end_matches('L').parse().ok()).collect()
}

/// The type that NumPy calls so, and whether its elements are big-endian.
fn dtype(descr: &str) -> (Dtype, bool) {
    let name = descr.trim_start_matches(['<', '>', '|', '=']);
    let unit = |bytes: u32| Dtype::Block { name: name.to_owned(), elements: 1, bytes };
    let many = |width: u32| {
        let count = name.get(1..).and_then(|count| count.parse::<u32>().ok());
        match count.and_then(|count| count.checked_mul(width)) {
            Some(bytes) => unit(bytes),
            None => Dtype::Other(cut(descr).to_owned()),
        }
    };
    let dtype = match name {
        "b1" | "?" => Dtype::Bool,
        "u1" => Dtype::U8,
        "i1" => Dtype::I8,
        "u2" => Dtype::U16,
        "i2" => Dtype::I16,
        "u4" => Dtype::U32,
        "i4" => Dtype::I32,
        "u8" => Dtype::U64,
        "i8" => Dtype::I64,
        "f2" => Dtype::F16,
        "f4" => Dtype::F32,
        "f8" => Dtype::F64,
        "c8" => Dtype::C64,
        "c16" => Dtype::C128,
        _ => match name.as_bytes().first() {
            // Texts and bytes of one length.
            Some(b'U') => many(4),
            Some(b'S' | b'a' | b'V') => many(1),
            // Times, whose unit follows in brackets.
            Some(b'M' | b'm') if name[1..].starts_with('8') => unit(8),
            // Everything else: objects, structures, long doubles.
            _ => Dtype::Other(cut(descr).to_owned()),
        },
    };
    (dtype, descr.starts_with('>'))
}
