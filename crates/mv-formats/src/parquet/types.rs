//! [`Element`]: one node of a schema, and what the values of a leaf are called.

use super::compact::{Compact, Type, bad};
use crate::error::Result;

/// `SchemaElement`.
#[derive(Default)]
pub(super) struct Element<'a> {
    pub(super) name: &'a [u8],
    /// How many nodes are below it; none for a leaf.
    pub(super) children: Option<u64>,
    physical: Option<i64>,
    /// Bytes of a value of fixed length.
    width: Option<u64>,
    repetition: Option<i64>,
    converted: Option<i64>,
    scale: Option<u64>,
    precision: Option<u64>,
    logical: Option<String>,
}

impl<'a> Element<'a> {
    pub(super) fn read(bytes: &mut Compact<'a>) -> Result<Element<'a>> {
        let mut element = Element::default();
        bytes.structure(|bytes, number, of| {
            match number {
                1 => element.physical = Some(bytes.integer(of)?),
                2 => element.width = Some(bytes.count(of)?),
                3 => element.repetition = Some(bytes.integer(of)?),
                4 => element.name = bytes.binary(of)?,
                5 => element.children = Some(bytes.count(of)?).filter(|&count| count > 0),
                6 => element.converted = Some(bytes.integer(of)?),
                7 => element.scale = Some(bytes.count(of)?),
                8 => element.precision = Some(bytes.count(of)?),
                10 => element.logical = read_logical(bytes, of)?,
                _ => bytes.skip(of)?,
            }
            Ok(())
        })?;
        Ok(element)
    }

    pub(super) fn is_optional(&self) -> bool {
        self.repetition == Some(1)
    }

    pub(super) fn is_repeated(&self) -> bool {
        self.repetition == Some(2)
    }

    /// What the values of a leaf are: `timestamp[us, UTC]`, `int64`, `string`.
    pub(super) fn kind(&self) -> Result<String> {
        if let Some(logical) = &self.logical {
            return Ok(logical.clone());
        }
        let kind = match self.converted {
            Some(0) => "string",
            Some(4) => "enum",
            Some(5) => {
                return Ok(decimal(self.precision.unwrap_or(0), self.scale.unwrap_or(0)));
            }
            Some(6) => "date",
            Some(7) => "time[ms, UTC]",
            Some(8) => "time[us, UTC]",
            Some(9) => "timestamp[ms, UTC]",
            Some(10) => "timestamp[us, UTC]",
            Some(11) => "uint8",
            Some(12) => "uint16",
            Some(13) => "uint32",
            Some(14) => "uint64",
            Some(15) => "int8",
            Some(16) => "int16",
            Some(17) => "int32",
            Some(18) => "int64",
            Some(19) => "json",
            Some(20) => "bson",
            Some(21) => "interval",
            _ => match self.physical {
                Some(0) => "bool",
                Some(1) => "int32",
                Some(2) => "int64",
                Some(3) => "int96",
                Some(4) => "float",
                Some(5) => "double",
                Some(6) => "binary",
                Some(7) => return Ok(format!("binary({})", self.width.unwrap_or(0))),
                _ => return Err(bad("a column has no type")),
            },
        };
        Ok(kind.to_owned())
    }
}

fn decimal(precision: u64, scale: u64) -> String {
    format!("decimal({precision}, {scale})")
}

/// The union `LogicalType`; none for one that is not known here or only names a group.
fn read_logical(bytes: &mut Compact<'_>, of: Type) -> Result<Option<String>> {
    let mut found = None;
    bytes.nested(of, |bytes, number, of| {
        let simple = match number {
            1 => "string",
            4 => "enum",
            6 => "date",
            11 => "null",
            12 => "json",
            13 => "bson",
            14 => "uuid",
            15 => "float16",
            16 => "variant",
            17 => "geometry",
            18 => "geography",
            5 => {
                found = Some(read_decimal(bytes, of)?);
                return Ok(());
            }
            7 => {
                found = Some(format!("time[{}]", read_time(bytes, of)?));
                return Ok(());
            }
            8 => {
                found = Some(format!("timestamp[{}]", read_time(bytes, of)?));
                return Ok(());
            }
            10 => {
                found = Some(read_integer(bytes, of)?);
                return Ok(());
            }
            _ => return bytes.skip(of),
        };
        found = Some(simple.to_owned());
        bytes.skip(of)
    })?;
    Ok(found)
}

fn read_decimal(bytes: &mut Compact<'_>, of: Type) -> Result<String> {
    let (mut scale, mut precision) = (0, 0);
    bytes.nested(of, |bytes, number, of| {
        match number {
            1 => scale = bytes.count(of)?,
            2 => precision = bytes.count(of)?,
            _ => bytes.skip(of)?,
        }
        Ok(())
    })?;
    Ok(decimal(precision, scale))
}

/// The unit, and whether times are of UTC or local ones.
fn read_time(bytes: &mut Compact<'_>, of: Type) -> Result<String> {
    let (mut utc, mut unit) = (false, "?");
    bytes.nested(of, |bytes, number, of| match number {
        1 => {
            utc = bytes.boolean(of)?;
            Ok(())
        }
        2 => bytes.nested(of, |bytes, number, of| {
            unit = match number {
                1 => "ms",
                2 => "us",
                3 => "ns",
                _ => "?",
            };
            bytes.skip(of)
        }),
        _ => bytes.skip(of),
    })?;
    Ok(if utc { format!("{unit}, UTC") } else { unit.to_owned() })
}

fn read_integer(bytes: &mut Compact<'_>, of: Type) -> Result<String> {
    let (mut bits, mut signed) = (0, true);
    bytes.nested(of, |bytes, number, of| {
        match number {
            1 => bits = bytes.integer(of)?,
            2 => signed = bytes.boolean(of)?,
            _ => bytes.skip(of)?,
        }
        Ok(())
    })?;
    Ok(format!("{}int{bits}", if signed { "" } else { "u" }))
}
