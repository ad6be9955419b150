//! `mv diff --md`: GitHub-flavoured Markdown for a pull request.
//!
//! Whatever comes out of files is escaped twice: first as for a terminal, then so that it is neither
//! Markdown nor HTML. A fence around lines is longer than any run of backticks in them.

use mv_graph::Component;
use mv_graph::diff::Change;
use mv_repo::diff::{ModelDiff, View};

use crate::commands::diff::Inside;
use crate::commands::{diff_words as words, shared};
use crate::failure::Result;
use crate::format;
use crate::text_diff;
use crate::ui::{Paint, Ui};

/// Tensors that are listed of one file.
const TENSORS: usize = 20;
/// Lines that are shown of one text: a comment has room for some 65,000 characters.
const LINES: usize = 200;

/// Prints it; with `stat`, one line for each file.
pub(crate) fn print(ui: &Ui<'_>, inside: &Inside<'_>, stat: bool, context: u32) -> Result<()> {
    let found = inside.found;
    ui.line(format!("### {}", escape(&words::heading(found))));
    if found.is_empty() {
        ui.line("\nNo differences.");
        return Ok(());
    }
    let page = Page { ui, inside, stat, context };
    for component in Component::ALL {
        let changes: Vec<&Change> =
            found.changes.iter().filter(|c| c.component == component).collect();
        if changes.is_empty() {
            continue;
        }
        let files = format::count(changes.len() as u64, "file");
        ui.line(format!("\n#### {component}: {files}\n"));
        for change in changes {
            if ui.ended() {
                return Ok(());
            }
            page.file(change)?;
        }
    }
    for (headings, rows) in words::values(found) {
        if let Some((title, _)) = headings.split_first().filter(|_| !rows.is_empty()) {
            ui.line(format!("\n#### {title}\n"));
            page.table(headings, rows);
        }
    }
    if let Some(suggested) = words::suggested(found) {
        ui.line(format!("\n{}", escape(&suggested)));
    }
    Ok(())
}

struct Page<'a> {
    ui: &'a Ui<'a>,
    inside: &'a Inside<'a>,
    stat: bool,
    context: u32,
}

impl Page<'_> {
    fn file(&self, change: &Change) -> Result<()> {
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
                let (lines, counts) = text_diff::unified(&from, &to, self.context, Paint::plain());
                self.head(change, &format!("+{} -{}", counts.added, counts.removed));
                if !self.stat && !lines.is_empty() {
                    self.lines(&lines);
                }
            }
        }
        Ok(())
    }

    /// ``- modified `train.py` +1 -1``.
    fn head(&self, change: &Change, what: &str) {
        let kind = words::kind(self.inside.found, change);
        let path = match self.inside.found.rename_of(change) {
            Some(rename) => format!("{} → ", code(&rename.from.display_escaped().to_string())),
            None => String::new(),
        };
        let path = path + &code(&shared::shown(change));
        self.ui.line(format!("- {kind} {path} {}", escape(what)).trim_end());
    }

    fn lines(&self, lines: &[String]) {
        let most = if self.ui.verbose { lines.len() } else { LINES };
        let shown = &lines[..lines.len().min(most)];
        let fence = "`".repeat(shown.iter().map(|l| longest_run(l)).max().unwrap_or(0).max(2) + 1);
        self.ui.line(format!("\n{fence}diff"));
        shown.iter().for_each(|line| self.ui.line(line));
        self.ui.line(format!("{fence}\n"));
        self.more(lines.len(), most, "line");
    }

    fn model(&self, model: &ModelDiff) {
        let stats = self.inside.options.stats;
        let most = if self.ui.verbose { usize::MAX } else { TENSORS };
        let rows: Vec<_> =
            model.tensors.iter().take(most).map(|t| words::tensor(t, stats)).collect();
        if !rows.is_empty() {
            self.ui.line("");
            self.table(words::tensor_headings(stats), rows);
            self.ui.line("");
        }
        self.more(model.tensors.len(), most, "tensor");
        words::notes(model).for_each(|note| self.ui.line(format!("  - {}", escape(&note))));
    }

    fn more(&self, all: usize, shown: usize, noun: &str) {
        if all > shown {
            let rest = format::count((all - shown) as u64, &format!("more {noun}"));
            self.ui.line(format!("… and {rest}\n"));
        }
    }

    /// A table; a heading that begins with `>` aligns its column to the right.
    fn table(&self, headings: &[&str], rows: Vec<Vec<String>>) {
        let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let titles: Vec<_> =
            headings.iter().map(|h| h.trim_start_matches('>').to_owned()).collect();
        let rule: Vec<_> = headings
            .iter()
            .map(|h| if h.starts_with('>') { "---:" } else { "---" }.to_owned())
            .collect();
        self.ui.line(row(&titles));
        self.ui.line(row(&rule));
        for cells in rows {
            self.ui.line(row(&cells.iter().map(|c| escape(c)).collect::<Vec<_>>()));
        }
    }
}

/// Text that means nothing to Markdown or HTML, in a table too.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A mention would send mail to somebody.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Text as a code span.
fn code(text: &str) -> String {
    let ticks = "`".repeat(longest_run(text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_out_of_files_is_neither_markdown_nor_html() {
        assert_eq!(
            escape("a|b`c<img src=x>&*_[x](y)"),
            "a\\|b\\`c&lt;img src=x&gt;&amp;\\*\\_\\[x\\](y)"
        );
        assert_eq!(escape("@ada"), "&#64;ada");
    }

    #[test]
    fn a_code_span_holds_any_backticks() {
        assert_eq!(code("a.py"), "`a.py`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
    }
}
