//! Delimited text by columns: what stands below one another compresses better than a row.
//!
//! ```text
//! delimiter  u8
//! ending     u8         0: rows end in "\n"; 1: in "\r\n"
//! columns    varint     1 to 1024
//! rows       varint     columns x rows is at most the decoded length
//! pieces     stream     of pairs of varints: the rows since the last piece, the length of this one
//! loose      stream     the bytes of the pieces
//! columns x column:
//!   kind     u8
//!   0 text      stream     the fields, each followed by "\n"
//!   1 words     stream     the words, each followed by "\n"; then integers: which word
//!   2 decimal   a decimal shape; misses; then integers, one a field that is no miss
//!   3 pattern   a pattern; misses; then integers
//! misses     stream     of varints: the fields since the last miss
//!            stream     those fields, each followed by "\n"
//! ```
//!
//! Shapes are in `columns/shape.rs`, integers in `columns/integers.rs`, streams in `streams.rs`.
//! A **row** is a line with one field more than it has delimiters; only lines with the block's own
//! number of fields are rows. All other bytes are **pieces**, between the rows: cut rows, odd ones.

use std::collections::BTreeMap;

use super::streams;
use crate::error::Result;
use fields::{Cursor, Fields};
use shape::Shape;
use table::Table;

mod fields;
mod integers;
mod shape;
mod table;

/// The most columns.
const COLUMNS: usize = 1024;
/// The most fields: a row without bytes takes nothing of what is stored, and memory for all that.
const FIELDS: usize = 1 << 20;
/// The most words of a column.
const WORDS: usize = 1 << 16;

/// The kinds of columns.
const TEXT: u8 = 0;
const WORD: u8 = 1;
const DECIMAL: u8 = 2;
const PATTERN: u8 = 3;

/// Writes a block by columns; none when it is no table or when that saves less than a tenth.
///
/// Tries several forms of every column: 40 MB/s at level 3, and higher levels gain next to nothing.
pub(crate) fn encode(raw: &[u8], level: i32) -> Result<Option<Vec<u8>>> {
    let table = Table::of(raw);
    let Some(table) = table.filter(|table| table.rows * table.columns.len() <= FIELDS) else {
        return Ok(None);
    };
    let mut stored = vec![table.delimiter, u8::from(table.carriage)];
    streams::put_varint(&mut stored, table.columns.len() as u64);
    streams::put_varint(&mut stored, table.rows as u64);
    streams::put(&mut stored, &table.pieces, level, false);
    streams::put(&mut stored, &table.loose, level, false);
    for fields in &table.columns {
        stored.extend_from_slice(&column(fields, level));
    }
    let plain = super::compress(raw, level)?.map_or(raw.len(), |plain| plain.len());
    Ok((stored.len() <= plain / 10 * 9).then_some(stored))
}

/// One column in its smallest form.
fn column(fields: &[&[u8]], level: i32) -> Vec<u8> {
    let middle = fields.get(fields.len() / 2);
    let pattern = middle.and_then(|field| Shape::pattern_of(field));
    let forms = [
        words(fields, level),
        Shape::decimal_of(fields).and_then(|shape| shaped(DECIMAL, &shape, fields, level)),
        pattern.and_then(|shape| shaped(PATTERN, &shape, fields, level)),
    ];
    let best = forms.into_iter().flatten().min_by_key(Vec::len);
    // Digits and short words never get that small as text, and it is the slowest form to try.
    let bytes: usize = fields.iter().map(|field| field.len() + 1).sum();
    match best {
        Some(best) if best.len() <= bytes / 3 => best,
        best => {
            let text = text(fields, level);
            best.filter(|best| best.len() < text.len()).unwrap_or(text)
        }
    }
}

/// Appends a stream of fields, each followed by a newline.
fn put_text(into: &mut Vec<u8>, fields: &[&[u8]], level: i32) {
    let mut bytes = fields.join(&b'\n');
    if !fields.is_empty() {
        bytes.push(b'\n');
    }
    streams::put(into, &bytes, level, true);
}

/// The column as its fields.
fn text(fields: &[&[u8]], level: i32) -> Vec<u8> {
    let mut stored = vec![TEXT];
    put_text(&mut stored, fields, level);
    stored
}

/// The column as numbers of its distinct fields, when these are much fewer.
fn words(fields: &[&[u8]], level: i32) -> Option<Vec<u8>> {
    let mut numbers = BTreeMap::new();
    for field in fields {
        numbers.insert(*field, 0i64);
        if numbers.len() > WORDS.min(fields.len() / 2) {
            return None;
        }
    }
    for (number, held) in (0..).zip(numbers.values_mut()) {
        *held = number;
    }
    let mut stored = vec![WORD];
    put_text(&mut stored, &numbers.keys().copied().collect::<Vec<_>>(), level);
    let integers: Option<Vec<i64>> = fields.iter().map(|f| numbers.get(f).copied()).collect();
    integers::put(&mut stored, &integers?, level);
    Some(stored)
}

/// The column as integers of one shape, when few fields miss it.
fn shaped(kind: u8, shape: &Shape, fields: &[&[u8]], level: i32) -> Option<Vec<u8>> {
    let mut scratch = Vec::new();
    let (mut integers, mut misses, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut since = 0;
    for field in fields {
        if let Some(integer) = shape.read(field, &mut scratch) {
            integers.push(integer);
            since += 1;
        } else {
            streams::put_varint(&mut misses, since);
            missing.push(*field);
            since = 0;
        }
    }
    if missing.len() > fields.len() / 2 {
        return None;
    }
    let mut stored = vec![kind];
    shape.put(&mut stored);
    streams::put(&mut stored, &misses, level, true);
    put_text(&mut stored, &missing, level);
    integers::put(&mut stored, &integers, level);
    Some(stored)
}

/// Appends the `raw_len` bytes of a block that is stored by columns.
pub(crate) fn decode(
    stored: &[u8],
    raw_len: usize,
    into: &mut Vec<u8>,
) -> std::result::Result<(), String> {
    let mut rest = stored;
    let delimiter = streams::take_byte(&mut rest)?;
    let ending: &[u8] = match streams::take_byte(&mut rest)? {
        0 => b"\n",
        1 => b"\r\n",
        other => return Err(format!("row ending {other}")),
    };
    let columns = streams::take_length(&mut rest, COLUMNS)?;
    let most = raw_len.min(FIELDS).checked_div(columns).ok_or("a table without columns")?;
    let rows = streams::take_length(&mut rest, most)?;
    let pieces = streams::take(&mut rest, raw_len.saturating_mul(2))?;
    let loose = streams::take(&mut rest, raw_len)?;
    let (mut pieces, mut loose) = (&pieces[..], &loose[..]);
    // All fields and their separators must fit in what is left.
    let mut left = raw_len - loose.len();
    let fields: Vec<Fields<'_>> = (0..columns)
        .map(|_| Fields::take(&mut rest, rows, &mut left))
        .collect::<std::result::Result<_, _>>()?;
    if !rest.is_empty() {
        return Err("bytes after the last column".into());
    }
    // Only now is it certain that the output has the recorded length.
    if left != rows * (ending.len() - 1) {
        return Err("the columns do not fill the recorded length".into());
    }
    into.reserve(raw_len);
    let mut cursors: Vec<Cursor<'_>> = fields.iter().map(Fields::cursor).collect();
    let mut row = 0;
    while row < rows || !pieces.is_empty() {
        let piece = if pieces.is_empty() {
            None
        } else {
            let before = streams::take_length(&mut pieces, rows - row)?;
            let length = streams::take_length(&mut pieces, loose.len())?;
            if length == 0 {
                return Err("a piece is empty".into());
            }
            Some((before, length))
        };
        let until = piece.map_or(rows, |(before, _)| row + before);
        for _ in row..until {
            write_row(&mut cursors, delimiter, ending, into)?;
        }
        row = until;
        if let Some((_, length)) = piece {
            into.extend_from_slice(streams::take_bytes(&mut loose, length)?);
        }
    }
    if !loose.is_empty() {
        return Err("loose bytes are left over".into());
    }
    Ok(())
}

/// Appends the next field of every column.
fn write_row(
    cursors: &mut [Cursor<'_>],
    delimiter: u8,
    ending: &[u8],
    into: &mut Vec<u8>,
) -> std::result::Result<(), String> {
    let columns = cursors.len();
    for (n, cursor) in cursors.iter_mut().enumerate() {
        into.extend_from_slice(cursor.next().ok_or("a column is too short")?);
        if n + 1 < columns {
            into.push(delimiter);
        }
    }
    into.extend_from_slice(ending);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows of a table with numbers, days, words, a random text and some empty fields.
    fn table(rows: u32, delimiter: &str, ending: &str) -> Vec<u8> {
        let row = |n: u32| {
            let hash = blake3::hash(&n.to_le_bytes());
            let [a, b, c, d, ..] = *hash.as_bytes();
            let number = u16::from_le_bytes([a, b]);
            let empty = if d < 40 { String::new() } else { format!("-{}.{:02}", c, d % 100) };
            let fields = [
                (n + 7).to_string(),
                format!("2026-{:02}-{:02}", a % 12 + 1, b % 28 + 1),
                ["Lagos", "Lima", "Oslo"][usize::from(c % 3)].to_owned(),
                format!("{}.{:04}", number % 100, number),
                empty,
                hash.to_hex()[..10].to_owned(),
            ];
            fields.join(delimiter) + ending
        };
        let head = ["id", "day", "city", "amount", "score", "key"].join(delimiter) + ending;
        std::iter::once(head).chain((0..rows).map(row)).collect::<String>().into_bytes()
    }

    fn decoded(stored: &[u8], len: usize) -> std::result::Result<Vec<u8>, String> {
        let mut out = b"before".to_vec();
        decode(stored, len, &mut out)?;
        assert!(out.starts_with(b"before"));
        Ok(out.split_off(6))
    }

    /// Encodes, checks that the bytes come back, and gives the stored length if it is a table.
    fn stored(raw: &[u8]) -> Option<usize> {
        let stored = encode(raw, 3).unwrap()?;
        assert!(decoded(&stored, raw.len()).unwrap() == raw);
        Some(stored.len())
    }

    #[test]
    fn tables_are_clearly_smaller_by_columns() {
        for delimiter in [",", "\t", ";", "|"] {
            for ending in ["\n", "\r\n"] {
                let raw = table(3000, delimiter, ending);
                let plain = zstd::bulk::compress(&raw, 3).unwrap().len();
                assert!(stored(&raw).unwrap() < plain * 7 / 10, "{delimiter:?} {ending:?}");
            }
        }
    }

    #[test]
    fn rows_without_bytes_are_refused_when_there_are_too_many() {
        for (rows, is_read) in [(1 << 20, true), ((1 << 20) + 1, false)] {
            let mut stored = vec![b',', 0, 1];
            streams::put_varint(&mut stored, rows as u64);
            // No pieces, nothing loose; one word, the empty one, everywhere.
            stored.extend_from_slice(&[0, 0, WORD, 2, b'\n', 0, 0]);
            let decoded = decoded(&stored, rows);
            assert_eq!(decoded.is_ok(), is_read, "{rows}");
            assert!(decoded.is_err() || decoded.unwrap() == vec![b'\n'; rows]);
        }
    }

    #[test]
    fn cut_rows_come_back() {
        let raw = table(300, ",", "\n");
        for start in 0..60 {
            assert!(stored(&raw[start..raw.len() - start * 3]).is_some());
        }
    }

    #[test]
    fn odd_rows_come_back() {
        let text = String::from_utf8(table(400, ",", "\n")).unwrap();
        for (from, to) in [
            ("Lagos", "\"Lagos, Nigeria\""),
            ("-9.", "-09."),
            ("-1", ""),
            ("2026-01-", "\n"),
            ("0\n", "0\r\n"),
            ("Oslo", "Oslo,Oslo"),
        ] {
            let raw = text.replace(from, to);
            assert!(raw != text, "{from}");
            stored(raw.as_bytes());
        }
    }

    #[test]
    fn what_is_no_table_is_left_alone() {
        let mut noise = vec![0; 1 << 16];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        let short = table(10, ",", "\n");
        for raw in [&b""[..], b"\n", b"a,b\n", &[b'\n'; 500], &noise, &short, &b"words ".repeat(99)]
        {
            assert_eq!(encode(raw, 3).unwrap(), None);
        }
    }

    #[test]
    fn the_bytes_of_a_small_table_are_these() {
        let cities = ["Lima", "Oslo", "Lima", "Lima", "Oslo"];
        let rows = (98..114).map(|n| format!("{n},{},x\n", cities[n % 5]));
        let raw = rows.collect::<String>() + "114,Li";
        let golden = [
            &b",\x00\x03\x10"[..],     // delimiter, ending, 3 columns, 16 rows
            b"\x04\x10\x06\x0c114,Li", // a piece: 16 rows before it, 6 bytes
            b"\x02\x00\x00\x00\x00",   // decimal, without places, no misses
            b"\x10\x02\xc2\x01",       // steps of width 0: 1 each, from 97
            b"\x01\x14Lima\nOslo\n",   // words
            b"\x01\x00\x20\x00\x01\x00\x01\x00\x00\x01\x00\x01\x00\x00\x01\x00\x01\x00\x00",
            b"\x01\x04x\n\x00\x00",
        ]
        .concat();
        let stored = encode(raw.as_bytes(), 3).unwrap().unwrap();
        assert_eq!(stored.escape_ascii().to_string(), golden.escape_ascii().to_string());
        assert_eq!(decoded(&golden, raw.len()).unwrap(), raw.as_bytes());
    }

    #[test]
    fn damage_is_refused_or_decodes_to_the_right_length() {
        let raw = [&b"cut row\n"[..], &table(60, ",", "\r\n"), b"1,2"].concat();
        let stored = encode(&raw, 3).unwrap().unwrap();
        for end in 0..stored.len() {
            assert!(decoded(&stored[..end], raw.len()).is_err(), "{end}");
        }
        assert!(decoded(&[&stored[..], b"x"].concat(), raw.len()).is_err());
        for at in 0..stored.len() {
            for flip in [1, 2, 0x10, 0x80, 0xff] {
                let mut bad = stored.clone();
                bad[at] ^= flip;
                if let Ok(out) = decoded(&bad, raw.len()) {
                    assert_eq!(out.len(), raw.len());
                }
            }
        }
        for lie in [0, raw.len() - 1, raw.len() + 1, usize::MAX] {
            assert!(decoded(&stored, lie).is_err());
        }
    }

    #[test]
    fn more_words_than_a_column_may_have_are_refused() {
        for (count, fits) in [(WORDS, true), (WORDS + 1, false)] {
            let mut column = vec![WORD];
            put_text(&mut column, &vec![&b""[..]; count], 3);
            integers::put(&mut column, &[0], 3);
            let fields = Fields::take(&mut &column[..], 1, &mut (1 << 20));
            assert_eq!(fields.is_ok(), fits, "{count}");
        }
    }

    #[test]
    fn a_piece_of_nothing_is_refused() {
        let raw = table(60, ",", "\n");
        let stored = encode(&raw, 3).unwrap().unwrap();
        // Columns and rows take one byte each; then there are no pieces.
        assert_eq!(stored[4..6], [0, 0]);
        let empty = [&stored[..4], &[4, 7, 0], &stored[5..]].concat();
        assert_eq!(decoded(&empty, raw.len()), Err("a piece is empty".into()));
    }

    #[test]
    fn a_few_bytes_do_not_become_many() {
        // 1024 columns of one word of many bytes each: more than the block may hold.
        let mut bomb = vec![b',', 0];
        streams::put_varint(&mut bomb, 1024);
        streams::put_varint(&mut bomb, 100);
        bomb.extend_from_slice(&[0, 0]);
        for _ in 0..1024 {
            bomb.push(WORD);
            put_text(&mut bomb, &[&[b'x'; 100_000]], 3);
            integers::put(&mut bomb, &[0; 100], 3);
        }
        assert!(decoded(&bomb, 1 << 20).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn whatever_looks_like_a_table_comes_back(
            rows in prop::collection::vec(
                prop::collection::vec("(|-?[0-9]{1,20}|-?[0-9]{1,3}\\.[0-9]{0,4}|0[0-9]-0[0-9]|[a-c\"\r]{0,3})", 3..=3),
                16..80,
            ),
            odd in prop::collection::vec((any::<prop::sample::Index>(), "[a,\n]{0,3}"), 0..6),
            cut in 0usize..20,
        ) {
            let mut text: String =
                rows.iter().map(|row| row.join(",") + "\n").collect::<String>().repeat(3);
            for (at, odd) in odd {
                text.insert_str(at.index(text.len()), &odd);
            }
            stored(text.as_bytes().get(cut..).unwrap_or(b""));
            let table = Table::of(text.as_bytes());
            if let Some(table) = table {
                for fields in &table.columns {
                    let stored = column(fields, 1);
                    let mut left = text.len() * 2;
                    let decoded = Fields::take(&mut &stored[..], table.rows, &mut left).unwrap();
                    prop_assert!(decoded.iter().eq(fields.iter().copied()));
                }
            }
        }

        #[test]
        fn any_bytes_decode_or_are_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..80), len in 0usize..300,
        ) {
            let stored = [&b",\x00\x02\x08"[..], &bytes].concat();
            if let Ok(out) = decoded(&stored, len) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
