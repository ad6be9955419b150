//! Versions as rows and their values as columns, fitted to a terminal: numbers stand point under
//! point, and what does not fit is left out from the right and counted.

use mv_graph::Scalar;
use unicode_width::UnicodeWidthStr;

use crate::format;
use crate::table::cut;

/// What stands between two columns.
const GAP: usize = 2;
/// A long title or text is cut to this on a terminal.
const WIDEST: usize = 24;

/// What comes before the values in one row; safe for a terminal.
pub(crate) struct Heading {
    /// How the version is called.
    pub(crate) version: String,
    /// Its short id.
    pub(crate) id: String,
    /// HEAD, branches, other tags.
    pub(crate) marks: String,
    /// The day it was made.
    pub(crate) date: String,
}

/// A table that was fitted.
pub(crate) struct Fitted {
    /// The title line, then one line a row.
    pub(crate) lines: Vec<String>,
    /// Columns of values that were left out.
    pub(crate) left_out: usize,
}

/// Lays out the table. `values` has, for each name, one value a row.
pub(crate) fn fit(
    rows: &[Heading],
    names: &[String],
    values: &dyn Fn(usize, &str) -> Option<Scalar>,
    width: Option<usize>,
) -> Fitted {
    let widest = width.map(|_| WIDEST);
    let text = |title: &str, cell: fn(&Heading) -> &String| {
        let cells = rows.iter().map(|row| shorten(cell(row), widest)).collect();
        Column { title: title.to_owned(), cells, right: false }
    };
    let mut front = vec![
        Some(text("version", |row| &row.version)),
        Some(text("id", |row| &row.id)),
        Some(text("", |row| &row.marks)),
        Some(text("date", |row| &row.date)),
    ];
    if rows.iter().all(|row| row.marks.is_empty()) {
        front[2] = None;
    }
    let mut columns: Vec<Column> = Vec::with_capacity(names.len());
    for name in names {
        let cells: Vec<Option<Scalar>> = (0..rows.len()).map(|row| values(row, name)).collect();
        columns.push(Column::of_values(name, &cells, widest));
    }
    let all = columns.len();
    if let Some(width) = width {
        let over = |front: &[Option<Column>], columns: &[Column]| {
            let widths = front.iter().flatten().chain(columns).map(|c| c.width() + GAP);
            widths.sum::<usize>() > width + GAP
        };
        // The version names the row: day and id give way before any value does.
        for place in [3, 1] {
            if over(&front, &columns) {
                front[place] = None;
            }
        }
        while columns.len() > 1 && over(&front, &columns) {
            columns.pop();
        }
        if over(&front, &columns) {
            front[2] = None;
        }
        // What is left is cut where it is widest.
        while over(&front, &columns) {
            let widest = front.iter_mut().flatten().chain(&mut columns).max_by_key(|c| c.width());
            match widest {
                Some(column) if column.width() > 1 => column.cut(column.width() - 1),
                _ => break,
            }
        }
    }
    let left_out = all - columns.len();
    let shown: Vec<Column> = front.into_iter().flatten().chain(columns).collect();
    let widths: Vec<usize> = shown.iter().map(Column::width).collect();
    let line = |cells: Vec<&str>| {
        let padded =
            cells.iter().zip(&shown).zip(&widths).map(|((cell, c), w)| pad(cell, *w, c.right));
        padded.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    let mut lines = vec![line(shown.iter().map(|c| c.title.as_str()).collect())];
    lines.extend(
        (0..rows.len()).map(|row| line(shown.iter().map(|c| c.cells[row].as_str()).collect())),
    );
    Fitted { lines, left_out }
}

struct Column {
    title: String,
    cells: Vec<String>,
    right: bool,
}

impl Column {
    fn of_values(name: &str, values: &[Option<Scalar>], widest: Option<usize>) -> Column {
        let number = |v: &Scalar| matches!(v, Scalar::Int(_) | Scalar::Float(_));
        let right = values.iter().flatten().any(number);
        let cells: Vec<String> = values
            .iter()
            .map(|value| match value {
                Some(value) => shorten(&format::scalar(value), widest),
                None => "-".to_owned(),
            })
            .collect();
        let cells = if right { point_under_point(&cells, values) } else { cells };
        // The end of a dotted name tells more than its beginning.
        let title = shorten_front(&format::text(name), widest);
        Column { title, cells, right }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|c| c.width()).chain([self.title.width()]).max().unwrap_or(0)
    }

    fn cut(&mut self, width: usize) {
        self.title = cut(&self.title, width);
        self.cells.iter_mut().for_each(|cell| *cell = cut(cell, width));
    }
}

/// Pads numbers on the right so that their points line up; what is no number stays.
fn point_under_point(cells: &[String], values: &[Option<Scalar>]) -> Vec<String> {
    let tail = |cell: &str| cell.find(['.', 'e']).map_or(0, |at| cell.len() - at);
    let is_number = |value: &Option<Scalar>| {
        value.as_ref().is_some_and(|v| v.as_f64().is_some_and(f64::is_finite))
    };
    let numbers = || cells.iter().zip(values).filter(|(_, v)| is_number(v)).map(|(c, _)| c);
    let longest = numbers().map(|cell| tail(cell)).max().unwrap_or(0);
    let pad = |(cell, value): (&String, &Option<Scalar>)| {
        let missing = if is_number(value) { longest - tail(cell) } else { 0 };
        format!("{cell}{}", " ".repeat(missing))
    };
    cells.iter().zip(values).map(pad).collect()
}

fn pad(cell: &str, width: usize, right: bool) -> String {
    let space = " ".repeat(width.saturating_sub(cell.width()));
    if right { format!("{space}{cell}") } else { format!("{cell}{space}") }
}

fn shorten(text: &str, widest: Option<usize>) -> String {
    widest.map_or_else(|| text.to_owned(), |width| cut(text, width))
}

fn shorten_front(text: &str, widest: Option<usize>) -> String {
    match widest {
        Some(width) if text.width() > width => {
            let reversed: String = text.chars().rev().collect();
            cut(&reversed, width).chars().rev().collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize) -> Vec<Heading> {
        let row = |i: usize| Heading {
            version: format!("v1.{i}.0"),
            id: "0123456789ab".to_owned(),
            marks: if i == 0 { "HEAD, main".to_owned() } else { String::new() },
            date: "2026-01-01".to_owned(),
        };
        (0..n).map(row).collect()
    }

    #[test]
    fn numbers_stand_point_under_point() {
        let values = [
            Some(Scalar::float(0.9)),
            Some(Scalar::float(12.3456789)),
            None,
            Some(Scalar::Int(7)),
            Some(Scalar::float(f64::NAN)),
            Some(Scalar::float(1e-9)),
        ];
        let value = |row: usize, _: &str| values[row].clone();
        let lines = fit(&rows(6), &["auc".into()], &value, None).lines;
        let column: Vec<&str> = lines.iter().map(|l| l.get(47..).unwrap_or_default()).collect();
        assert_eq!(
            column,
            ["    auc", " 0.9", "12.3457", "      -", " 7", "    NaN", " 1e-9"],
            "{lines:#?}"
        );
    }

    #[test]
    fn a_table_fits_terminals_of_any_width() {
        let names: Vec<String> =
            (0..12).map(|n| format!("validation.scores.at_k.metric_{n}")).collect();
        let value = |_: usize, name: &str| Some(Scalar::Text(format!("{name} is a long text")));
        for width in [20, 40, 80, 120, 200, 1000] {
            let fitted = fit(&rows(3), &names, &value, Some(width));
            assert_eq!(fitted.lines.len(), 4);
            for line in &fitted.lines {
                assert!(line.width() <= width, "{width}: {} {line:?}", line.width());
            }
            assert!(fitted.lines[1].starts_with("v1.0.0"), "{:?}", fitted.lines);
            assert!(fitted.left_out < names.len());
        }
        assert_eq!(fit(&rows(3), &names, &value, None).left_out, 0);
        assert_eq!(fit(&rows(3), &names, &value, Some(1000)).left_out, 0);
    }

    #[test]
    fn the_day_gives_way_before_a_value() {
        let names: Vec<String> = ["acc", "auc", "f1", "loss"].map(String::from).to_vec();
        let value = |_: usize, _: &str| Some(Scalar::float(0.123456));
        let fitted = fit(&rows(2), &names, &value, Some(72));
        assert_eq!(fitted.left_out, 0);
        assert!(!fitted.lines[0].contains("date") && fitted.lines[0].contains("loss"));
    }

    #[test]
    fn wide_characters_and_long_names_keep_the_table_in_place() {
        let names = ["模型".repeat(20), "a.b.c.d.e.f.g.h.i.j.k.l.m.top5".to_owned()];
        let value = |_: usize, _: &str| Some(Scalar::Text("模型".repeat(30)));
        let fitted = fit(&rows(1), &names, &value, Some(80));
        assert!(fitted.lines.iter().all(|l| l.width() <= 80), "{:#?}", fitted.lines);
        let ascii = fit(&rows(1), &names[1..], &|_, _| Some(Scalar::Int(1)), Some(80));
        assert!(ascii.lines[0].ends_with(".m.top5"), "{:#?}", ascii.lines);
    }
}
