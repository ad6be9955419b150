//! [`Kind`]: what the values of a column look like.

/// What the values of a column look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No values, or only missing ones.
    Empty,
    /// `true` and `false`.
    Bool,
    /// Whole numbers.
    Int,
    /// Numbers.
    Float,
    /// `2026-03-01`
    Date,
    /// `2026-03-01T09:30:00Z`
    Timestamp,
    /// Anything else.
    Text,
    /// JSON arrays.
    List,
    /// JSON objects.
    Object,
    /// Values of several kinds.
    Mixed,
}

impl Kind {
    /// Its name, for people and for `--json`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Empty => "empty",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Float => "float",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
            Kind::Text => "text",
            Kind::List => "list",
            Kind::Object => "object",
            Kind::Mixed => "mixed",
        }
    }

    /// The narrowest kind that holds both.
    pub(super) fn join(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Empty, k) | (k, Kind::Empty) => k,
            (Kind::Int, Kind::Float) | (Kind::Float, Kind::Int) => Kind::Float,
            (Kind::Date, Kind::Timestamp) | (Kind::Timestamp, Kind::Date) => Kind::Timestamp,
            _ => Kind::Mixed,
        }
    }

    /// The kind of one field of text. What pandas takes for a missing value is [`Kind::Empty`].
    pub(super) fn of_field(field: &[u8]) -> Kind {
        let field = field.trim_ascii();
        match field {
            b"" | b"NA" | b"N/A" | b"NaN" | b"nan" | b"null" | b"NULL" | b"None" => Kind::Empty,
            b"true" | b"false" | b"True" | b"False" | b"TRUE" | b"FALSE" => Kind::Bool,
            _ => of_number(field).or_else(|| of_date(field)).unwrap_or(Kind::Text),
        }
    }
}

/// The leading digits and the rest.
fn digits(text: &[u8]) -> (usize, &[u8]) {
    let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
    (count, text.get(count..).unwrap_or_default())
}

/// `12`, `-1.5`, `+.5e-3`, `inf`
fn of_number(text: &[u8]) -> Option<Kind> {
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        all => all,
    };
    if matches!(unsigned, b"inf" | b"Inf" | b"infinity" | b"Infinity") {
        return Some(Kind::Float);
    }
    let (whole, rest) = digits(unsigned);
    if rest.is_empty() {
        return (whole > 0).then_some(Kind::Int);
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        rest => (0, rest),
    };
    if whole + fraction == 0 {
        return None;
    }
    let (exponent, rest) = match rest {
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => digits(rest),
        rest => (1, rest),
    };
    (exponent > 0 && rest.is_empty()).then_some(Kind::Float)
}

/// `2026-03-01`, with or without a time of day and an offset. The calendar is not consulted.
fn of_date(text: &[u8]) -> Option<Kind> {
    let shape = |pattern: &[u8], text: &[u8]| {
        pattern.len() == text.len()
            && pattern.iter().zip(text).all(|(p, b)| match p {
                b'0' => b.is_ascii_digit(),
                p => p == b,
            })
    };
    let (date, time) = text.split_at_checked(10)?;
    if !shape(b"0000-00-00", date) {
        return None;
    }
    let [b'T' | b' ', time @ ..] = time else { return time.is_empty().then_some(Kind::Date) };
    let (minutes, rest) = time.split_at_checked(5)?;
    if !shape(b"00:00", minutes) {
        return None;
    }
    let rest = match rest {
        [b':', a, b, rest @ ..] if a.is_ascii_digit() && b.is_ascii_digit() => match rest {
            [b'.', rest @ ..] => digits(rest).1,
            rest => rest,
        },
        rest => rest,
    };
    let offset = match rest {
        b"" | b"Z" => return Some(Kind::Timestamp),
        [b'+' | b'-', offset @ ..] => offset,
        _ => return None,
    };
    let known = [&b"00"[..], b"0000", b"00:00"].iter().any(|pattern| shape(pattern, offset));
    known.then_some(Kind::Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_kind_that_a_reader_would_say() {
        for (kind, fields) in [
            (Kind::Int, &["0", "-12", "+7", " 3 ", "007"][..]),
            (Kind::Float, &["1.", ".5", "-1.5e-3", "2E9", "inf", "-Infinity"]),
            (Kind::Bool, &["true", "False"]),
            (Kind::Empty, &["", "  ", "NaN", "NA", "null"]),
            (Kind::Date, &["2026-03-01"]),
            (
                Kind::Timestamp,
                &["2026-03-01T09:30", "2026-03-01 09:30:00.125+01:00", "2026-03-01T09:30:00Z"],
            ),
            (Kind::Text, &["1e", ".", "-", "1,5", "0x10", "2026-3-1", "2026-03-01T", "a", "é"]),
        ] {
            for field in fields {
                assert_eq!(Kind::of_field(field.as_bytes()), kind, "{field:?}");
            }
        }
    }

    #[test]
    fn a_join_is_the_narrowest_kind_that_holds_both() {
        assert_eq!(Kind::Int.join(Kind::Float), Kind::Float);
        assert_eq!(Kind::Empty.join(Kind::Date), Kind::Date);
        assert_eq!(Kind::Bool.join(Kind::Int), Kind::Mixed);
    }
}
