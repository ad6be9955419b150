//! A CSV of 21 columns, as they come out of a warehouse, and the ways in which such a table changes.
//!
//! Each row follows from its number alone, so an edited table is written like the first one.

use std::io::{self, Write};

use crate::random::Random;

/// Rows that make 130 MB.
pub(crate) const ROWS: u64 = 870_000;
/// Rows that an insertion adds.
const INSERTED: u64 = 500;

/// What happened to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing: the first version.
    None,
    /// One cell of each hundredth row, anywhere.
    Scattered,
    /// One cell of as many rows, all of them next to each other.
    Clustered,
    /// A new last column.
    Column,
    /// 5 % more rows at the end.
    Append,
    /// 500 rows at the top.
    Insert,
}

const HEAD: &str = "id,created_at,user_id,session,country,city,device,channel,age,score,amount,\
                    price,quantity,ratio,latency_ms,active,label,segment,x,y,code";
const COUNTRIES: [&str; 12] =
    ["DE", "FR", "US", "BR", "IN", "JP", "NG", "PE", "NO", "KR", "TN", "CH"];
const CITIES: [&str; 10] =
    ["Lagos", "Lima", "Oslo", "Pune", "Quito", "Riga", "Seoul", "Tunis", "Ufa", "Zurich"];
const DEVICES: [&str; 4] = ["ios", "android", "web", "desktop"];
const CHANNELS: [&str; 5] = ["organic", "search", "referral", "email", "direct"];
const SEGMENTS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

/// Writes the table.
///
/// # Errors
/// Those of the writer.
pub(crate) fn write(out: &mut impl Write, rows: u64, change: Change, seed: u64) -> io::Result<()> {
    let extra = change == Change::Column;
    writeln!(out, "{HEAD}{}", if extra { ",risk" } else { "" })?;
    let edited = edited(rows, change, seed);
    if change == Change::Insert {
        (0..INSERTED).try_for_each(|n| row(out, rows * 10 + n, seed, false, false))?;
    }
    for n in 0..rows {
        row(out, n, seed, edited.binary_search(&n).is_ok(), extra)?;
    }
    let more = if change == Change::Append { rows / 20 } else { 0 };
    (rows..rows + more).try_for_each(|n| row(out, n, seed, false, false))
}

/// The rows in which a cell changes, sorted.
fn edited(rows: u64, change: Change, seed: u64) -> Vec<u64> {
    let count = (rows / 100).max(1);
    match change {
        Change::Scattered => {
            let mut random = Random::stream(seed, u64::MAX);
            let mut rows: Vec<u64> = (0..count).map(|_| random.below(rows)).collect();
            rows.sort_unstable();
            rows.dedup();
            rows
        }
        Change::Clustered => (rows / 3..rows / 3 + count).collect(),
        _ => Vec::new(),
    }
}

fn row(out: &mut impl Write, n: u64, seed: u64, edited: bool, extra: bool) -> io::Result<()> {
    let mut r = Random::stream(seed, n);
    let seconds = r.below(86_400);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (month, day) = (n / 90_000 % 12 + 1, n / 3000 % 28 + 1);
    write!(out, "{n},2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
    write!(out, ",{},{:016x}", 10_000_000 + r.below(80_000_000), r.number())?;
    write!(out, ",{},{}", r.pick(&COUNTRIES), r.pick(&CITIES))?;
    write!(out, ",{},{}", r.pick(&DEVICES), r.pick(&CHANNELS))?;
    let score = f64::from(r.normal()) * 12.0 + 50.0;
    let score = if edited { score + 1.25 } else { score };
    write!(out, ",{},{score:.6},{:.2}", 18 + r.below(60), 4.0 + 300.0 * r.unit() * r.unit())?;
    write!(out, ",{}.{},{}", r.below(200), *r.pick(&["99", "49", "00", "95"]), 1 + r.below(9))?;
    write!(out, ",{:.8},{:.3}", r.unit(), 20.0 + 400.0 * r.unit() * r.unit())?;
    write!(out, ",{},{}", u8::from(r.unit() < 0.5), u8::from(r.unit() < 0.08))?;
    write!(out, ",{},{:.6},{:.6}", r.pick(&SEGMENTS), r.normal(), r.normal())?;
    write!(out, ",{}", 100 + r.below(900))?;
    if extra {
        write!(out, ",{:.3}", r.unit())?;
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(change: Change) -> Vec<String> {
        let mut out = Vec::new();
        write(&mut out, 2000, change, 1).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_row_has_21_cells() {
        let rows = lines(Change::None);
        assert_eq!(rows.len(), 2001);
        assert!(rows.iter().all(|row| row.split(',').count() == 21));
        assert!(lines(Change::Column).iter().all(|row| row.split(',').count() == 22));
    }

    #[test]
    fn an_edit_changes_one_cell_in_a_hundred_rows() {
        let first = lines(Change::None);
        for change in [Change::Scattered, Change::Clustered] {
            let second = lines(change);
            let different: Vec<usize> =
                (0..first.len()).filter(|n| first[*n] != second[*n]).collect();
            assert!((15..=20).contains(&different.len()), "{change:?}");
            let spread = different.last().unwrap() - different[0];
            assert_eq!(spread < 100, change == Change::Clustered);
            let cells = first[different[0]].split(',').zip(second[different[0]].split(','));
            assert_eq!(cells.filter(|(a, b)| a != b).count(), 1);
        }
    }

    #[test]
    fn rows_are_added_and_the_others_stay() {
        let first = lines(Change::None);
        assert_eq!(lines(Change::Append)[..2001], first);
        assert_eq!(lines(Change::Append).len(), 2101);
        assert_eq!(lines(Change::Insert)[501..], first[1..]);
    }
}
