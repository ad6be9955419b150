//! `.onnx`: one protobuf message, walked field by field; the bytes of the weights are jumped over.
//!
//! <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>. Tensors are the initializers of the main
//! graph; constants inside nodes and nested graphs are part of the program. Fields that occur again
//! win over their first occurrence, as in every protobuf reader.

use crate::MAX_RANK;
use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::listing::{Listing, cut};
use crate::model::{Location, Model, ModelFormat, Port};
use crate::reader::Reader;
use crate::source::Source;

const FORMAT: &str = "onnx";
/// Fields of the whole file that are looked at.
const MAX_FIELDS: u32 = 1 << 24;
/// Bytes of a name.
const MAX_NAME: usize = 64 << 10;
/// Bytes of a text that is kept.
const MAX_TEXT: u64 = 4 << 10;

/// Whether the file begins as most do: the version of the format, and then a text about the producer, the
/// domain or the model, the version of the model, the graph, the sets of operators or a pair.
pub(crate) fn looks_like(start: &[u8]) -> bool {
    matches!(start, [0x08, 1..=0x7f, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..])
}

/// Lists the initializers, inputs and outputs.
pub(crate) fn read(source: &dyn Source, budget: Budget) -> Result<Model> {
    let mut walk = Walk { reader: Reader::new(source, FORMAT), fields: 0 };
    let mut listing = Listing::new(ModelFormat::Onnx, source, budget);
    let mut known = false;
    let end = source.size();
    while let Some(field) = walk.next(end)? {
        match field {
            (1, Value::Number(n)) => listing.metadata("ir_version", &n.to_string())?,
            (2, Value::Range(range)) => walk.describe(&mut listing, "producer_name", range)?,
            (3, Value::Range(range)) => walk.describe(&mut listing, "producer_version", range)?,
            (4, Value::Range(range)) => walk.describe(&mut listing, "domain", range)?,
            (5, Value::Number(n)) => listing.metadata("model_version", &n.to_string())?,
            (7, Value::Range(range)) => {
                walk.graph(range, &mut listing)?;
                known = true;
            }
            (8, Value::Range(range)) => walk.opset(range, &mut listing)?,
            (14, Value::Range(range)) => walk.pair(range, &mut listing)?,
            (_, Value::Range(range)) => walk.leave(range)?,
            _ => {}
        }
    }
    match known {
        true => listing.finish(),
        false => Err(Error::malformed(FORMAT, "it has no graph")),
    }
}

/// A range of the file.
#[derive(Clone, Copy)]
struct Range {
    begin: u64,
    end: u64,
}

/// What a field holds. Texts, messages and packed lists are ranges that the reader stands before.
enum Value {
    Number(u64),
    Fixed,
    Range(Range),
}

struct Walk<'a> {
    reader: Reader<'a>,
    fields: u32,
}

impl Walk<'_> {
    /// The next field of a message that ends there, unless it ends here.
    fn next(&mut self, end: u64) -> Result<Option<(u64, Value)>> {
        if self.reader.position() == end {
            return Ok(None);
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            let limit = MAX_FIELDS.into();
            return Err(Error::Limit { format: FORMAT, what: "the number of fields", limit });
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.reader.skip(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                let begin = self.reader.position();
                let within = begin.checked_add(len).filter(|&to| to <= end);
                let end =
                    within.ok_or_else(|| self.reader.malformed("a field passes its message"))?;
                Value::Range(Range { begin, end })
            }
            5 => self.reader.skip(4).map(|_| Value::Fixed)?,
            kind => return Err(self.reader.malformed(format!("a field of wire type {kind}"))),
        };
        if tag >> 3 == 0 || self.reader.position() > end {
            return Err(self.reader.malformed("a field passes its message"));
        }
        Ok(Some((tag >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.reader.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.reader.malformed("a number does not end"))
    }

    /// Jumps over a range.
    fn leave(&mut self, range: Range) -> Result<()> {
        self.reader.skip(range.end - range.begin).map(drop)
    }

    fn name(&mut self, range: Range) -> Result<String> {
        self.reader.text(range.end - range.begin, MAX_NAME)
    }

    /// A text, cut.
    fn text(&mut self, range: Range) -> Result<String> {
        let len = range.end - range.begin;
        let kept = self.reader.bytes(len.min(MAX_TEXT), MAX_TEXT as usize)?;
        self.reader.skip(len - kept.len() as u64)?;
        Ok(String::from_utf8_lossy(&kept).into_owned())
    }

    fn describe(&mut self, listing: &mut Listing, key: &str, range: Range) -> Result<()> {
        let text = self.text(range)?;
        match text.is_empty() {
            true => Ok(()),
            false => listing.metadata(key, &text),
        }
    }

    /// OperatorSetIdProto: `opset.ai.onnx` and its version.
    fn opset(&mut self, range: Range, listing: &mut Listing) -> Result<()> {
        let (mut domain, mut version) = (String::new(), 0);
        while let Some(field) = self.next(range.end)? {
            match field {
                (1, Value::Range(range)) => domain = self.text(range)?,
                (2, Value::Number(n)) => version = n,
                (_, Value::Range(range)) => self.leave(range)?,
                _ => {}
            }
        }
        let domain = if domain.is_empty() { "ai.onnx" } else { &domain };
        listing.metadata(&format!("opset.{domain}"), &version.to_string())
    }

    /// StringStringEntryProto.
    fn pair(&mut self, range: Range, listing: &mut Listing) -> Result<()> {
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(field) = self.next(range.end)? {
            match field {
                (1, Value::Range(range)) => key = self.text(range)?,
                (2, Value::Range(range)) => value = self.text(range)?,
                (_, Value::Range(range)) => self.leave(range)?,
                _ => {}
            }
        }
        listing.metadata(&key, &value)
    }

    /// GraphProto.
    fn graph(&mut self, range: Range, listing: &mut Listing) -> Result<()> {
        while let Some(field) = self.next(range.end)? {
            match field {
                (2, Value::Range(range)) => self.describe(listing, "graph", range)?,
                (5, Value::Range(range)) => self.tensor(range, listing)?,
                (11, Value::Range(range)) => self.port(range, true, listing)?,
                (12, Value::Range(range)) => self.port(range, false, listing)?,
                (_, Value::Range(range)) => self.leave(range)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// TensorProto.
    fn tensor(&mut self, range: Range, listing: &mut Listing) -> Result<()> {
        let (mut name, mut kind, mut external) = (String::new(), 0, false);
        let mut shape = Vec::new();
        let mut data = Data::None;
        while let Some((number, value)) = self.next(range.end)? {
            match (number, value) {
                (1, Value::Number(n)) => self.dimension(&mut shape, n)?,
                (1, Value::Range(packed)) => {
                    while self.reader.position() < packed.end {
                        let dimension = self.varint()?;
                        self.dimension(&mut shape, dimension)?;
                    }
                    if self.reader.position() > packed.end {
                        return Err(self.reader.malformed("a number passes its list"));
                    }
                }
                (2, Value::Number(n)) => kind = n,
                (8, Value::Range(range)) => name = self.name(range)?,
                // raw_data, and the lists whose elements have a fixed width.
                (9 | 4 | 10, Value::Range(range)) => {
                    data = match data {
                        Data::None => Data::Range(range),
                        _ if number == 9 => Data::Range(range),
                        _ => Data::Parts,
                    };
                    self.leave(range)?;
                }
                // Lists element by element: in varints, or not packed.
                (4 | 10, Value::Fixed) | (5 | 7 | 11, Value::Number(_)) => data = Data::Parts,
                (5..=7 | 11, Value::Range(range)) => {
                    data = Data::Parts;
                    self.leave(range)?;
                }
                (14, Value::Number(n)) => external = n == 1,
                (_, Value::Range(range)) => self.leave(range)?,
                _ => {}
            }
        }
        let elements = shape.iter().try_fold(1, |all: u64, &n| all.checked_mul(n));
        let dtype = dtype(kind, elements.unwrap_or(1));
        let location = match data {
            Data::Range(Range { begin, end }) if !external => {
                Location::Plain { offset: begin, len: end - begin }
            }
            Data::None if !external && elements == Some(0) => {
                Location::Plain { offset: range.begin, len: 0 }
            }
            _ => Location::Elsewhere,
        };
        listing.tensor(name, dtype, shape, location)
    }

    fn dimension(&self, shape: &mut Vec<u64>, n: u64) -> Result<()> {
        if shape.len() == MAX_RANK {
            let what = "the number of dimensions";
            return Err(Error::Limit { format: FORMAT, what, limit: MAX_RANK as u64 });
        }
        if i64::try_from(n).is_err() {
            return Err(self.reader.malformed("a dimension is negative"));
        }
        shape.push(n);
        Ok(())
    }

    /// ValueInfoProto.
    fn port(&mut self, range: Range, input: bool, listing: &mut Listing) -> Result<()> {
        let mut port = Port { input, name: String::new(), shape: String::new() };
        while let Some(field) = self.next(range.end)? {
            match field {
                (1, Value::Range(range)) => port.name = self.name(range)?,
                (2, Value::Range(range)) => port.shape = self.kind(range)?,
                (_, Value::Range(range)) => self.leave(range)?,
                _ => {}
            }
        }
        listing.port(port)
    }

    /// TypeProto as text: `f32[batch, 3]`. What holds other values is named and not entered.
    fn kind(&mut self, range: Range) -> Result<String> {
        let mut text = String::new();
        while let Some(field) = self.next(range.end)? {
            match field {
                (1, Value::Range(range)) => text = self.tensor_kind(range)?,
                (number, Value::Range(range)) => {
                    match number {
                        4 => "sequence".clone_into(&mut text),
                        5 => "map".clone_into(&mut text),
                        8 => "sparse".clone_into(&mut text),
                        9 => "optional".clone_into(&mut text),
                        _ => {}
                    }
                    self.leave(range)?;
                }
                _ => {}
            }
        }
        Ok(text)
    }

    /// TypeProto.Tensor.
    fn tensor_kind(&mut self, range: Range) -> Result<String> {
        let (mut kind, mut shape) = (0, String::new());
        while let Some(field) = self.next(range.end)? {
            match field {
                (1, Value::Number(n)) => kind = n,
                (2, Value::Range(range)) => shape = self.dimensions(range)?,
                (_, Value::Range(range)) => self.leave(range)?,
                _ => {}
            }
        }
        Ok(format!("{}{shape}", dtype(kind, 0)))
    }

    /// TensorShapeProto: numbers, names, and `?` for what is not known.
    fn dimensions(&mut self, range: Range) -> Result<String> {
        let mut shape = String::from("[");
        let mut rank = 0;
        while let Some(field) = self.next(range.end)? {
            match field {
                (1, Value::Range(range)) => {
                    if rank == MAX_RANK {
                        let what = "the number of dimensions";
                        return Err(Error::Limit { format: FORMAT, what, limit: MAX_RANK as u64 });
                    }
                    if rank > 0 {
                        shape.push_str(", ");
                    }
                    rank += 1;
                    let mut dimension = String::new();
                    while let Some(field) = self.next(range.end)? {
                        match field {
                            (1, Value::Number(n)) => dimension = n.cast_signed().to_string(),
                            (2, Value::Range(range)) => dimension = self.text(range)?,
                            (_, Value::Range(range)) => self.leave(range)?,
                            _ => {}
                        }
                    }
                    shape.push_str(if dimension.is_empty() { "?" } else { cut(&dimension) });
                }
                (_, Value::Range(range)) => self.leave(range)?,
                _ => {}
            }
        }
        shape.push(']');
        Ok(shape)
    }
}

/// The bytes of a tensor while its message is read.
enum Data {
    None,
    /// All in one place, as they are.
    Range(Range),
    /// In another encoding, or in pieces.
    Parts,
}

/// TensorProto.DataType. Types of 4 bits come in pairs.
fn dtype(kind: u64, elements: u64) -> Dtype {
    let other = |name: &str| Dtype::Other(name.to_owned());
    let block = |name: &str, count: u32| match elements.is_multiple_of(count.into()) {
        true => Dtype::Block { name: name.to_owned(), elements: count, bytes: 1 },
        false => other(name),
    };
    match kind {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        4 => Dtype::U16,
        5 => Dtype::I16,
        6 => Dtype::I32,
        7 => Dtype::I64,
        8 => other("string"),
        9 => Dtype::Bool,
        10 => Dtype::F16,
        11 => Dtype::F64,
        12 => Dtype::U32,
        13 => Dtype::U64,
        14 => Dtype::C64,
        15 => Dtype::C128,
        16 => Dtype::Bf16,
        17 => Dtype::F8E4M3,
        18 => block("f8_e4m3fnuz", 1),
        19 => Dtype::F8E5M2,
        20 => block("f8_e5m2fnuz", 1),
        21 => block("u4", 2),
        22 => block("i4", 2),
        23 => block("f4_e2m1", 2),
        24 => block("f8_e8m0", 1),
        25 => block("u2", 4),
        26 => block("i2", 4),
        other => Dtype::Other(format!("onnx type {other}")),
    }
}
