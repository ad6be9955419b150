//! Tables: what is said about one, and about the difference of two.

use mv_formats::{
    MAX_MEMORY, ParquetLayout, SharedRange, Table, TableDiff, compare_tables, fuzzing, read_table,
};

use crate::cursor::{Cursor, split};
use crate::models::Bytes;
use crate::peak_of;

const NAMES: [&str; 3] = ["x.csv", "x.tsv", "x.jsonl"];

/// What separates two files in the bytes of a fuzzer; it is never in UTF-8.
const SEPARATOR: u8 = 0xff;

fn within_memory<T>(run: impl FnOnce() -> T) -> T {
    let (found, peak) = peak_of(run);
    assert!(peak <= MAX_MEMORY, "{peak} bytes were held");
    found
}

fn table(name: &str, bytes: &[u8]) -> Option<Table> {
    match within_memory(|| read_table(name, &Bytes(bytes))) {
        Ok(table) => Some(table.unwrap()),
        Err(error) => {
            assert!(error.is_opaque(), "{name}: {error}");
            None
        }
    }
}

fn diff(name: &str, old: &[u8], new: &[u8], shared: &[SharedRange]) -> Option<TableDiff> {
    match within_memory(|| compare_tables(name, &Bytes(old), &Bytes(new), shared)) {
        Ok(diff) => Some(diff.unwrap()),
        Err(error) => {
            assert!(error.is_opaque(), "{name}: {error}");
            None
        }
    }
}

fn is_nothing(diff: &TableDiff) -> bool {
    diff.rows_added.is_none_or(|n| n == 0)
        && diff.rows_removed.is_none_or(|n| n == 0)
        && diff.rows_before == diff.rows_after
        && diff.columns_added.is_empty()
        && diff.columns_removed.is_empty()
        && diff.columns_retyped.is_empty()
}

/// Two tables, compared in both directions and each with itself.
fn compare(name: &str, old: &[u8], new: &[u8]) {
    for bytes in [old, new] {
        if let Some(table) = table(name, bytes) {
            let all = [SharedRange { old: 0, new: 0, len: bytes.len() as u64 }];
            for shared in [&[][..], &all] {
                let same =
                    diff(name, bytes, bytes, shared).expect("what is a table can be compared");
                assert!(is_nothing(&same), "{name} differs from itself: {same:?}");
            }
            assert!(table == crate::tables::table(name, bytes).unwrap());
        }
    }
    let (Some(there), Some(back)) = (diff(name, old, new, &[]), diff(name, new, old, &[])) else {
        return;
    };
    assert!((there.rows_before, there.rows_after) == (back.rows_after, back.rows_before));
    assert!((there.rows_added, there.rows_removed) == (back.rows_removed, back.rows_added));
    if let (Some(before), Some(after), Some(added), Some(removed)) =
        (there.rows_before, there.rows_after, there.rows_added, there.rows_removed)
    {
        assert!(before + added == after + removed && removed <= before, "{there:?}");
    }
    let names = |columns: &[mv_formats::Column]| -> Vec<String> {
        let mut names: Vec<_> = columns.iter().map(|c| c.name.clone()).collect();
        names.sort_unstable();
        names
    };
    assert!(names(&there.columns_added) == names(&back.columns_removed));
    assert!(there.columns_retyped.len() == back.columns_retyped.len());
}

/// A byte that chooses CSV, TSV or JSON lines, then two files.
pub(crate) fn text_table(bytes: &[u8]) {
    let mut choices = Cursor(bytes);
    let name = NAMES[choices.number() % NAMES.len()];
    let [old, new] = split(choices.0, SEPARATOR);
    compare(name, old, new);
}

/// As [`text_table`], under bounds so small that records are cut, bags overflow and what two files
/// share is skipped: the answer must be the same.
pub(crate) fn ranges(bytes: &[u8]) {
    let mut choices = Cursor(bytes);
    let name = NAMES[choices.number() % NAMES.len()];
    let record = 16 + choices.number() % 64;
    let (from, to) = (choices.word(), choices.word());
    let [head, old, new, tail] = split(choices.0, SEPARATOR);
    // RFC 4180 pairs quotes, and only of such files is more promised than of others.
    let paired = |text: &[u8]| text.iter().filter(|b| **b == b'"').count() == 0;
    let whole = |middle: &[u8]| [head, middle, tail].concat();
    let (old_file, new_file) = (whole(old), whole(new));
    let start = from % (head.len() + 1);
    let first =
        SharedRange { old: start as u64, new: start as u64, len: (head.len() - start) as u64 };
    let skip = to % (tail.len() + 1);
    let second = SharedRange {
        old: (head.len() + old.len() + skip) as u64,
        new: (head.len() + new.len() + skip) as u64,
        len: (tail.len() - skip) as u64,
    };
    let shared = [first, second];
    let within = |shared: &[SharedRange]| {
        let (old, new) = (Bytes(&old_file), Bytes(&new_file));
        let read = || fuzzing::compare_tables_within(record, name, &old, &new, shared);
        within_memory(read).ok().flatten()
    };
    let (Some(plain), Some(quick)) = (within(&[]), within(&shared)) else { return };
    if !paired(&old_file) || !paired(&new_file) {
        return;
    }
    let agree = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
    assert!(agree(plain.rows_added, quick.rows_added), "{plain:?} {quick:?}");
    assert!(agree(plain.rows_removed, quick.rows_removed), "{plain:?} {quick:?}");
    assert!(agree(plain.rows_before, quick.rows_before), "{plain:?} {quick:?}");
    assert!(agree(plain.rows_after, quick.rows_after), "{plain:?} {quick:?}");
}

/// Bytes as a Parquet file, and as the footer of one.
pub(crate) fn parquet(bytes: &[u8]) {
    one_parquet(bytes);
    let len = (bytes.len() as u32).to_le_bytes();
    one_parquet(&[b"PAR1", &[3; 64][..], bytes, &len, b"PAR1"].concat());
}

fn one_parquet(bytes: &[u8]) {
    let layout = match within_memory(|| ParquetLayout::read(&Bytes(bytes))) {
        Ok(layout) => layout,
        Err(error) => return assert!(error.is_opaque(), "{error}"),
    };
    for group in &layout.row_groups {
        for chunk in &group.chunks {
            let end = chunk.offset.checked_add(chunk.len).unwrap();
            assert!(end <= bytes.len() as u64, "a chunk lies outside the file");
        }
        if let Some(range) = group.range() {
            assert!(range.offset + range.len <= bytes.len() as u64);
        }
    }
    let table = table("x.parquet", bytes).expect("its layout was read");
    assert!(table.columns.len() == layout.columns.len() && table.rows == Some(layout.rows));
    let half = bytes.len() as u64 / 2;
    let shared = [SharedRange { old: 0, new: 0, len: half }];
    for shared in [&[][..], &shared] {
        let same = diff("x.parquet", bytes, bytes, shared).expect("it is a table");
        assert!(is_nothing(&same), "it differs from itself: {same:?}");
    }
}

/// Tables of every text format that differ in rows, columns and kinds.
pub(crate) fn text_seeds() -> Vec<Vec<u8>> {
    [
        &b"\0a,b\n1,2\n3,4\n\xffa,b\n1,2\n5,x\n"[..],
        b"\0a;b\r\n\"x;\"\"y\";1\r\n\xff\xef\xbb\xbfb;c\n1;2000-01-01\n\n",
        b"\x01a\tb\n1\t2\n\xffb\ta\n2\t1\n",
        b"\x02{\"a\":1,\"b\":[1]}\n{\"a\":2.5}\n\xff{\"a\":null,\"c\":{}}\n",
        b"\x001,2\n3,4\n\xff",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// A table of rows that stay, one that changes, and rows that stay.
pub(crate) fn ranges_seeds() -> Vec<Vec<u8>> {
    let rows =
        |from: u32| -> String { (from..from + 30).map(|n| format!("{n},{}\n", n * n)).collect() };
    let csv = |choices: &[u8]| {
        let (head, tail) = (format!("a,b\n{}", rows(0)), rows(50));
        let parts = [head.as_bytes(), b"7,7\n", b"8,8\n9,9\n", tail.as_bytes()];
        [choices, &parts.join(&SEPARATOR)].concat()
    };
    let lines = b"\x02\x05\0\0\0\0{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n{\"a\":5}\n{\"a\":6}\n\xff\xff{\"b\":1}\n\xff";
    vec![csv(&[0, 0, 0, 0, 0, 0]), csv(&[0, 9, 7, 0, 5, 0]), lines.to_vec()]
}

/// Nothing beside the files of `fixtures/formats`.
pub(crate) fn parquet_seeds() -> Vec<Vec<u8>> {
    Vec::new()
}
