//! `.gguf`: pairs of metadata, then a table of tensors, then their bytes.
//!
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian. Shapes
//! are turned around, so that the last dimension is the one whose elements are neighbours, as in
//! every other format.

use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::listing::Listing;
use crate::model::{Location, Model, ModelFormat};
use crate::reader::Reader;
use crate::source::Source;
use crate::{MAX_RANK, MAX_TENSORS};

const FORMAT: &str = "gguf";
/// What every file begins with.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";
/// Pairs of metadata.
const MAX_PAIRS: u64 = 1 << 16;
/// Elements of all lists that must be walked one by one.
const MAX_WALKED: u64 = 1 << 23;
/// Bytes of a key or of a tensor's name.
const MAX_NAME: usize = 64 << 10;
/// Bytes of a text that is kept.
const MAX_TEXT: usize = 4 << 10;
/// Lists in lists.
const MAX_DEPTH: u32 = 4;
/// What the bytes of a tensor are aligned to when the file does not say.
const ALIGNMENT: u64 = 32;

/// Lists the tensors from what stands before their bytes.
pub(crate) fn read(source: &dyn Source, budget: Budget) -> Result<Model> {
    let mut reader = Reader::new(source, FORMAT);
    reader.skip(MAGIC.len() as u64)?;
    let version = reader.u32()?;
    if !matches!(version, 2 | 3) {
        return Err(reader.malformed(format!("version {version}")));
    }
    let (tensors, pairs) = (reader.u64()?, reader.u64()?);
    let limit = |what, limit| Err(Error::Limit { format: FORMAT, what, limit });
    if tensors > MAX_TENSORS as u64 {
        return limit("the number of tensors", MAX_TENSORS as u64);
    }
    if pairs > MAX_PAIRS {
        return limit("the number of pairs", MAX_PAIRS);
    }
    let mut listing = Listing::new(ModelFormat::Gguf, source, budget);
    listing.metadata("gguf.version", &version.to_string())?;
    let alignment = metadata(&mut reader, pairs, &mut listing)?;
    table(&mut reader, tensors, alignment, listing)
}

/// Reads the pairs, and returns the alignment.
fn metadata(reader: &mut Reader<'_>, pairs: u64, listing: &mut Listing) -> Result<u64> {
    let mut alignment = ALIGNMENT;
    let mut walked = 0;
    for _ in 0..pairs {
        let len = reader.u64()?;
        let key = reader.text(len, MAX_NAME)?;
        let kind = reader.u32()?;
        let value = value(reader, kind, 0, &mut walked)?;
        if key == "general.alignment" {
            alignment = value
                .parse()
                .ok()
                .filter(|&n: &u64| n.is_power_of_two())
                .ok_or_else(|| reader.malformed("the alignment is no power of two"))?;
        }
        listing.metadata(&key, &value)?;
    }
    Ok(alignment)
}

/// A value as text; a list by its type and length: `string[32000]`.
fn value(reader: &mut Reader<'_>, kind: u32, depth: u32, walked: &mut u64) -> Result<String> {
    Ok(match kind {
        0 => reader.byte()?.to_string(),
        1 => i8::from_le_bytes(reader.array()?).to_string(),
        2 => reader.u16()?.to_string(),
        3 => i16::from_le_bytes(reader.array()?).to_string(),
        4 => reader.u32()?.to_string(),
        5 => i32::from_le_bytes(reader.array()?).to_string(),
        6 => f32::from_le_bytes(reader.array()?).to_string(),
        7 => (reader.byte()? != 0).to_string(),
        8 => {
            let len = reader.u64()?;
            let kept = reader.bytes(len.min(MAX_TEXT as u64), MAX_TEXT)?;
            reader.skip(len - kept.len() as u64)?;
            String::from_utf8_lossy(&kept).into_owned()
        }
        9 => list(reader, depth, walked)?,
        10 => reader.u64()?.to_string(),
        11 => i64::from_le_bytes(reader.array()?).to_string(),
        12 => f64::from_le_bytes(reader.array()?).to_string(),
        kind => return Err(reader.malformed(format!("a value of type {kind}"))),
    })
}

/// Names and bytes of the types of values, by their number.
const KINDS: [(&str, u64); 13] = [
    ("u8", 1),
    ("i8", 1),
    ("u16", 2),
    ("i16", 2),
    ("u32", 4),
    ("i32", 4),
    ("f32", 4),
    ("bool", 1),
    ("string", 0),
    ("list", 0),
    ("u64", 8),
    ("i64", 8),
    ("f64", 8),
];

fn list(reader: &mut Reader<'_>, depth: u32, walked: &mut u64) -> Result<String> {
    let (kind, count) = (reader.u32()?, reader.u64()?);
    let Some(&(name, bytes)) = KINDS.get(kind as usize) else {
        return Err(reader.malformed(format!("a list of type {kind}")));
    };
    if bytes > 0 {
        reader.skip(count.saturating_mul(bytes))?;
        return Ok(format!("{name}[{count}]"));
    }
    *walked = walked.saturating_add(count);
    if *walked > MAX_WALKED || depth == MAX_DEPTH {
        return Err(Error::Limit { format: FORMAT, what: "the lists", limit: MAX_WALKED });
    }
    for _ in 0..count {
        if kind == 8 {
            let len = reader.u64()?;
            reader.skip(len)?;
        } else {
            list(reader, depth + 1, walked)?;
        }
    }
    Ok(format!("{name}[{count}]"))
}

/// A row of the table, before it is known where the bytes of the tensors begin.
struct Row {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    offset: u64,
}

fn table(
    reader: &mut Reader<'_>,
    tensors: u64,
    alignment: u64,
    mut listing: Listing,
) -> Result<Model> {
    // The table is read twice, so that it need not be held beside the list of the tensors.
    let begin = reader.position();
    // Where tensors end whose type does not say: where the next one begins.
    listing.hold(size_of::<u64>() * tensors as usize)?;
    let mut begins = Vec::with_capacity(tensors as usize);
    let mut unknown = false;
    for _ in 0..tensors {
        let row = row(reader)?;
        begins.push(row.offset);
        unknown |= matches!(row.dtype, Dtype::Other(_));
    }
    if unknown {
        begins.sort_unstable();
    }
    let data = reader.position().checked_next_multiple_of(alignment);
    let data = data.ok_or_else(|| reader.malformed("the alignment"))?;
    reader.rewind(begin);
    for _ in 0..tensors {
        let row = row(reader)?;
        let offset = data.saturating_add(row.offset);
        let elements = row.shape.iter().try_fold(1, |all: u64, &n| all.checked_mul(n));
        let location = match elements.and_then(|n| row.dtype.bytes_of(n)) {
            Some(len) => Location::Plain { offset, len },
            None if matches!(row.dtype, Dtype::Other(_)) => {
                let next = begins.get(begins.partition_point(|&begin| begin <= row.offset));
                let end = next.map_or(listing.size(), |&next| data.saturating_add(next));
                // With what they are padded with.
                Location::Scattered { offset, len: end.saturating_sub(offset) }
            }
            None => return Err(reader.malformed(format!("the shape of tensor `{}`", row.name))),
        };
        listing.tensor(row.name, row.dtype, row.shape, location)?;
    }
    listing.finish()
}

fn row(reader: &mut Reader<'_>) -> Result<Row> {
    let len = reader.u64()?;
    let name = reader.text(len, MAX_NAME)?;
    let rank = reader.u32()? as usize;
    if rank > MAX_RANK {
        let what = "the number of dimensions";
        return Err(Error::Limit { format: FORMAT, what, limit: MAX_RANK as u64 });
    }
    let mut shape = Vec::with_capacity(rank);
    for _ in 0..rank {
        shape.push(reader.u64()?);
    }
    let dtype = dtype(reader.u32()?);
    if let Dtype::Block { elements, .. } = &dtype
        && !shape.first().is_some_and(|row| row.is_multiple_of(u64::from(*elements)))
    {
        return Err(reader.malformed(format!("tensor `{name}` has rows that end within a block")));
    }
    shape.reverse();
    Ok(Row { name, dtype, shape, offset: reader.u64()? })
}

/// The types of ggml. Blocks: elements and bytes.
fn dtype(kind: u32) -> Dtype {
    let (name, elements, bytes) = match kind {
        0 => return Dtype::F32,
        1 => return Dtype::F16,
        24 => return Dtype::I8,
        25 => return Dtype::I16,
        26 => return Dtype::I32,
        27 => return Dtype::I64,
        28 => return Dtype::F64,
        30 => return Dtype::Bf16,
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        29 => ("IQ1_M", 256, 56),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        39 => ("MXFP4", 32, 17),
        40 => ("NVFP4", 64, 36),
        41 => ("Q1_0", 128, 18),
        // Its blocks have had 40 bytes and 36; it is for sums in memory, not for files.
        9 => return Dtype::Other("Q8_1".to_owned()),
        other => return Dtype::Other(format!("ggml type {other}")),
    };
    Dtype::Block { name: name.to_owned(), elements, bytes }
}
