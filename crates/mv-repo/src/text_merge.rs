//! Three-way merge of texts, line by line.
//!
//! Both sides are compared with the base. Where only one side changed lines, its lines are taken;
//! where both made the same change, it is taken once; where they changed the same lines, or lines
//! next to each other, in different ways, both versions stand between markers:
//!
//! ```text
//! <<<<<<< main
//! lr: 0.1
//! =======
//! lr: 0.3
//! >>>>>>> feature
//! ```
//!
//! Lines are bytes up to and with their line feed, so that CRLF, and a last line without an end,
//! come through as they are.

use std::ops::Range;

use crate::line_changes::{Changes, line_changes};

/// Bytes of the longest text that is merged by line; what is longer is merged as a whole.
pub(crate) const MAX_TEXT: u64 = 16 << 20;
/// Lines of the longest such text: memory goes with them, not with bytes.
const MAX_LINES: usize = 1 << 20;

/// What becomes of lines that both sides changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Favor {
    /// They are a conflict.
    #[default]
    Neither,
    /// Those of the current version are taken.
    Ours,
    /// Those of the merged version are taken.
    Theirs,
}

/// What stands behind the markers: the names of the two sides, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

impl Labels {
    /// Labels from names as users typed them.
    pub(crate) fn new(ours: &str, theirs: &str) -> Labels {
        let clean = |name: &str| {
            let shown = name.chars().filter(|c| !mv_graph::is_unprintable(*c)).take(200);
            shown.collect::<String>().trim().to_owned()
        };
        Labels { ours: clean(ours), theirs: clean(theirs) }
    }

    fn opening(&self) -> String {
        format!("<<<<<<< {}", self.ours)
    }

    fn closing(&self) -> String {
        format!(">>>>>>> {}", self.theirs)
    }

    /// Whether a text still has a marker line of a merge under these labels. White space that an
    /// editor left at its end does not hide it.
    pub(crate) fn are_in(&self, text: &[u8]) -> bool {
        let (opening, closing) = (self.opening(), self.closing());
        text.split(|b| *b == b'\n').any(|line| {
            let line = line.trim_ascii_end();
            line == opening.as_bytes() || line == closing.as_bytes()
        })
    }
}

/// A merged text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) text: Vec<u8>,
    /// Places between markers.
    pub(crate) conflicts: usize,
}

/// Whether bytes are text that can be merged by line.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    bytes.len() as u64 <= MAX_TEXT
        && !bytes.contains(&0)
        && memchr::memchr_iter(b'\n', bytes).count() <= MAX_LINES
        && std::str::from_utf8(bytes).is_ok()
}

/// Merges the changes from `base` to `theirs` into `ours`; none when a side has too many changes among
/// too many equal lines.
pub(crate) fn merge(
    base: &[u8],
    ours: &[u8],
    theirs: &[u8],
    favor: Favor,
    labels: &Labels,
) -> Option<Merged> {
    let left = Side::against(base, ours)?;
    let right = Side::against(base, theirs)?;
    let base: Vec<&[u8]> = lines(base).collect();
    let mut out = Output { text: Vec::new(), conflicts: 0, end: line_end(ours, theirs) };
    let (mut left, mut right) = (left, right);
    let mut at = 0;
    while let Some(start) = [left.next_start(), right.next_start()].into_iter().flatten().min() {
        out.push(&base[at..start]);
        // All changes that overlap or touch, directly or through others, are decided together.
        let mut end = start;
        let (mut from_left, mut from_right) = (left.here(start), right.here(start));
        let (mut changed_left, mut changed_right) = (false, false);
        loop {
            let (l, r) = (left.take(end), right.take(end));
            changed_left |= l.is_some();
            changed_right |= r.is_some();
            let Some(further) = l.max(r) else { break };
            end = end.max(further);
        }
        from_left.end = left.here(end).start;
        from_right.end = right.here(end).start;
        let (ours, theirs) = (&left.lines[from_left], &right.lines[from_right]);
        match (changed_left, changed_right) {
            (_, false) => out.push(ours),
            (false, true) => out.push(theirs),
            (true, true) => out.decide(ours, theirs, favor, labels),
        }
        at = end;
    }
    out.push(&base[at..]);
    Some(Merged { text: out.text, conflicts: out.conflicts })
}

/// One side's lines and its changes of the base, walked in order.
struct Side<'a> {
    lines: Vec<&'a [u8]>,
    /// Lines of the base, and lines of this side instead of them.
    changes: Changes,
    next: usize,
}

impl<'a> Side<'a> {
    fn against(base: &'a [u8], side: &'a [u8]) -> Option<Side<'a>> {
        let changes = line_changes(base, side)?;
        Some(Side { lines: lines(side).collect(), changes, next: 0 })
    }

    fn next_start(&self) -> Option<usize> {
        self.changes.get(self.next).map(|(before, _)| before.start)
    }

    /// Takes the next change if it begins at or before `end`; returns where in the base it ends.
    fn take(&mut self, end: usize) -> Option<usize> {
        let (before, _) = self.changes.get(self.next).filter(|(b, _)| b.start <= end)?;
        self.next += 1;
        Some(before.end)
    }

    /// The empty range of this side's lines that a line of the base, after all changes taken so
    /// far, corresponds to.
    fn here(&self, base: usize) -> Range<usize> {
        let (before, after) = match self.next.checked_sub(1).and_then(|n| self.changes.get(n)) {
            Some((before, after)) => (before.end, after.end),
            None => (0, 0),
        };
        let at = after + base.saturating_sub(before);
        at..at
    }
}

struct Output {
    text: Vec<u8>,
    conflicts: usize,
    end: &'static [u8],
}

impl Output {
    fn push(&mut self, lines: &[&[u8]]) {
        lines.iter().for_each(|line| self.text.extend_from_slice(line));
    }

    /// Both sides changed this; what begins or ends alike in both is no conflict.
    fn decide(&mut self, ours: &[&[u8]], theirs: &[&[u8]], favor: Favor, labels: &Labels) {
        if ours == theirs || favor == Favor::Ours {
            return self.push(ours);
        }
        if favor == Favor::Theirs {
            return self.push(theirs);
        }
        let first = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        let (head, ours, theirs) = (&ours[..first], &ours[first..], &theirs[first..]);
        let last = ours.iter().rev().zip(theirs.iter().rev()).take_while(|(a, b)| a == b).count();
        let (ours, tail) = ours.split_at(ours.len() - last);
        let theirs = &theirs[..theirs.len() - last];
        self.push(head);
        self.conflicts += 1;
        self.marker(labels.opening().as_bytes());
        self.push(ours);
        self.marker(b"=======");
        self.push(theirs);
        self.marker(labels.closing().as_bytes());
        self.push(tail);
    }

    /// A marker stands on a line of its own, whatever stands before it.
    fn marker(&mut self, marker: &[u8]) {
        if self.text.last().is_some_and(|b| *b != b'\n') {
            self.text.extend_from_slice(self.end);
        }
        self.text.extend_from_slice(marker);
        self.text.extend_from_slice(self.end);
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|b| *b == b'\n')
}

/// How marker lines end: as the first line of the texts does.
fn line_end(ours: &[u8], theirs: &[u8]) -> &'static [u8] {
    let first = lines(ours).chain(lines(theirs)).find(|line| line.ends_with(b"\n"));
    if first.is_some_and(|line| line.ends_with(b"\r\n")) { b"\r\n" } else { b"\n" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> Labels {
        Labels::new("main", "feature")
    }

    fn merged(base: &str, ours: &str, theirs: &str) -> (String, usize) {
        let merged =
            merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes(), Favor::Neither, &labels())
                .unwrap();
        (String::from_utf8(merged.text).unwrap(), merged.conflicts)
    }

    fn clean(base: &str, ours: &str, theirs: &str) -> String {
        let (text, conflicts) = merged(base, ours, theirs);
        assert_eq!(conflicts, 0, "{text}");
        text
    }

    #[test]
    fn changes_of_different_lines_are_both_taken() {
        assert_eq!(clean("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n"), "A\nb\nC\n");
        assert_eq!(clean("a\nb\nc\n", "x\na\nb\nc\n", "a\nb\nc\ny\n"), "x\na\nb\nc\ny\n");
        assert_eq!(clean("a\nb\nc\nd\n", "b\nc\nd\n", "a\nb\nc\n"), "b\nc\n");
    }

    #[test]
    fn the_same_change_is_taken_once() {
        assert_eq!(clean("a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n"), "a\nB\nc\n");
        assert_eq!(clean("a\n", "a\nx\n", "a\nx\n"), "a\nx\n");
    }

    #[test]
    fn different_changes_of_one_line_stand_between_markers() {
        assert_eq!(
            merged("a\nb\nc\n", "a\nours\nc\n", "a\ntheirs\nc\n"),
            ("a\n<<<<<<< main\nours\n=======\ntheirs\n>>>>>>> feature\nc\n".into(), 1)
        );
    }

    #[test]
    fn neighbouring_lines_are_a_conflict_as_in_git() {
        assert_eq!(merged("a\nb\n", "A\nb\n", "a\nB\n").1, 1);
    }

    #[test]
    fn what_both_sides_added_alike_is_outside_the_markers() {
        let (text, conflicts) = merged("", "same\nours\nend\n", "same\ntheirs\nend\n");
        assert_eq!(conflicts, 1);
        assert_eq!(text, "same\n<<<<<<< main\nours\n=======\ntheirs\n>>>>>>> feature\nend\n");
    }

    #[test]
    fn crlf_and_a_missing_last_line_end_are_kept() {
        assert_eq!(clean("a\r\nb\r\nc", "A\r\nb\r\nc", "a\r\nb\r\nC"), "A\r\nb\r\nC");
        assert_eq!(
            merged("a\r\nb", "a\r\nours", "a\r\ntheirs").0,
            "a\r\n<<<<<<< main\r\nours\r\n=======\r\ntheirs\r\n>>>>>>> feature\r\n"
        );
    }

    #[test]
    fn a_side_can_be_favoured_where_both_changed() {
        let of = |favor| {
            let merged =
                merge(b"1\n2\n3\n", b"1\nO\n3\n", b"0\nT\n3\nT\n", favor, &labels()).unwrap();
            assert_eq!(merged.conflicts, 0);
            String::from_utf8(merged.text).unwrap()
        };
        assert_eq!(of(Favor::Ours), "1\nO\n3\nT\n");
        assert_eq!(of(Favor::Theirs), "0\nT\n3\nT\n");
    }

    #[test]
    fn markers_are_found_again_and_only_those_of_these_labels() {
        let (text, _) = merged("b\n", "o\n", "t\n");
        assert!(labels().are_in(text.as_bytes()));
        assert!(labels().are_in(text.replace('\n', "\r\n").as_bytes()));
        assert!(labels().are_in(text.replace('\n', " \t\n").as_bytes()));
        assert!(!labels().are_in(b"a\n=======\n<<<<<<< mainly\n"));
    }

    #[test]
    fn labels_have_no_control_characters_and_no_line_ends() {
        let labels = Labels::new("a\u{1b}[31mb", "x\ny\u{202e}");
        assert_eq!(labels, Labels { ours: "a[31mb".into(), theirs: "xy".into() });
    }

    #[test]
    fn binary_and_oversized_content_is_no_text() {
        assert!(is_text("é\n".as_bytes()));
        assert!(!is_text(b"a\0b") && !is_text(&[0xff, 0xfe]));
        assert!(!is_text(&vec![b'a'; usize::try_from(MAX_TEXT).unwrap() + 1]));
        assert!(is_text(&vec![b'\n'; MAX_LINES]) && !is_text(&vec![b'\n'; MAX_LINES + 1]));
    }

    /// Lines of a small alphabet, so that texts share many, with all kinds of line ends.
    fn text() -> impl Strategy<Value = String> {
        let line = prop::sample::select(vec!["a\n", "b\n", "c\n", "\n", "d\r\n", "a\r\n"]);
        (prop::collection::vec(line, 0..12), prop::sample::select(vec!["", "a", "z"]))
            .prop_map(|(lines, last)| lines.concat() + last)
    }

    /// A text of distinct lines and, for each side, lines that it replaces.
    fn disjoint() -> impl Strategy<Value = Vec<u8>> {
        // 0: nobody, 1: ours, 2: theirs; a line that nobody touches follows each.
        prop::collection::vec(0u8..3, 1..20)
    }

    proptest! {
        #[test]
        fn a_side_that_changed_nothing_gives_way(b in text(), o in text()) {
            prop_assert_eq!(clean(&b, &o, &b), o.clone());
            prop_assert_eq!(clean(&b, &b, &o), o.clone());
            prop_assert_eq!(clean(&b, &o, &o), o);
        }

        #[test]
        fn sides_are_treated_alike(b in text(), o in text(), t in text()) {
            let there = merged(&b, &o, &t);
            let back = merged(&b, &t, &o);
            prop_assert_eq!(there.1, back.1);
            if there.1 == 0 {
                prop_assert_eq!(there.0, back.0);
            }
        }

        #[test]
        fn a_line_that_only_one_side_has_is_never_lost(b in text(), o in text(), t in text()) {
            let (text, _) = merged(&b, &o, &t);
            let has = |text: &str, line: &str| text.lines().any(|l| l == line);
            for line in ["ours", "theirs"] {
                prop_assert!(!has(&text, line));
            }
            let (text, _) = merged(&b, &format!("{o}\nours\n"), &format!("theirs\n{t}"));
            prop_assert!(has(&text, "ours") && has(&text, "theirs"), "{}", text);
        }

        #[test]
        fn changes_of_disjoint_lines_always_merge_and_both_are_there(shape in disjoint()) {
            let build = |side: u8| -> String {
                shape.iter().enumerate().map(|(n, who)| {
                    let first = if *who == side && side != 0 { format!("{n} by {side}\n") } else { format!("{n}\n") };
                    format!("{first}fixed {n}\n")
                }).collect()
            };
            let want: String = shape.iter().enumerate().map(|(n, who)| {
                let first = if *who == 0 { format!("{n}\n") } else { format!("{n} by {who}\n") };
                format!("{first}fixed {n}\n")
            }).collect();
            prop_assert_eq!(clean(&build(0), &build(1), &build(2)), want);
        }

        #[test]
        fn favouring_a_side_leaves_no_conflict(b in text(), o in text(), t in text()) {
            for favor in [Favor::Ours, Favor::Theirs] {
                let merged = merge(b.as_bytes(), o.as_bytes(), t.as_bytes(), favor, &labels()).unwrap();
                prop_assert_eq!(merged.conflicts, 0);
                prop_assert!(!labels().are_in(&merged.text));
            }
        }
    }
}
