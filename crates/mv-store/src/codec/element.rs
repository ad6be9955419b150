//! What the bytes of a block are: numbers of which kind.

/// The kind of number that a block holds, little-endian, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// bfloat16: sign, 8 bits of exponent, 7 of mantissa.
    Bf16,
    /// IEEE 754 binary16: sign, 5 bits of exponent, 10 of mantissa.
    F16,
    /// IEEE 754 binary32: sign, 8 bits of exponent, 23 of mantissa.
    F32,
    /// IEEE 754 binary64: sign, 11 bits of exponent, 52 of mantissa.
    F64,
    /// Anything of one byte: int8, fp8, packed blocks of quantised weights.
    Byte,
}

impl Element {
    /// All kinds, by ascending number.
    pub(crate) const ALL: [Element; 5] =
        [Element::Bf16, Element::F16, Element::F32, Element::F64, Element::Byte];

    /// The number stored in blocks.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Element::Bf16 => 1,
            Element::F16 => 2,
            Element::F32 => 3,
            Element::F64 => 4,
            Element::Byte => 5,
        }
    }

    /// The kind of a stored number; none for one that a newer version wrote.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Element> {
        Element::ALL.into_iter().find(|e| e.code() == code)
    }

    /// Bytes of one number.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Element::Bf16 | Element::F16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
            Element::Byte => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_one_kind_and_back() {
        for element in Element::ALL {
            assert_eq!(Element::from_code(element.code()), Some(element));
        }
        assert_eq!([0, 6, 255].map(Element::from_code), [None; 3]);
    }
}
