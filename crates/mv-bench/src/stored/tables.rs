//! Rows of tables: what an edit of a CSV, of JSON lines or of a Parquet file stores.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::failure::{At, Result};
use crate::generate::records;
use crate::generate::table::{self, Change};

use super::Bench;
use super::row::Row;

const SEED: u64 = 0x7ab1e;

/// Second versions of a CSV.
pub(super) fn csv(bench: &Bench) -> Result<Vec<Row>> {
    let cases = [
        ("1 % edited, scattered", Change::Scattered, Some(0.15)),
        ("1 % edited, clustered", Change::Clustered, None),
        ("new column", Change::Column, Some(2.5)),
        ("5 % appended", Change::Append, Some(2.3)),
        ("500 rows inserted", Change::Insert, Some(0.06)),
    ];
    let rows = bench.scaled(table::ROWS);
    let row = |(name, change, goal): (&str, Change, Option<f64>)| {
        let project = bench.project()?;
        let path = project.path("table.csv");
        write(&path, |out| table::write(out, rows, Change::None, SEED))?;
        project.commit()?;
        let raw = write(&path, |out| table::write(out, rows, change, SEED))?;
        let row = bench.row("CSV", name, raw, project.commit()?.written);
        Ok(goal.map_or(row.clone(), |goal| row.goal(goal)))
    };
    cases.into_iter().map(row).collect()
}

/// The first version of a CSV, as committed and as repacked.
pub(super) fn csv_first(bench: &Bench) -> Result<Vec<Row>> {
    let rows = bench.scaled(table::ROWS);
    let project = bench.project()?;
    let before = project.stored();
    let raw = write(&project.path("table.csv"), |out| table::write(out, rows, Change::None, SEED))?;
    let stored = project.commit()?.written;
    project.repack()?;
    let after = project.stored().saturating_sub(before);
    Ok(vec![
        bench.row("CSV", "first version", raw, stored).goal(47.5),
        bench.row("CSV", "first version, repacked", raw, after).goal(37.0),
    ])
}

/// JSON lines with one record in a hundred edited.
pub(super) fn jsonl(bench: &Bench) -> Result<Vec<Row>> {
    let lines = bench.scaled(records::LINES);
    let project = bench.project()?;
    let path = project.path("records.jsonl");
    write(&path, |out| records::write(out, lines, false, SEED))?;
    project.commit()?;
    let raw = write(&path, |out| records::write(out, lines, true, SEED))?;
    Ok(vec![bench.row("JSONL", "1 % edited", raw, project.commit()?.written).goal(0.1)])
}

/// Two versions of a Parquet file, if they were named.
pub(super) fn parquet(bench: &Bench) -> Result<Vec<Row>> {
    let [old, new] = bench.parquet.as_slice() else { return Ok(Vec::new()) };
    let project = bench.project()?;
    let path = project.path("table.parquet");
    fs::copy(old, &path).at("copy", old)?;
    project.commit()?;
    let raw = fs::copy(new, &path).at("copy", new)?;
    let row = bench.row("Parquet", "second version", raw, project.commit()?.written).goal(100.0);
    Ok(vec![row.note("20 once its pages are looked into")])
}

/// Writes a file and returns its length.
fn write(path: &Path, rows: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<u64> {
    let mut out = BufWriter::new(File::create(path).at("create", path)?);
    rows(&mut out).and_then(|()| out.flush()).at("write", path)?;
    Ok(fs::metadata(path).at("look at", path)?.len())
}
