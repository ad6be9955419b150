//! Tables against a model that holds everything, and by example.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::error::Error;

/// Bounds so small that records are cut by them, everything is skipped and bags overflow.
const TINY: Bounds =
    Bounds { record: 48, sample: 1 << 20, proof: 1 << 20, counted: 0, read: 1 << 30, slots: 8 };

fn diff(name: &str, old: &str, new: &str) -> TableDiff {
    compare_tables(name, &old.as_bytes().to_vec(), &new.as_bytes().to_vec(), &[]).unwrap().unwrap()
}

/// Rows before, after, added, removed.
fn rows(diff: &TableDiff) -> [Option<u64>; 4] {
    [diff.rows_before, diff.rows_after, diff.rows_added, diff.rows_removed]
}

fn counts(numbers: [u64; 4]) -> [Option<u64>; 4] {
    numbers.map(Some)
}

fn columns(name: &str, text: &str) -> Vec<(String, String)> {
    let table = read_table(name, &text.as_bytes().to_vec()).unwrap().unwrap();
    table.columns.into_iter().map(|c| (c.name, c.kind)).collect()
}

fn shown(columns: &[(String, String)]) -> String {
    columns.iter().map(|(n, k)| format!("{n}:{k}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_header_names_the_columns_and_the_rows_below_give_their_kinds() {
    let text =
        "id,when,price,name,ok,note\n1,2026-01-02,1,a,true,\n2,2026-01-03 10:00,1.5,b,false,\n";
    let found = columns("t.csv", text);
    assert_eq!(shown(&found), "id:int when:timestamp price:float name:text ok:bool note:empty");
}

#[test]
fn a_first_record_of_numbers_is_a_row_and_columns_are_numbered() {
    assert_eq!(shown(&columns("t.csv", "1,2.5\n3,4\n")), "column 1:int column 2:float");
    let changed = diff("t.csv", "1,2\n3,4\n", "1,2\n3,5\n5,6\n");
    assert_eq!(rows(&changed), counts([2, 3, 2, 1]));
}

#[test]
fn the_delimiter_of_a_csv_is_found_and_that_of_a_tsv_is_a_tab() {
    assert_eq!(shown(&columns("t.csv", "a;b\n1,5;x\n2,5;y\n")), "a:text b:text");
    assert_eq!(shown(&columns("t.csv", "a\tb, c\n1\t2\n")), "a:int b, c:int");
    assert_eq!(shown(&columns("t.csv", "a|b\n1|2\n")), "a:int b:int");
    assert_eq!(shown(&columns("t.tsv", "a,b\tc\n1\t2\n")), "a,b:int c:int");
    assert_eq!(shown(&columns("t.csv", "text\none, two\nthree\n")), "text:text");
}

#[test]
fn names_may_be_quoted_and_a_byte_order_mark_is_no_part_of_them() {
    let text = "\u{feff}\"a, or \"\"b\"\"\",\"two\nlines\"\r\n1,2\r\n";
    assert_eq!(shown(&columns("t.csv", text)), "a, or \"b\":int two\nlines:int");
}

#[test]
fn the_order_of_rows_and_the_way_they_are_quoted_do_not_matter() {
    let old = "a,b\n1,x\n2,\"y\"\n2,y\n3,\"p,q\"\n";
    let new = "a,b\r\n2,y\r\n\"3\",\"p,q\"\r\n\"1\",x\r\n2,y";
    assert_eq!(rows(&diff("t.csv", old, new)), counts([4, 4, 0, 0]));
}

#[test]
fn a_row_that_is_there_twice_is_counted_twice() {
    assert_eq!(rows(&diff("t.csv", "a\nx\n", "a\nx\nx\nx\n")), counts([1, 3, 2, 0]));
    assert_eq!(rows(&diff("t.csv", "a\nx\nx\n", "a\ny\n")), counts([2, 1, 1, 2]));
}

#[test]
fn quotes_that_are_open_at_the_end_of_one_file_may_go_on_in_the_other() {
    let same = "a\n".to_owned() + &"r\n".repeat(20);
    let (old, new) = (same.clone() + "\"x\n", same + "\"x\ny\"\nz\n");
    assert_eq!(rows(&diff("t.csv", &old, &new)), counts([21, 22, 2, 1]));
    let shared = [SharedRange { old: 0, new: 0, len: old.len() as u64 }];
    let [old, new] = [old, new].map(String::into_bytes);
    for counted in [0, 100] {
        let bounds = Bounds { record: 16, counted, ..TINY };
        let found = compare::compare(TableFormat::Csv, &old, &new, &shared, &bounds).unwrap();
        assert_eq!(rows(&found)[2..], counts([21, 22, 2, 1])[2..]);
    }
}

#[test]
fn a_new_column_alone_changes_no_row() {
    let changed = diff("t.csv", "a,b\n1,2\n3,4\n", "a,c,b\n1,x,2\n3,y,4\n5,z,6\n");
    assert_eq!(rows(&changed), counts([2, 3, 1, 0]));
    assert_eq!(changed.columns_added, [Column { name: "c".into(), kind: "text".into() }]);
    assert_eq!(changed.columns_removed, []);
}

#[test]
fn moved_columns_change_no_row() {
    let changed = diff("t.csv", "a,b,a\n1,2,3\n", "b,a,a\n2,1,3\n");
    assert_eq!(rows(&changed), counts([1, 1, 0, 0]));
}

#[test]
fn without_a_common_column_all_rows_go_and_come() {
    let changed = diff("t.csv", "a\n1\n2\n", "b\n1\n");
    assert_eq!(rows(&changed), counts([2, 1, 1, 2]));
    assert_eq!((changed.columns_added.len(), changed.columns_removed.len()), (1, 1));
}

#[test]
fn an_empty_source_stands_for_a_file_that_is_not_there() {
    let added = diff("t.csv", "", "a,b\n1,2\n3,4\n");
    assert_eq!(rows(&added), counts([0, 2, 2, 0]));
    assert_eq!(added.columns_added.len(), 2);
    let removed = diff("t.jsonl", "{\"a\":1}\n", "");
    assert_eq!(rows(&removed), counts([1, 0, 0, 1]));
    assert_eq!(removed.columns_removed.len(), 1);
    assert_eq!(rows(&diff("t.csv", "", "")), counts([0, 0, 0, 0]));
}

#[test]
fn a_change_of_kind_is_reported_and_missing_values_are_none() {
    let changed = diff("t.csv", "a,b,c\n1,2,\n2,3,\n", "a,b,c\n1.5,2,7\n2,,8\n");
    let retyped = Retyped { name: "a".into(), from: "int".into(), to: "float".into() };
    assert_eq!(changed.columns_retyped, [retyped]);
}

#[test]
fn a_change_of_kind_that_the_whole_file_denies_is_not_reported() {
    // The head has integers only. Both files have a float behind it, the new one has another one.
    let ones = "1\n".repeat(500);
    let old = format!("a\n{ones}1.5\n1\n").into_bytes();
    let new = format!("a\n{ones}1.5\n1\n3.5\n").into_bytes();
    let [head, whole] = [100, 1 << 20].map(|proof| {
        let bounds = Bounds { record: 100, proof, ..BOUNDS };
        compare::compare(TableFormat::Csv, &old, &new, &[], &bounds).unwrap()
    });
    assert_eq!(rows(&whole), counts([502, 503, 1, 0]));
    assert_eq!(whole.columns_retyped, []);
    assert_eq!(head.columns_retyped.len(), 1, "the head alone would say so");
}

#[test]
fn lines_of_json_are_records_and_their_keys_are_columns() {
    let text =
        "{\"a\":1,\"b\":\"x\",\"c\":[1],\"d\":{}}\n\n{\"a\":2.5,\"b\":null,\"e\":true,\"d\":1}\n";
    assert_eq!(shown(&columns("t.jsonl", text)), "a:float b:text c:list d:mixed e:bool");
    let changed =
        diff("t.ndjson", text, "{\"a\":2.5,\"b\":null,\"e\":true,\"d\":1}\r\n{\"f\":1}\n");
    assert_eq!(rows(&changed), counts([2, 2, 1, 1]));
    assert_eq!(changed.columns_added, [Column { name: "f".into(), kind: "int".into() }]);
    assert_eq!(changed.columns_removed.len(), 1, "only `c` is gone");
}

#[test]
fn other_names_are_no_tables() {
    assert!(read_table("notes.txt", &b"a,b\n"[..].to_vec()).unwrap().is_none());
    assert!(compare_tables("csv", &vec![], &vec![], &[]).unwrap().is_none());
    assert!(read_table("T.CSV", &b"a,b\n"[..].to_vec()).unwrap().is_some());
}

#[test]
fn what_is_no_text_or_no_json_is_opaque() {
    for (name, bytes) in [
        ("t.csv", &b"a\0b\n"[..]),
        ("t.csv", b"\xff\xfea\0,\0b\0\n\0"),
        ("t.jsonl", b"hello\n"),
        ("t.jsonl", b"{\"a\":\n"),
    ] {
        let error = read_table(name, &bytes.to_vec()).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
}

/// A source that is made up as it is read, and counts what is read of it.
struct Synthetic {
    size: u64,
    byte: fn(u64) -> u8,
    read: AtomicU64,
}

impl Synthetic {
    fn new(size: u64, byte: fn(u64) -> u8) -> Synthetic {
        Synthetic { size, byte, read: AtomicU64::new(0) }
    }

    fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Source for Synthetic {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        assert!(offset + into.len() as u64 <= self.size);
        self.read.fetch_add(into.len() as u64, Ordering::Relaxed);
        for (byte, at) in into.iter_mut().zip(offset..) {
            *byte = (self.byte)(at);
        }
        Ok(())
    }
}

#[test]
fn a_line_of_a_gigabyte_is_refused_after_its_first_mebibyte() {
    let line = Synthetic::new(1 << 30, |_| b'x');
    assert!(matches!(read_table("t.csv", &line), Err(Error::Limit { .. })));
    assert!(matches!(compare_tables("t.csv", &line, &line, &[]), Err(Error::Limit { .. })));
    assert!(line.read() <= 3 << 20);
}

#[test]
fn rows_are_unknown_when_a_record_is_too_long() {
    // A quote that is never closed behind a fine header.
    let byte = |at| *b"a,b\n\"".get(at as usize).unwrap_or(&b'x');
    let source = Synthetic::new(1 << 30, byte);
    let found = compare_tables("t.csv", &source, &source, &[]).unwrap().unwrap();
    assert_eq!(rows(&found), [None; 4]);
    assert!(source.read() <= 8 << 20);
}

#[test]
fn a_large_file_with_a_small_edit_costs_the_edit() {
    // 40 GiB of records of 8 or 16 bytes, and more of them at the end of the new file.
    for (byte, added) in [
        ((|at| b"abc,123\n"[(at % 8) as usize]) as fn(u64) -> u8, 16),
        (|at| b"\"a, bc\",\"12\n34\"\n"[(at % 16) as usize], 8),
    ] {
        let size = 40 << 30;
        let (old, new) = (Synthetic::new(size, byte), Synthetic::new(size + 128, byte));
        let shared = [SharedRange { old: 0, new: 0, len: size }];
        let found = compare_tables("t.csv", &old, &new, &shared).unwrap().unwrap();
        assert_eq!(rows(&found), [None, None, Some(added), Some(0)]);
        assert!(old.read() + new.read() <= 8 << 20);
        // Without the hint all would have to be read: it is not.
        let found = compare_tables("t.csv", &old, &new, &[]).unwrap().unwrap();
        assert_eq!(rows(&found), [None; 4]);
        assert!(old.read() + new.read() <= 12 << 20);
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    fs::read(folder.join(name)).unwrap()
}

#[test]
fn a_parquet_table_has_its_rows_and_row_groups_in_its_footer() {
    let table = read_table("t.parquet", &fixture("small.parquet")).unwrap().unwrap();
    assert_eq!((table.rows, table.row_groups), (Some(10), Some(3)));
    let error = read_table("t.parquet", &b"a,b\n1,2\n"[..].to_vec()).unwrap_err();
    assert!(matches!(error, Error::Malformed { format: "parquet", .. }), "{error}");
}

#[test]
fn row_groups_that_stay_tell_how_many_rows_of_a_parquet_table_are_new() {
    let (small, more, nothing) = (fixture("small.parquet"), fixture("more.parquet"), vec![]);
    let compare =
        |old, new, shared: &[_]| compare_tables("t.parquet", old, new, shared).unwrap().unwrap();
    let grown = compare(&small, &more, &[]);
    assert_eq!(rows(&grown), counts([10, 14, 4, 0]));
    assert_eq!(grown.row_groups, Some((3, 4)));
    assert_eq!(rows(&compare(&more, &small, &[])), counts([14, 10, 0, 4]));
    let shared = [SharedRange { old: 0, new: 0, len: 598 }];
    assert_eq!(rows(&compare(&small, &more, &shared)), counts([10, 14, 4, 0]));
    assert_eq!(rows(&compare(&nothing, &small, &[])), counts([0, 10, 10, 0]));
    // A page that differs: how many rows do, only the values could tell.
    let mut other = small.clone();
    other[60] ^= 1;
    assert_eq!(rows(&compare(&small, &other, &[])), [Some(10), Some(10), None, None]);
}

#[test]
fn columns_of_a_parquet_table_come_go_and_change() {
    let (small, types) = (fixture("small.parquet"), fixture("types.parquet"));
    let changed = compare_tables("t.parquet", &small, &types, &[]).unwrap().unwrap();
    assert_eq!((changed.columns_added.len(), changed.columns_removed.len()), (15, 3));
    let retyped =
        compare_tables("t.parquet", &small, &fixture("retyped.parquet"), &[]).unwrap().unwrap();
    let price = Retyped { name: "price".into(), from: "double".into(), to: "float".into() };
    assert_eq!(retyped.columns_retyped, [price]);
    assert_eq!(rows(&retyped), [Some(10), Some(10), None, None]);
}

/// What this thread has used of a processor; another process does not matter.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[test]
#[ignore = "takes the time: cargo test -p mv-formats --release throughput -- --ignored --nocapture"]
fn throughput() {
    let row = |n: u64| {
        let mix = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("{n},{},{:.3},user{},{}\n", mix >> 40, mix as f64 / 1e15, mix % 1000, mix & 1 == 1)
    };
    let quoted = |n: u64| format!("{n},\"a, {}\",x\n", n % 77);
    for (what, row) in [("plain", &row as &dyn Fn(u64) -> String), ("quoted", &quoted)] {
        let old = "a,b,c,d,e\n".to_owned() + &(0..3_000_000).map(row).collect::<String>();
        let cases = [
            ("one row in 1000 changed", (0..3_000_000).map(|n| row(n + n % 1000 / 999)).collect()),
            ("first row moved to the end", (1..3_000_001).map(row).collect::<String>()),
            ("all rows changed", (3_000_000..6_000_000).map(row).collect::<String>()),
        ];
        for (case, rows) in cases {
            let new = "a,b,c,d,e\n".to_owned() + &rows;
            let start = cpu_seconds();
            let found = diff("t.csv", &old, &new);
            let seconds = cpu_seconds() - start;
            let rate = (old.len() + new.len()) as f64 / seconds / 1e6;
            println!("{what}, {case}: {rate:.0} MB/s of both, {:?}", self::rows(&found));
            assert!(found.rows_added.is_some());
        }
    }
}

// The model.

/// How a row is written.
#[derive(Clone, Debug)]
struct Style {
    quote_all: bool,
    crlf: bool,
    blank_after: bool,
}

fn write_row(fields: &[String], style: &Style, last_newline: bool, into: &mut String) {
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            into.push(',');
        }
        let must = field.contains([',', '"', '\n', '\r']) || fields.len() == 1 && field.is_empty();
        if must || style.quote_all {
            into.push('"');
            into.push_str(&field.replace('"', "\"\""));
            into.push('"');
        } else {
            into.push_str(field);
        }
    }
    if last_newline {
        into.push_str(if style.crlf { "\r\n" } else { "\n" });
        if style.blank_after {
            into.push_str(if style.crlf { "\r\n" } else { "\n" });
        }
    }
}

type Row = (Vec<String>, Style);

fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[0-9a-c]{0,3}",
        1 => Just("two\nlines".to_owned()),
        1 => Just("a, \"b\"".to_owned()),
        1 => Just("\"".to_owned()),
        1 => Just("\r\n".to_owned()),
    ]
}

fn row(width: Range<usize>) -> impl Strategy<Value = Row> {
    let style = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1));
    (prop::collection::vec(field(), width), style).prop_map(|(fields, (quote_all, crlf, blank))| {
        (fields, Style { quote_all, crlf, blank_after: blank })
    })
}

/// A table with this header, and where each row begins.
fn write_table(header: &str, rows: &[Row], bom: bool, last_newline: bool) -> (String, Vec<usize>) {
    let mut text = if bom { "\u{feff}" } else { "" }.to_owned();
    text.push_str(header);
    text.push('\n');
    let mut begins = Vec::new();
    for (number, (fields, style)) in rows.iter().enumerate() {
        begins.push(text.len());
        let newline = last_newline || number + 1 < rows.len();
        write_row(fields, style, newline, &mut text);
    }
    begins.push(text.len());
    (text, begins)
}

fn model<R: std::hash::Hash + Eq>(old: &[R], new: &[R]) -> [Option<u64>; 4] {
    let mut balance: HashMap<&R, i64> = HashMap::new();
    for row in old {
        *balance.entry(row).or_default() -= 1;
    }
    for row in new {
        *balance.entry(row).or_default() += 1;
    }
    let added: i64 = balance.values().filter(|&&n| n > 0).sum();
    let removed: i64 = balance.values().filter(|&&n| n < 0).map(|n| -n).sum();
    counts([old.len() as u64, new.len() as u64, added as u64, removed as u64])
}

fn fields_of(rows: &[Row]) -> Vec<Vec<String>> {
    rows.iter().map(|(fields, _)| fields.clone()).collect()
}

/// Runs of bytes that are equal where the same row number `map` says, cut at arbitrary places.
fn shared_of(old: &str, new: &str, pairs: &[(usize, usize, usize)]) -> Vec<SharedRange> {
    pairs
        .iter()
        .filter(|&&(o, n, len)| old.as_bytes()[o..o + len] == new.as_bytes()[n..n + len])
        .map(|&(o, n, len)| SharedRange { old: o as u64, new: n as u64, len: len as u64 })
        .collect()
}

proptest! {
    #[test]
    fn rows_are_compared_as_the_model_does(
        old in prop::collection::vec(row(1..5), 0..40),
        new in prop::collection::vec(row(1..5), 0..40),
        kept in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        (bom, newline_a, newline_b) in any::<(bool, bool, bool)>(),
        tiny in any::<bool>(),
    ) {
        let mut new = new;
        if !old.is_empty() {
            new.extend(kept.iter().map(|at| at.get(&old).clone()));
        }
        let (a, _) = write_table("a,b,c", &old, bom, newline_a);
        let (b, _) = write_table("a,b,c", &new, !bom, newline_b);
        let bounds = if tiny { Bounds { counted: 1 << 20, record: 1 << 12, ..TINY } } else { BOUNDS };
        let found = compare::compare(
            TableFormat::Csv, &a.into_bytes(), &b.into_bytes(), &[], &bounds).unwrap();
        prop_assert_eq!(rows(&found), model(&fields_of(&old), &fields_of(&new)));
    }

    #[test]
    fn shared_ranges_change_the_cost_and_not_the_answer(
        base in prop::collection::vec(row(3..4), 1..120),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3u8, row(3..4)), 0..4),
        counted in any::<bool>(),
        trim_by in 0..7usize,
        (bom, newline_a, newline_b) in any::<(bool, bool, bool)>(),
    ) {
        // Rows of the new table, and for each the row of the old one that it is.
        let mut new: Vec<(Option<usize>, Row)> =
            base.iter().cloned().enumerate().map(|(n, row)| (Some(n), row)).collect();
        for (at, edit, row) in edits {
            let at = at.index(new.len().max(1));
            match edit {
                0 => new.insert(at.min(new.len()), (None, row)),
                1 if at < new.len() => new[at] = (None, row),
                _ if at < new.len() => { new.remove(at); }
                _ => {}
            }
        }
        let new_rows: Vec<Row> = new.iter().map(|(_, row)| row.clone()).collect();
        let (a, old_at) = write_table("x,y,z", &base, bom, newline_a);
        let (b, new_at) = write_table("x,y,z", &new_rows, bom, newline_b);
        // Runs of rows that are in both become ranges, a little shorter than they are.
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (n, (was, _)) in new.iter().enumerate() {
            let Some(was) = *was else { continue };
            match runs.last_mut() {
                Some((o, m, len)) if *o + *len == was && *m + *len == n => *len += 1,
                _ => runs.push((was, n, 1)),
            }
        }
        let ranges: Vec<_> = runs.into_iter().filter_map(|(o, n, len)| {
            let bytes = (old_at[o + len] - old_at[o]).min(new_at[n + len] - new_at[n]);
            let bytes = bytes.checked_sub(2 * trim_by)?;
            Some((old_at[o] + trim_by, new_at[n] + trim_by, bytes))
        }).collect();
        let shared = shared_of(&a, &b, &ranges);
        let bounds = Bounds { counted: if counted { 1 << 20 } else { 0 }, ..TINY };
        let found = compare::compare(
            TableFormat::Csv, &a.into_bytes(), &b.into_bytes(), &shared, &bounds).unwrap();
        let expected = model(&fields_of(&base), &fields_of(&new_rows));
        prop_assert_eq!(&rows(&found)[2..], &expected[2..]);
        if counted || found.rows_before.is_some() {
            prop_assert_eq!(rows(&found), expected);
        }
    }

    #[test]
    fn columns_that_come_and_go_leave_the_others_to_compare(
        old in prop::collection::vec(row(3..4), 0..20),
        new in prop::collection::vec(row(3..4), 0..20),
    ) {
        let mut new = new;
        new.extend(old.iter().rev().cloned().map(|(mut f, s)| { f.swap(0, 1); (f, s) }));
        let (a, _) = write_table("a,b,c", &old, false, true);
        let (b, _) = write_table("b,a,d", &new, false, true);
        let found = compare_tables("t.csv", &a.into_bytes(), &b.into_bytes(), &[]).unwrap().unwrap();
        let old: Vec<_> = old.iter().map(|(f, _)| (f[0].clone(), f[1].clone())).collect();
        let new: Vec<_> = new.iter().map(|(f, _)| (f[1].clone(), f[0].clone())).collect();
        prop_assert_eq!(rows(&found), model(&old, &new));
    }

    #[test]
    fn any_bytes_give_an_answer_or_an_error(
        old in prop::collection::vec(prop::sample::select(&b"a1,\"\n\r;{}: \xff"[..]), 0..300),
        new in prop::collection::vec(prop::sample::select(&b"a1,\"\n\r;{}: \xff"[..]), 0..300),
        ranges in prop::collection::vec((0..400u64, 0..400u64, 0..400u64), 0..3),
    ) {
        let shared: Vec<_> =
            ranges.into_iter().map(|(old, new, len)| SharedRange { old, new, len }).collect();
        for format in [TableFormat::Csv, TableFormat::Tsv, TableFormat::JsonLines] {
            for bounds in [&BOUNDS, &TINY] {
                if let Ok(found) = compare::compare(format, &old, &new, &shared, bounds)
                    && let [Some(before), Some(after), Some(added), Some(removed)] = rows(&found)
                {
                    prop_assert_eq!(before + added, after + removed);
                }
            }
        }
    }
}
