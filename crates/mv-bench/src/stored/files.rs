//! Rows of many small files.

use crate::failure::Result;
use crate::generate::small;

use super::Bench;
use super::row::Row;

/// Small files, as committed and as repacked.
pub(super) fn small(bench: &Bench) -> Result<Vec<Row>> {
    let project = bench.project()?;
    let before = project.stored();
    let count = bench.scaled(small::FILES);
    let raw = small::write(&project.path("data"), count, 0x5ea1)?;
    let stored = project.commit()?.written;
    project.repack()?;
    let after = project.stored().saturating_sub(before);
    let name = format!("{count} files");
    Ok(vec![
        bench.row("small files", &name, raw, stored).goal(35.0),
        bench.row("small files", &format!("{name}, repacked"), raw, after).goal(30.0),
    ])
}
