//! Line differences of two texts, safe for a terminal.

use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};

use crate::format;
use crate::ui::{Paint, Role};

/// How many lines were added and removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Lines only in the second text.
    pub(crate) added: u32,
    /// Lines only in the first text.
    pub(crate) removed: u32,
}

/// Unchanged lines around a change, when nothing else is asked for.
pub(crate) const CONTEXT: u32 = 3;

/// The unified difference as escaped, coloured lines with so many unchanged ones around them, and its
/// counts.
pub(crate) fn unified(from: &str, to: &str, context: u32, paint: Paint) -> (Vec<String>, Counts) {
    let input = InternedInput::new(from, to);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let counts = Counts { added: diff.count_additions(), removed: diff.count_removals() };
    let printer = BasicLineDiffPrinter(&input.interner);
    let mut config = UnifiedDiffConfig::default();
    config.context_len(context);
    let text = diff.unified_diff(&printer, config, &input).to_string();
    let lines = text.split_terminator('\n').map(|line| {
        let safe = format::line(line);
        match line.as_bytes().first() {
            Some(b'+') => paint.paint(Role::Added, safe),
            Some(b'-') => paint.paint(Role::Removed, safe),
            Some(b'@') => paint.paint(Role::Hint, safe),
            _ => safe,
        }
    });
    let mut lines: Vec<String> = lines.collect();
    if from.ends_with('\n') != to.ends_with('\n') && !from.is_empty() && !to.is_empty() {
        let side = if from.ends_with('\n') { "second" } else { "first" };
        lines.push(format!("\\ only the {side} has no newline at its end"));
    }
    (lines, counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Global;
    use crate::host::tests::host;
    use crate::ui::Ui;

    fn plain(from: &str, to: &str) -> (Vec<String>, Counts) {
        let host = host();
        unified(from, to, CONTEXT, Ui::new(&Global::default(), &host).paint)
    }

    #[test]
    fn changed_lines_are_shown_with_their_surroundings() {
        let (lines, counts) = plain("a\nb\nc\n", "a\nB\nc\n");
        assert_eq!(lines, ["@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"]);
        assert_eq!(counts, Counts { added: 1, removed: 1 });
    }

    #[test]
    fn a_new_file_is_all_additions() {
        let (lines, counts) = plain("", "x\ty\n");
        assert_eq!(lines, ["@@ -1,0 +1,1 @@", "+x\ty"]);
        assert_eq!(counts, Counts { added: 1, removed: 0 });
    }

    #[test]
    fn control_bytes_of_the_files_are_not_passed_on() {
        let (lines, _) = plain("a\n", "\u{1b}]0;evil\u{7}\n");
        assert!(lines.iter().all(|l| !l.contains('\u{1b}') && !l.contains('\u{7}')), "{lines:?}");
    }

    #[test]
    fn a_missing_newline_at_the_end_is_told() {
        let (lines, _) = plain("a\n", "a");
        assert_eq!(lines.last().unwrap(), "\\ only the second has no newline at its end");
    }
}
