//! [`Dtype`]: what the elements of a tensor are.

use std::fmt;

/// The type of a tensor's elements. All are little-endian unless the tensor's location says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned 8 bits.
    U8,
    /// Signed 8 bits.
    I8,
    /// Unsigned 16 bits.
    U16,
    /// Signed 16 bits.
    I16,
    /// Unsigned 32 bits.
    U32,
    /// Signed 32 bits.
    I32,
    /// Unsigned 64 bits.
    U64,
    /// Signed 64 bits.
    I64,
    /// 8 bits: 4 of exponent, 3 of mantissa.
    F8E4M3,
    /// 8 bits: 5 of exponent, 2 of mantissa.
    F8E5M2,
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Two `f32`.
    C64,
    /// Two `f64`.
    C128,
    /// Blocks that hold several elements each, as GGUF's `Q4_K`.
    Block {
        /// What the format calls it.
        name: String,
        /// Elements of a block.
        elements: u32,
        /// Bytes of a block.
        bytes: u32,
    },
    /// Anything else, under the name the file gives it.
    Other(String),
}

impl Dtype {
    /// Bytes of one element; none for blocks and unknown types.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        Some(match self {
            Dtype::Bool | Dtype::U8 | Dtype::I8 | Dtype::F8E4M3 | Dtype::F8E5M2 => 1,
            Dtype::U16 | Dtype::I16 | Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::U32 | Dtype::I32 | Dtype::F32 => 4,
            Dtype::U64 | Dtype::I64 | Dtype::F64 | Dtype::C64 => 8,
            Dtype::C128 => 16,
            Dtype::Block { .. } | Dtype::Other(_) => return None,
        })
    }

    /// Bytes of a tensor of so many elements; none when that is unknown or more than 64 bits.
    #[must_use]
    pub fn bytes_of(&self, elements: u64) -> Option<u64> {
        match self {
            Dtype::Block { elements: per, bytes, .. } => {
                let per = u64::from(*per);
                let whole = per > 0 && elements.is_multiple_of(per);
                whole.then(|| (elements / per).checked_mul(u64::from(*bytes))).flatten()
            }
            other => elements.checked_mul(other.size()?),
        }
    }
}

impl fmt::Display for Dtype {
    /// `f32`, `bf16`, `Q4_K`. A name from a file is not escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Dtype::Bool => "bool",
            Dtype::U8 => "u8",
            Dtype::I8 => "i8",
            Dtype::U16 => "u16",
            Dtype::I16 => "i16",
            Dtype::U32 => "u32",
            Dtype::I32 => "i32",
            Dtype::U64 => "u64",
            Dtype::I64 => "i64",
            Dtype::F8E4M3 => "f8_e4m3",
            Dtype::F8E5M2 => "f8_e5m2",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
            Dtype::C64 => "c64",
            Dtype::C128 => "c128",
            Dtype::Block { name, .. } | Dtype::Other(name) => name,
        })
    }
}
