//! How an integer is written as a field: a decimal number, or digits in a fixed pattern.
//!
//! ```text
//! decimal   decimals u8, kept u8    as in 12.50: the integer counts the last of `decimals` places;
//!                                   zeros at the end go, but `kept` places stay; no place, no point
//! pattern   length u8, bytes        as in 2026-01-31: each byte `0` stands for one digit
//! ```

use super::super::streams;

/// The most digits: their integers are below 10^18.
const DIGITS: usize = 18;
const LIMIT: u64 = 10u64.pow(18);

/// One way to write integers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A sign, digits, a point and digits.
    Decimal { decimals: usize, kept: usize },
    /// A pattern with `0` for each digit.
    Pattern(Vec<u8>),
}

impl Shape {
    /// The decimal shape that most of the fields have.
    pub(super) fn decimal_of(fields: &[&[u8]]) -> Option<Shape> {
        let mut counts = [0usize; DIGITS + 1];
        for (_, _, decimals) in fields.iter().filter_map(|field| parse(field)) {
            if let Some(count) = counts.get_mut(decimals) {
                *count += 1;
            }
        }
        let numbers: usize = counts.iter().sum();
        if numbers < fields.len() / 2 + 1 {
            return None;
        }
        let decimals = counts.iter().rposition(|&count| count > numbers / 64)?;
        let all = counts[decimals] > numbers - numbers / 64 - 1;
        let least = counts.iter().position(|&count| count > 0)?;
        Some(Shape::Decimal { decimals, kept: if all { decimals } else { least } })
    }

    /// The pattern of a field, if it has digits.
    pub(super) fn pattern_of(field: &[u8]) -> Option<Shape> {
        let digits = field.iter().filter(|byte| byte.is_ascii_digit()).count();
        let pattern = field.iter().map(|&byte| if byte.is_ascii_digit() { b'0' } else { byte });
        ((1..=DIGITS).contains(&digits) && field.len() <= 255)
            .then(|| Shape::Pattern(pattern.collect()))
    }

    /// The integer that is written as this field.
    pub(super) fn read(&self, field: &[u8], scratch: &mut Vec<u8>) -> Option<i64> {
        let integer = match self {
            Shape::Decimal { decimals, .. } => {
                let (negative, digits, places) = parse(field)?;
                let missing = u32::try_from(decimals.checked_sub(places)?).ok()?;
                let size = digits.checked_mul(10u64.checked_pow(missing)?)?;
                let size = i64::try_from(size).ok()?;
                if negative { -size } else { size }
            }
            Shape::Pattern(pattern) => {
                if pattern.len() != field.len() {
                    return None;
                }
                let digits = field.iter().filter(|byte| byte.is_ascii_digit());
                if digits.clone().count() > DIGITS {
                    return None;
                }
                digits.fold(0, |n, digit| n * 10 + i64::from(digit - b'0'))
            }
        };
        scratch.clear();
        (self.write(integer, scratch).is_some() && scratch == field).then_some(integer)
    }

    /// Appends an integer as a field; none when the shape cannot hold it.
    pub(super) fn write(&self, integer: i64, into: &mut Vec<u8>) -> Option<()> {
        let size = integer.unsigned_abs();
        if size >= LIMIT {
            return None;
        }
        let mut digits = Digits::new(size);
        match self {
            Shape::Decimal { decimals, kept } => {
                if integer < 0 {
                    into.push(b'-');
                }
                let (whole, places) = digits.split(*decimals)?;
                into.extend_from_slice(whole);
                let zeros = places.iter().rev().take_while(|&&digit| digit == b'0').count();
                let shown = places.get(..(places.len() - zeros).max(*kept))?;
                if !shown.is_empty() {
                    into.push(b'.');
                    into.extend_from_slice(shown);
                }
            }
            Shape::Pattern(pattern) => {
                let at = into.len();
                into.extend_from_slice(pattern);
                let places = into.get_mut(at..)?.iter_mut().rev().filter(|byte| **byte == b'0');
                let mut rest = if integer < 0 { return None } else { size };
                for place in places {
                    *place = b'0' + (rest % 10).to_le_bytes()[0];
                    rest /= 10;
                }
                if rest > 0 {
                    return None;
                }
            }
        }
        Some(())
    }

    /// Appends the shape itself.
    pub(super) fn put(&self, into: &mut Vec<u8>) {
        let byte = |n: usize| u8::try_from(n).expect("shapes are short");
        match self {
            Shape::Decimal { decimals, kept } => into.extend([byte(*decimals), byte(*kept)]),
            Shape::Pattern(pattern) => {
                into.push(byte(pattern.len()));
                into.extend_from_slice(pattern);
            }
        }
    }

    /// Takes a decimal shape off the front.
    pub(super) fn take_decimal(from: &mut &[u8]) -> Result<Shape, String> {
        let decimals = usize::from(streams::take_byte(from)?);
        let kept = usize::from(streams::take_byte(from)?);
        if decimals > DIGITS || kept > decimals {
            return Err(format!("{kept} of {decimals} decimals"));
        }
        Ok(Shape::Decimal { decimals, kept })
    }

    /// Takes a pattern off the front.
    pub(super) fn take_pattern(from: &mut &[u8]) -> Result<Shape, String> {
        let length = usize::from(streams::take_byte(from)?);
        Ok(Shape::Pattern(streams::take_bytes(from, length)?.to_vec()))
    }
}

/// The sign, the digits as one number, and how many of them stand behind the point.
fn parse(field: &[u8]) -> Option<(bool, u64, usize)> {
    let negative = field.first() == Some(&b'-');
    let digits = if negative { field.get(1..)? } else { field };
    let mut number = 0u64;
    let mut point = None;
    for (at, &byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?,
            b'.' if point.is_none() && at > 0 => point = Some(at),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |at| digits.len() - at - 1);
    (!digits.is_empty() && decimals <= DIGITS && number < LIMIT)
        .then_some((negative, number, decimals))
}

/// The decimal digits of a number, with zeros before them.
struct Digits {
    bytes: [u8; 20],
    first: usize,
}

impl Digits {
    /// The digits of a number; 0 has none of its own.
    fn new(mut number: u64) -> Digits {
        let mut digits = Digits { bytes: [b'0'; 20], first: 20 };
        for (at, byte) in digits.bytes.iter_mut().enumerate().rev() {
            if number == 0 {
                break;
            }
            *byte = b'0' + (number % 10).to_le_bytes()[0];
            number /= 10;
            digits.first = at;
        }
        digits
    }

    /// The digits before and behind the point; at least one before it.
    fn split(&mut self, decimals: usize) -> Option<(&[u8], &[u8])> {
        let point = self.bytes.len().checked_sub(decimals)?;
        let first = self.first.min(point.checked_sub(1)?);
        Some((self.bytes.get(first..point)?, self.bytes.get(point..)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shape: &Shape, field: &str) -> Option<i64> {
        shape.read(field.as_bytes(), &mut Vec::new())
    }

    #[test]
    fn numbers_keep_their_places() {
        let money = Shape::Decimal { decimals: 2, kept: 2 };
        for (field, integer) in [("12.50", 1250), ("0.00", 0), ("-0.07", -7), ("100.00", 10_000)] {
            assert_eq!(read(&money, field), Some(integer), "{field}");
        }
        for other in ["12.5", "12", ".50", "-0.00", "012.50", "+1.00", "1.005", "", "-", "x"] {
            assert_eq!(read(&money, other), None, "{other}");
        }
        let trimmed = Shape::Decimal { decimals: 3, kept: 1 };
        for (field, integer) in [("1.0", 1000), ("1.25", 1250), ("-3.125", -3125)] {
            assert_eq!(read(&trimmed, field), Some(integer), "{field}");
        }
        for other in ["1", "1.250", "1.00"] {
            assert_eq!(read(&trimmed, other), None, "{other}");
        }
        assert_eq!(read(&Shape::Decimal { decimals: 0, kept: 0 }, "-41"), Some(-41));
    }

    #[test]
    fn patterns_hold_digits_in_their_places() {
        let day = Shape::pattern_of(b"2026-01-31").unwrap();
        assert_eq!(day, Shape::Pattern(b"0000-00-00".to_vec()));
        assert_eq!(read(&day, "2026-12-05"), Some(20_261_205));
        for other in ["2026-12-5", "2026/12/05", "", "2026-12-0x"] {
            assert_eq!(read(&day, other), None, "{other}");
        }
        assert_eq!(day.write(100_000_000, &mut Vec::new()), None);
        assert_eq!(day.write(-1, &mut Vec::new()), None);
        assert_eq!(Shape::pattern_of(b"none"), None);
    }

    #[test]
    fn the_shape_of_a_column_is_that_of_most_fields() {
        let of = |fields: &[&str]| {
            Shape::decimal_of(&fields.iter().map(|f| f.as_bytes()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["name", "1.50", "2.25"]), Some(Shape::Decimal { decimals: 2, kept: 2 }));
        assert_eq!(of(&["1.5", "2.25", "3"]), Some(Shape::Decimal { decimals: 2, kept: 0 }));
        assert_eq!(of(&["a", "b", "3"]), None);
    }
}
