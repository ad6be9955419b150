//! What `mv diff` says about a file in one line, on a terminal and in Markdown alike. Everything here
//! is escaped.

use mv_formats::{Column, TableDiff, Tensor};
use mv_graph::Scalar;
use mv_graph::diff::Change;
use mv_repo::diff::{
    DiffOutcome, DiffSide, ModelDiff, ModelSummary, Opaque, ScalarChange, TensorChange,
    TensorChangeKind, TextChange,
};

use crate::commands::diff_json::delta;
use crate::format;

/// Characters of a value that is shown.
const VALUE: usize = 60;

/// `v1.0.0 → v1.1.0, 3 days later`.
pub(crate) fn heading(found: &DiffOutcome) -> String {
    let later = seconds_between(found).filter(|seconds| *seconds != 0);
    let later = later.map(|n| format!(", {}", format::later(n)));
    let (from, to) = sides(found);
    format!("{from} → {to}{}", later.unwrap_or_default())
}

/// How the sides are called. Two versions that were made in the same second and have no number are
/// told apart by their ids.
pub(crate) fn sides(found: &DiffOutcome) -> (String, String) {
    let (from, to) = (&found.from, &found.to);
    let alike = from.label == to.label && from.id != to.id;
    let called = |side: &DiffSide| match side.id.filter(|_| alike) {
        Some(id) => format!("{} ({})", format::text(&side.label), id.short()),
        None => format::text(&side.label),
    };
    (called(from), called(to))
}

/// How much later the newer side was made, when both are versions.
pub(crate) fn seconds_between(found: &DiffOutcome) -> Option<i64> {
    let (from, to) = (found.from.created?, found.to.created?);
    Some(to.ns.saturating_sub(from.ns) / 1_000_000_000)
}

/// `modified`, `renamed` …, as in `--json`.
pub(crate) fn kind(found: &DiffOutcome, change: &Change) -> &'static str {
    if found.rename_of(change).is_some() { "renamed" } else { change.kind.as_str() }
}

/// A file's mode or size on both sides: `1.2 MB → 1.3 MB`.
pub(crate) fn sizes(change: &Change) -> String {
    match (&change.from, &change.to) {
        (Some(from), Some(to)) if from.id == to.id && from.mode == to.mode => {
            format::bytes(to.bytes)
        }
        (Some(from), Some(to)) if from.id == to.id || !from.mode.same_type(to.mode) => {
            format!("{} → {}", from.mode.as_str(), to.mode.as_str())
        }
        (Some(from), Some(to)) => {
            format!("{} → {}", format::bytes(from.bytes), format::bytes(to.bytes))
        }
        (Some(only), None) | (None, Some(only)) => format::bytes(only.bytes),
        (None, None) => String::new(),
    }
}

/// What is known of bytes: sizes, what they are, why nothing more.
pub(crate) fn opaque(change: &Change, opaque: &Opaque) -> String {
    let mut words = sizes(change);
    let described = match (&opaque.from, &opaque.to) {
        (Some(from), Some(to)) if from != to => {
            Some(format!("{} → {}", format::text(from), format::text(to)))
        }
        (Some(only), _) | (None, Some(only)) => Some(format::text(only)),
        (None, None) => None,
    };
    for more in described.into_iter().chain(opaque.why.as_deref().map(format::text)) {
        words.push_str(", ");
        words.push_str(&more);
    }
    words
}

/// `2 of 14 tensors changed, 1 added; 1.2 M parameters`.
pub(crate) fn model(model: &ModelDiff) -> String {
    let (from, to) = match (&model.from, &model.to) {
        (Some(from), Some(to)) => (from, to),
        (Some(only), None) | (None, Some(only)) => return inventory(only),
        (None, None) => return String::new(),
    };
    use TensorChangeKind as Kind;
    let mut parts: Vec<String> = Vec::new();
    for kind in
        [Kind::Changed, Kind::Retyped, Kind::Reshaped, Kind::Renamed, Kind::Added, Kind::Removed]
    {
        let n = model.tensors.iter().filter(|t| t.kind == kind).count();
        let all = if kind == Kind::Removed { from.tensors } else { to.tensors };
        match n {
            0 => {}
            n if !parts.is_empty() => parts.push(format!("{n} {}", kind.as_str())),
            n => parts.push(format!("{n} of {} {}", format::count(all, "tensor"), kind.as_str())),
        }
    }
    if parts.is_empty() {
        parts
            .push(format!("{} unchanged, other bytes differ", format::count(to.tensors, "tensor")));
    }
    if model.elsewhere > 0 {
        parts.push(format!("{} in other files", model.elsewhere));
    }
    let after = parameters(to);
    let before = format::quantity(from.parameters);
    let numbers = match (from.parameters, to.parameters) {
        (from, to) if from == to => after,
        // Rounded they look the same, and are not.
        (from, to) if before == format::quantity(to) => {
            format!("{after} ({:+})", i128::from(to) - i128::from(from))
        }
        _ => format!("{before} → {after}"),
    };
    format!("{}; {numbers}", parts.join(", "))
}

fn parameters(summary: &ModelSummary) -> String {
    let noun = if summary.parameters == 1 { "parameter" } else { "parameters" };
    format!("{} {noun}", format::quantity(summary.parameters))
}

/// `14 tensors, 1.2 M parameters: f32 4.8 MB`.
fn inventory(summary: &ModelSummary) -> String {
    let dtypes = summary.dtypes.iter().take(6);
    let dtypes: Vec<String> = dtypes
        .map(|(name, _, bytes)| format!("{} {}", format::text(name), format::bytes(*bytes)))
        .collect();
    let words = format!("{}, {}", format::count(summary.tensors, "tensor"), parameters(summary));
    if dtypes.is_empty() { words } else { format!("{words}: {}", dtypes.join(", ")) }
}

/// Headings of the table of tensors.
pub(crate) fn tensor_headings(stats: bool) -> &'static [&'static str] {
    if stats {
        &["tensor", "change", "type", "shape", ">relative L2", ">elements", ">cosine"]
    } else {
        &["tensor", "change", "type", "shape"]
    }
}

/// One row of the table of tensors.
pub(crate) fn tensor(change: &TensorChange, stats: bool) -> Vec<String> {
    let both = |show: &dyn Fn(&Tensor) -> String| match (&change.from, &change.to) {
        (Some(from), Some(to)) if show(from) != show(to) => {
            format!("{} → {}", show(from), show(to))
        }
        (Some(only), _) | (None, Some(only)) => show(only),
        (None, None) => String::new(),
    };
    let mut row = vec![
        both(&|t| format::text(&t.name)),
        change.kind.as_str().to_owned(),
        both(&|t| format::text(&t.dtype.to_string())),
        both(&|t| shape(&t.shape)),
    ];
    if stats {
        let numbers = change.stats.as_ref();
        row.push(numbers.map_or_else(String::new, |s| short(s.relative_l2)));
        row.push(numbers.map_or_else(String::new, |s| percent(s.changed)));
        row.push(numbers.map_or_else(String::new, |s| format!("{:.6}", s.cosine)));
    }
    row
}

/// `[256, 784]`.
pub(crate) fn shape(shape: &[u64]) -> String {
    format!("[{}]", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
}

fn short(number: f64) -> String {
    if number != 0.0 && !(1e-4..1e4).contains(&number) {
        format!("{number:.2e}")
    } else {
        format!("{number:.4}")
    }
}

/// A share; all and none are said only when they are true.
fn percent(share: f64) -> String {
    match share {
        _ if share <= 0.0 => "none".to_owned(),
        _ if share >= 1.0 => "all".to_owned(),
        _ if share < 0.0001 => "<0.01 %".to_owned(),
        _ => format!("{:.2} %", (share * 100.0).min(99.99)),
    }
}

/// Inputs, outputs and what the file says about itself: `input x: f32[1] → f32[2]`.
pub(crate) fn notes(model: &ModelDiff) -> impl Iterator<Item = String> {
    model.ports.iter().chain(&model.metadata).map(note)
}

fn note(change: &TextChange) -> String {
    let value = |v: &Option<String>| match v {
        Some(v) => crate::table::cut(&format::text(v), VALUE),
        None => "-".to_owned(),
    };
    format!("{}: {} → {}", format::text(&change.name), value(&change.from), value(&change.to))
}

/// `+120 -3 rows, column +age (int), -zip`; `120 rows, 5 columns` of a file that is new or gone.
pub(crate) fn table(change: &Change, table: &TableDiff) -> String {
    if let (None, _) | (_, None) = (change.from, change.to) {
        let added = change.to.is_some();
        let (rows, columns) = if added {
            (table.rows_added.or(table.rows_after), &table.columns_added)
        } else {
            (table.rows_removed.or(table.rows_before), &table.columns_removed)
        };
        let rows = rows.map(|rows| format!("{}, ", format::count(rows, "row")));
        let columns = format::count(columns.len() as u64, "column");
        return format!("{}{columns}", rows.unwrap_or_default());
    }
    let rows = match (table.rows_added, table.rows_removed) {
        (Some(0), Some(0)) => "same rows".to_owned(),
        (Some(added), Some(removed)) => format!("+{added} -{removed} rows"),
        _ => match (table.rows_before, table.rows_after) {
            (Some(before), Some(after)) if before == after => format!("{after} rows"),
            (Some(before), Some(after)) => format!("{before} → {after} rows"),
            _ => "rows not compared".to_owned(),
        },
    };
    let mut parts = vec![rows];
    let typed = |sign: char, c: &Column| {
        format!("{sign}{} ({})", format::text(&c.name), format::text(&c.kind))
    };
    let mut columns: Vec<String> = table.columns_added.iter().map(|c| typed('+', c)).collect();
    columns.extend(table.columns_removed.iter().map(|c| format!("-{}", format::text(&c.name))));
    columns.extend(table.columns_retyped.iter().map(|c| {
        let name = format::text(&c.name);
        format!("{name} ({} → {})", format::text(&c.from), format::text(&c.to))
    }));
    if !columns.is_empty() {
        let more = columns.len().saturating_sub(COLUMNS);
        let noun = if columns.len() == 1 { "column" } else { "columns" };
        columns.truncate(COLUMNS);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        parts.push(format!("{noun} {}{rest}", columns.join(", ")));
    }
    match table.row_groups {
        Some((before, after)) if before != after => {
            parts.push(format!("{before} → {after} row groups"));
        }
        _ => {}
    }
    parts.join(", ")
}

/// Columns that are named in one line.
const COLUMNS: usize = 12;

/// A param or metric: its name, both values, how much it moved.
pub(crate) fn scalar(change: &ScalarChange) -> [String; 4] {
    let text = |v: &Option<Scalar>| {
        v.as_ref().map_or_else(|| "-".to_owned(), |v| format::text(&v.to_string()))
    };
    let moved = delta(change).map(|d| match d.as_i64() {
        Some(whole) => format!("{whole:+}"),
        None => d.as_f64().map(format::signed).unwrap_or_default(),
    });
    let (from, to) = (text(&change.from), text(&change.to));
    [format::text(&change.name), from, to, moved.unwrap_or_default()]
}

/// A text that differs: its name and both values.
pub(crate) fn texts(name: &str, from: Option<&str>, to: Option<&str>) -> [String; 3] {
    let text = |v: Option<&str>| v.map_or_else(|| "-".to_owned(), format::text);
    [format::text(name), text(from), text(to)]
}

/// The rows of environment, params, metrics and metadata, each table under its headings.
pub(crate) fn values(found: &DiffOutcome) -> Vec<(&'static [&'static str], Vec<Vec<String>>)> {
    let environment = found.environment.iter().map(|c| {
        let name =
            if c.kind == "package" { c.name.clone() } else { format!("{} {}", c.kind, c.name) };
        texts(&name, c.from.as_deref(), c.to.as_deref()).to_vec()
    });
    let metadata = found.metadata.iter();
    let metadata = metadata.map(|c| texts(&c.name, c.from.as_deref(), c.to.as_deref()).to_vec());
    let scalars = |all: &[ScalarChange]| all.iter().map(|c| scalar(c).to_vec()).collect();
    vec![
        (&["environment", "from", "to"], environment.collect()),
        (&["params", ">from", ">to", ">delta"], scalars(&found.params)),
        (&["metrics", ">from", ">to", ">delta"], scalars(&found.metrics)),
        (&["metadata", "from", "to"], metadata.collect()),
    ]
}

/// The proposal for the next version's number, as the last line.
pub(crate) fn suggested(found: &DiffOutcome) -> Option<String> {
    let bump = found.suggested_bump.as_ref()?;
    Some(format!("suggested: {}, {}", format::text(&bump.kind), format::text(&bump.reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_and_none_are_said_only_when_true() {
        assert_eq!([0.0, 1.0, 0.99999, 0.5].map(percent), ["none", "all", "99.99 %", "50.00 %"]);
        assert_eq!(percent(1e-6), "<0.01 %");
    }
}
