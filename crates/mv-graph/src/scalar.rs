//! [`Scalar`]: the value of a param or a metric.
//!
//! Floats are stored as their bits, so that a manifest's bytes never depend on how a float is
//! printed; every NaN is the same NaN.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::wire;

/// A float whose bits are its identity. All NaNs are one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct F64Bits(u64);

impl F64Bits {
    /// Keeps the number; any NaN becomes the one.
    #[must_use]
    pub fn new(number: f64) -> F64Bits {
        F64Bits(if number.is_nan() { f64::NAN } else { number }.to_bits())
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for F64Bits {
    fn from(number: f64) -> F64Bits {
        F64Bits::new(number)
    }
}

impl fmt::Debug for F64Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A value of one of four types.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating point number.
    Float(F64Bits),
    /// Anything else.
    Text(#[serde(deserialize_with = "wire::text")] String),
}

impl Scalar {
    /// A float.
    #[must_use]
    pub fn float(number: f64) -> Scalar {
        Scalar::Float(F64Bits::new(number))
    }

    /// Reads what a user typed: `true`, `3`, `1e-3`, `nan`; all else is text.
    ///
    /// A number that would not print again as it was written stays text: `007`, `+5`, an integer
    /// of more than 64 bits.
    #[must_use]
    pub fn parse(text: &str) -> Scalar {
        match text {
            "true" | "True" => return Scalar::Bool(true),
            "false" | "False" => return Scalar::Bool(false),
            _ => {}
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.bytes().all(|b| b.is_ascii_digit()) {
            let plain = digits == "0" && !text.starts_with('-') || !digits.starts_with('0');
            return match text.parse() {
                Ok(number) if plain => Scalar::Int(number),
                _ => Scalar::Text(text.to_owned()),
            };
        }
        parse_float(text).map_or_else(|| Scalar::Text(text.to_owned()), Scalar::float)
    }

    /// The value in JSON. JSON has no NaN and no infinity: they are the texts `NaN`, `inf`, `-inf`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Scalar::Bool(value) => (*value).into(),
            Scalar::Int(value) => (*value).into(),
            Scalar::Float(value) => match serde_json::Number::from_f64(value.get()) {
                Some(number) => number.into(),
                None => self.to_string().into(),
            },
            Scalar::Text(value) => value.as_str().into(),
        }
    }

    /// The value of a JSON number, boolean or string; none for null, arrays and objects.
    #[must_use]
    pub fn from_json(value: &serde_json::Value) -> Option<Scalar> {
        match value {
            serde_json::Value::Bool(value) => Some(Scalar::Bool(*value)),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Some(Scalar::Int(whole)),
                None if number.is_u64() => Some(Scalar::Text(number.to_string())),
                None => number.as_f64().map(Scalar::float),
            },
            serde_json::Value::String(text) => Some(Scalar::Text(text.clone())),
            _ => None,
        }
    }

    /// The value as a number, to compare and to plot; none for text and booleans.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Scalar::Int(value) => Some(*value as f64),
            Scalar::Float(value) => Some(value.get()),
            Scalar::Bool(_) | Scalar::Text(_) => None,
        }
    }

    /// Refuses a NaN other than the one, which only hostile bytes hold.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        match self {
            Scalar::Float(bits) if *bits != F64Bits::new(bits.get()) => {
                Err(Error::invalid("number", format!("NaN with the bits {:016x}", bits.0)))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Scalar {
    /// The shortest text that reads back as the same value. Text is not escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Bool(value) => value.fmt(f),
            Scalar::Int(value) => value.fmt(f),
            // `Debug` keeps the point of whole floats and goes to exponents where `Display` pads.
            Scalar::Float(value) => write!(f, "{:?}", value.get()),
            Scalar::Text(value) => f.write_str(value),
        }
    }
}

/// A float as people and YAML write it; words like `Infinity` are fine, `0x10` and `1_000` are not.
fn parse_float(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "nan" | ".nan" => return Some(f64::NAN),
        "inf" | ".inf" | "infinity" => return Some(f64::INFINITY),
        "-inf" | "-.inf" | "-infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let numeric =
        text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    // A number too large for a float is not infinity: it stays what it was.
    if numeric && !text.starts_with('+') {
        text.parse().ok().filter(|n: &f64| n.is_finite())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_user_types_gets_the_type_they_mean() {
        for (text, value) in [
            ("true", Scalar::Bool(true)),
            ("False", Scalar::Bool(false)),
            ("0", Scalar::Int(0)),
            ("-12", Scalar::Int(-12)),
            ("9223372036854775807", Scalar::Int(i64::MAX)),
            ("-9223372036854775808", Scalar::Int(i64::MIN)),
            ("1e-3", Scalar::float(0.001)),
            ("0.5", Scalar::float(0.5)),
            ("-0.0", Scalar::float(-0.0)),
            ("NaN", Scalar::float(f64::NAN)),
            ("-inf", Scalar::float(f64::NEG_INFINITY)),
        ] {
            assert_eq!(Scalar::parse(text), value, "{text}");
        }
    }

    #[test]
    fn a_number_that_would_not_print_again_stays_text() {
        for text in [
            "",
            "-",
            "-0",
            "007",
            "+5",
            "+1.5",
            "9223372036854775808",
            "0x10",
            "1_000",
            "adam",
            "1e999",
            "yes",
            "e",
            ".",
            "1.2.3",
        ] {
            assert_eq!(Scalar::parse(text), Scalar::Text(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn json_keeps_types_and_spells_what_it_cannot_hold() {
        assert_eq!(Scalar::Int(3).to_json().to_string(), "3");
        assert_eq!(Scalar::float(3.0).to_json().to_string(), "3.0");
        assert_eq!(Scalar::float(f64::NAN).to_json().to_string(), "\"NaN\"");
        assert_eq!(Scalar::float(f64::INFINITY).to_json().to_string(), "\"inf\"");
        assert_eq!(
            Scalar::from_json(&serde_json::json!(u64::MAX)),
            Some(Scalar::Text(u64::MAX.to_string()))
        );
        assert_eq!(Scalar::from_json(&serde_json::json!(null)), None);
        assert_eq!(Scalar::from_json(&serde_json::json!(0.25)), Some(Scalar::float(0.25)));
    }

    #[test]
    fn every_nan_is_the_same() {
        let other = f64::from_bits(0xfff8_0000_0000_0001);
        assert_eq!(F64Bits::new(other), F64Bits::new(f64::NAN));
        assert!(Scalar::Float(F64Bits(other.to_bits())).validate().is_err());
        assert!(Scalar::float(other).validate().is_ok());
    }

    proptest! {
        #[test]
        fn numbers_print_as_they_parse(float: f64, int: i64) {
            for value in [Scalar::float(float), Scalar::Int(int)] {
                prop_assert_eq!(Scalar::parse(&value.to_string()), value);
            }
        }

        #[test]
        fn any_text_is_some_scalar_and_text_prints_unchanged(text: String) {
            if let Scalar::Text(kept) = Scalar::parse(&text) {
                prop_assert_eq!(kept, text);
            }
        }
    }
}
