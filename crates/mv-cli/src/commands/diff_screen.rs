//! `mv diff` on one screen: files by component, then environment, params, metrics and metadata.

use mv_graph::Component;
use mv_graph::diff::Change;
use mv_repo::diff::{ModelDiff, View};

use crate::commands::diff::Inside;
use crate::commands::{diff_words as words, shared};
use crate::failure::Result;
use crate::format;
use crate::table::Table;
use crate::text_diff::{self, Counts};
use crate::ui::{Role, Ui};

/// Tensors that are listed of one file.
const TENSORS: usize = 20;
/// Rows that are shown of the environment.
const PACKAGES: usize = 20;
/// Lines that are shown of a text among data and models.
const LINES: usize = 20;
/// Inputs, outputs and notes that are shown of a model.
const NOTES: usize = 5;
/// What stands before the details of a file.
const INDENT: &str = "    ";

/// Prints it; with `stat`, one line for each file.
pub(crate) fn print(ui: &Ui<'_>, inside: &Inside<'_>, stat: bool, context: u32) -> Result<()> {
    let found = inside.found;
    if found.is_empty() {
        return Ok(());
    }
    ui.line(ui.paint.paint(Role::Heading, words::heading(found)));
    let screen = Screen { ui, inside, stat, context };
    let mut total = Counts { added: 0, removed: 0 };
    for component in Component::ALL {
        let changes: Vec<&Change> =
            found.changes.iter().filter(|c| c.component == component).collect();
        if changes.is_empty() {
            continue;
        }
        let title = format!("{component}: {}", format::count(changes.len() as u64, "file"));
        ui.line(ui.paint.paint(Role::Heading, title));
        for change in changes {
            if ui.ended() {
                return Ok(());
            }
            let counts = screen.file(change)?;
            total.added += counts.added;
            total.removed += counts.removed;
        }
    }
    for (headings, rows) in words::values(found) {
        let packages = headings.first() == Some(&"environment");
        let most = if packages && !ui.verbose { PACKAGES } else { usize::MAX };
        let all = rows.len();
        block(ui, headings, rows.into_iter().take(most).collect());
        screen.more(all, most, "difference");
    }
    if stat && !found.changes.is_empty() {
        let files = format::count(found.changes.len() as u64, "file");
        let lines = match (total.added, total.removed) {
            (0, 0) => String::new(),
            (added, removed) => format!(", +{added} -{removed} lines"),
        };
        ui.line(format!("{files} changed{lines}"));
    }
    if let Some(suggested) = words::suggested(found) {
        ui.line(suggested);
    }
    Ok(())
}

struct Screen<'a> {
    ui: &'a Ui<'a>,
    inside: &'a Inside<'a>,
    stat: bool,
    context: u32,
}

impl Screen<'_> {
    /// One file: its line, and what is inside.
    fn file(&self, change: &Change) -> Result<Counts> {
        let none = Counts { added: 0, removed: 0 };
        match self.inside.view(change)? {
            View::Same => self.head(change, &words::sizes(change)),
            View::Opaque(opaque) => self.head(change, &words::opaque(change, &opaque)),
            View::Table(table) => self.head(change, &words::table(change, &table)),
            View::Model(model) => {
                self.head(change, &words::model(&model));
                if !self.stat {
                    self.model(&model);
                }
            }
            View::Text { from, to } => {
                let (lines, counts) = text_diff::unified(&from, &to, self.context, self.ui.paint);
                self.head(change, &format!("+{} -{}", counts.added, counts.removed));
                if !self.stat {
                    self.lines(change, &lines);
                }
                return Ok(counts);
            }
        }
        Ok(none)
    }

    /// `  renamed    old.py → new.py (92 %)  +1 -1`.
    fn head(&self, change: &Change, what: &str) {
        let kind = words::kind(self.inside.found, change);
        let word = self.ui.paint.paint(shared::role(change.kind), format!("{kind:<10}"));
        let path = shared::shown(change);
        let path = match self.inside.found.rename_of(change) {
            Some(rename) if rename.similarity < 100 => {
                format!("{} → {path} ({} %)", rename.from.display_escaped(), rename.similarity)
            }
            Some(rename) => format!("{} → {path}", rename.from.display_escaped()),
            None => path,
        };
        self.ui.line(format!("  {word} {path}  {what}").trim_end());
    }

    fn lines(&self, change: &Change, lines: &[String]) {
        let whole = matches!(change.component, Component::Code | Component::Env);
        let most = if whole || self.ui.verbose { lines.len() } else { LINES };
        lines.iter().take(most).for_each(|line| self.ui.line(line));
        self.more(lines.len(), most, "line");
    }

    fn model(&self, model: &ModelDiff) {
        let stats = self.inside.options.stats;
        let most = if self.ui.verbose { usize::MAX } else { TENSORS };
        let mut table = Table::new(words::tensor_headings(stats));
        model.tensors.iter().take(most).for_each(|t| table.row(words::tensor(t, stats)));
        if !table.is_empty() {
            let width = self.ui.width().map(|width| width.saturating_sub(INDENT.len()));
            for (i, line) in table.lines(width).iter().enumerate() {
                let line = format!("{INDENT}{line}");
                if i == 0 {
                    self.ui.line(self.ui.paint.paint(Role::Heading, line));
                } else {
                    self.ui.line(line);
                }
            }
        }
        self.more(model.tensors.len(), most, "tensor");
        let notes: Vec<String> = words::notes(model).collect();
        let most = if self.ui.verbose { usize::MAX } else { NOTES };
        notes.iter().take(most).for_each(|note| self.ui.line(format!("{INDENT}{note}")));
        self.more(notes.len(), most, "note");
    }

    /// `… and 312 more tensors (-v shows all)`.
    fn more(&self, all: usize, shown: usize, noun: &str) {
        if all > shown {
            let rest = format::count((all - shown) as u64, &format!("more {noun}"));
            self.ui.line(format!("{INDENT}… and {rest} (-v shows all)"));
        }
    }
}

fn block(ui: &Ui<'_>, headings: &[&str], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let mut table = Table::new(headings);
    rows.into_iter().for_each(|row| table.row(row));
    for (i, line) in table.lines(ui.width()).iter().enumerate() {
        if i == 0 { ui.line(ui.paint.paint(Role::Heading, line)) } else { ui.line(line) }
    }
}
