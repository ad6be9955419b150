//! Where a record begins in the middle of a text, from the bytes before that place alone.

use memchr::memrchr;

use super::records::Grammar;
use crate::error::Result;
use crate::source::Source;

/// Where the last record begins that begins at or before `end`, with `longest` bytes before that
/// read and none behind; none if these leave it in doubt.
///
/// Whether these bytes begin inside quotes is not known, so that both are tried, and what is not
/// possible is dropped: quotes where none can be, and a record that is longer than `longest`.
pub(super) fn record_before(
    source: &dyn Source,
    grammar: Grammar,
    end: u64,
    longest: usize,
) -> Result<Option<u64>> {
    let from = end.saturating_sub(longest as u64);
    let bytes = source.read(from, (end - from) as usize)?;
    let at = |begin: usize| from + begin as u64;
    let Grammar::Fields { delimiter } = grammar else {
        return Ok(memrchr(b'\n', &bytes).map(|newline| at(newline + 1)));
    };
    let before = [Quoting::FieldStart, Quoting::Plain, Quoting::Quoted, Quoting::Closed];
    let mut possible = before.into_iter().filter_map(|state| last_begin(&bytes, delimiter, state));
    let first = possible.next();
    Ok(first.filter(|&begin| possible.all(|other| other == begin)).map(at))
}

/// Where in a record a byte is.
#[derive(Clone, Copy)]
enum Quoting {
    /// A field begins here.
    FieldStart,
    /// In a field without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes the field, unless another one follows.
    Closed,
}

/// Where the last record begins in these bytes, if they begin in this state and keep the rules of
/// RFC 4180; none if they break them or no record begins.
fn last_begin(bytes: &[u8], delimiter: u8, mut state: Quoting) -> Option<usize> {
    let mut begin = None;
    for (at, &byte) in bytes.iter().enumerate() {
        state = match (state, byte) {
            (Quoting::Quoted, b'"') => Quoting::Closed,
            (Quoting::Quoted, _) => Quoting::Quoted,
            (Quoting::FieldStart | Quoting::Closed, b'"') => Quoting::Quoted,
            (Quoting::Plain, b'"') => return None,
            (_, b'\n') => {
                begin = Some(at + 1);
                Quoting::FieldStart
            }
            (_, byte) if byte == delimiter => Quoting::FieldStart,
            (Quoting::Closed, b'\r') => Quoting::Closed,
            (Quoting::Closed, _) => return None,
            (Quoting::FieldStart | Quoting::Plain, _) => Quoting::Plain,
        };
    }
    begin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_found_in_the_middle_of_a_file_if_its_quotes_leave_no_doubt() {
        let fields = Grammar::Fields { delimiter: b',' };
        for (text, found) in [
            // No quotes: one that is open since before would make the record too long.
            ("b,c\nd,e\nf", Some("f")),
            ("bcdefghi", None),
            // In quotes at the end, and at the beginning.
            ("b,c\n1,\"x\ny", Some("1,\"x\ny")),
            ("x\ny\",2\n3,z\nf", Some("f")),
            ("x\ny\",2\n3,\"z\nf", Some("3,\"z\nf")),
            ("\"\"x\"\ny,2\n3,\"\"\nf", Some("f")),
            // Quotes where none can be, however it begins; quotes that can be read both ways.
            ("5\" x,6\" y\n7\" z\n", None),
            ("a,\"\n\",b\n", None),
        ] {
            let source = format!("{}{text}", "a,b\n".repeat(9)).into_bytes();
            let end = source.len() as u64;
            let begin = record_before(&source, fields, end, text.len()).unwrap();
            let rest = begin.map(|begin| &source[begin as usize..]);
            assert_eq!(rest, found.map(str::as_bytes), "{text:?}");
        }
        let lines = b"{}\n\"\n\"x".to_vec();
        assert_eq!(record_before(&lines, Grammar::Lines, 7, 7).unwrap(), Some(5));
    }
}
