//! Tables: which columns a reader would miss.

use mv_formats::{Source, Table, TableFormat, compare_tables, read_table};
use mv_graph::RepoPath;

use super::named;
use crate::error::Result;
use crate::file_bytes::failure;

/// Columns that were removed or retyped, and columns that were added; nothing if either file is no
/// table.
///
/// The kind of a column of text is what its values look like, so that a whole number among decimals
/// and a column that was empty are no change.
pub(super) fn compare(
    path: &RepoPath,
    old: &dyn Source,
    new: &dyn Source,
) -> Result<(Vec<String>, Vec<String>)> {
    let nothing = || Ok((Vec::new(), Vec::new()));
    let name = String::from_utf8_lossy(path.file_name());
    let tables = read_table(&name, old).and_then(|old| Ok(old.zip(read_table(&name, new)?)));
    let (before, after) = match tables {
        Ok(Some(tables)) => tables,
        Ok(None) => return nothing(),
        Err(e) if e.is_opaque() => return nothing(),
        Err(e) => return Err(failure(e, path)),
    };
    let mut found = between(&before, &after);
    if found.is_in_doubt(before.format) {
        // Only heads were seen; the comparison looks further before it says the same.
        match compare_tables(&name, old, new, &[]) {
            Ok(Some(diff)) => {
                let retyped = diff.columns_retyped.into_iter();
                found = Columns {
                    removed: diff.columns_removed.into_iter().map(|c| c.name).collect(),
                    added: diff.columns_added.into_iter().map(|c| c.name).collect(),
                    retyped: retyped
                        .map(|r| (r.name, r.from, r.to))
                        .filter(|(_, from, to)| is_retyped(before.format, from, to))
                        .collect(),
                };
            }
            Ok(None) => {}
            Err(e) if e.is_opaque() => {}
            Err(e) => return Err(failure(e, path)),
        }
    }
    Ok(found.told(&path.display_escaped()))
}

/// What differs, by name.
struct Columns {
    removed: Vec<String>,
    added: Vec<String>,
    retyped: Vec<(String, String, String)>,
}

impl Columns {
    /// Whether more than the heads must be looked at: the first line of a CSV file names every column,
    /// but kinds, and the keys of JSON lines, are those of a sample.
    fn is_in_doubt(&self, format: TableFormat) -> bool {
        let names = !self.removed.is_empty() || !self.added.is_empty();
        match format {
            TableFormat::JsonLines => names || !self.retyped.is_empty(),
            TableFormat::Csv | TableFormat::Tsv => {
                self.removed.is_empty() && !self.retyped.is_empty()
            }
            _ => false,
        }
    }

    fn told(&self, path: &str) -> (Vec<String>, Vec<String>) {
        let removed =
            self.removed.iter().map(|name| format!("column {} removed from {path}", named(name)));
        let retyped = self.retyped.iter().map(|(name, from, to)| {
            let (from, to) = (mv_graph::escape(from), mv_graph::escape(to));
            format!("column {} retyped {from} -> {to} in {path}", named(name))
        });
        let added = self.added.iter().map(|name| format!("column {} added to {path}", named(name)));
        (removed.chain(retyped).collect(), added.collect())
    }
}

fn between(old: &Table, new: &Table) -> Columns {
    let kinds = |table: &'_ Table| -> std::collections::BTreeMap<String, String> {
        table.columns.iter().map(|c| (c.name.clone(), c.kind.clone())).collect()
    };
    let (before, after) = (kinds(old), kinds(new));
    let only = |table: &Table, other: &std::collections::BTreeMap<String, String>| {
        let names = table.columns.iter().map(|c| &c.name);
        names.filter(|name| !other.contains_key(*name)).cloned().collect()
    };
    let retyped = before.iter().filter_map(|(name, from)| {
        let to = after.get(name)?;
        is_retyped(old.format, from, to).then(|| (name.clone(), from.clone(), to.clone()))
    });
    Columns { retyped: retyped.collect(), removed: only(old, &after), added: only(new, &before) }
}

fn is_retyped(format: TableFormat, from: &str, to: &str) -> bool {
    if format == TableFormat::Parquet {
        return from != to;
    }
    let number = |kind| matches!(kind, "int" | "float");
    from != to && from != "empty" && to != "empty" && !(number(from) && number(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_empty_columns_of_text_are_not_retyped_but_columns_of_parquet_are() {
        for (from, to, csv, parquet) in [
            ("int", "int", false, false),
            ("int", "float", false, true),
            ("empty", "text", false, true),
            ("int", "text", true, true),
            ("date", "text", true, true),
        ] {
            assert_eq!(is_retyped(TableFormat::Csv, from, to), csv, "{from} {to}");
            assert_eq!(is_retyped(TableFormat::Parquet, from, to), parquet, "{from} {to}");
        }
    }
}
