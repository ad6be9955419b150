//! Two and three texts: what is shown of their difference, and what becomes of their merge.

use std::collections::HashSet;
use std::ops::Range;

use mv_graph::is_unprintable;
use mv_repo::merge::Favor;

use mv_repo::fuzzing::{has_markers, is_text, line_changes, merge_texts};

use crate::cursor::split;

/// What separates the texts; it is never in UTF-8.
const SEPARATOR: u8 = 0xff;

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|b| *b == b'\n')
}

/// A base and two texts made of it.
pub(crate) fn merge(bytes: &[u8]) {
    let [base, ours, theirs] = split(bytes, SEPARATOR);
    if ![base, ours, theirs].into_iter().all(is_text) {
        return;
    }
    for side in [ours, theirs] {
        for changes in line_changes(base, side).into_iter().flatten() {
            applied(base, side, &changes);
        }
    }
    let possible = merge_texts(base, ours, theirs, Favor::Neither).is_some();
    let few = [ours, theirs].iter().all(|side| lines(base).count() * lines(side).count() < 1 << 31);
    assert!(possible || !few, "texts of few lines are always merged");
    if !possible {
        return;
    }
    let merge_texts = |base, ours, theirs, favor| merge_texts(base, ours, theirs, favor).unwrap();
    let clean = |base, ours, theirs| {
        let (text, conflicts) = merge_texts(base, ours, theirs, Favor::Neither);
        assert!(conflicts == 0, "a conflict where only one side changed");
        text
    };
    assert!(clean(base, ours, base) == ours);
    assert!(clean(base, base, theirs) == theirs);
    assert!(clean(base, ours, ours) == ours);
    let (text, conflicts) = merge_texts(base, ours, theirs, Favor::Neither);
    let (mirror, mirrored) = merge_texts(base, theirs, ours, Favor::Neither);
    assert!(conflicts == mirrored && (conflicts > 0 || text == mirror));
    assert!(conflicts == 0 || has_markers(&text));
    let known: HashSet<&[u8]> = [base, ours, theirs].into_iter().flat_map(lines).collect();
    // Without conflicts every line is one of theirs, and so it is if a side is favoured.
    for (text, conflicts) in [
        (text, conflicts),
        merge_texts(base, ours, theirs, Favor::Ours),
        merge_texts(base, ours, theirs, Favor::Theirs),
    ]
    .into_iter()
    .filter(|(_, conflicts)| *conflicts == 0)
    {
        assert!(conflicts == 0 && lines(&text).all(|line| is_whole(line, &known)), "a new line");
        assert!(text.len() <= base.len() + ours.len() + theirs.len());
    }
    for favor in [Favor::Ours, Favor::Theirs] {
        assert!(merge_texts(base, ours, theirs, favor).1 == 0);
    }
}

/// Asserts that changes turn one text into another, and lie apart.
fn applied(from: &[u8], to: &[u8], changes: &[(Range<usize>, Range<usize>)]) {
    let (old, new): (Vec<_>, Vec<_>) = (lines(from).collect(), lines(to).collect());
    let (mut at, mut text) = (0, Vec::new());
    for (gone, come) in changes {
        assert!(gone.start >= at && (gone.start > at || at == 0));
        text.extend_from_slice(&old[at..gone.start]);
        text.extend_from_slice(&new[come.clone()]);
        at = gone.end;
    }
    text.extend_from_slice(&old[at..]);
    assert!(text == new, "changes lead to another text");
}

/// Whether a line is one of these, or two of them where one had no end.
fn is_whole(line: &[u8], known: &HashSet<&[u8]>) -> bool {
    known.contains(line)
        || known
            .iter()
            .filter(|k| !k.ends_with(b"\n"))
            .any(|k| line.strip_prefix(*k).is_some_and(|rest| known.contains(rest)))
}

/// Two texts, with a byte before them that says how much is shown around changes.
pub(crate) fn diff(bytes: &[u8]) {
    let [from, to] = split(bytes, SEPARATOR);
    let (Ok(from), Ok(to)) = (std::str::from_utf8(from), std::str::from_utf8(to)) else { return };
    let everything = 1 << 20;
    for context in [0, 3, everything] {
        let (shown, added, removed) = mv_cli::fuzzing::text_diff(from, to, context);
        assert!(shown.iter().all(|line| !line.chars().any(|c| c != '\t' && is_unprintable(c))));
        let count = |sign| shown.iter().filter(|line| line.starts_with(sign)).count() as u32;
        assert!(count('+') == added && count('-') == removed, "{shown:?}");
        assert!((added, removed) == (0, 0) || from != to);
        assert!(shown.is_empty() == (from == to), "{from:?} {to:?} {shown:?}");
        let (_, gone, new) = mv_cli::fuzzing::text_diff(to, from, context);
        assert!(context != everything || gone + new <= lines_of(from) + lines_of(to));
    }
}

fn lines_of(text: &str) -> u32 {
    lines(text.as_bytes()).count() as u32
}

/// Texts that share lines, with all kinds of line ends.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        &b"a\nb\nc\n\xffA\nb\nc\n\xffa\nb\nC\n"[..],
        b"a\r\nb\r\nc\xffa\r\nb\r\nx\xffa\r\nb\r\n",
        b"\xff1\n2\n3\n\xff1\n2\n4\n",
        b"x\nx\ny\n\xff\xffx\ny\nx\n",
        b"one\ntwo\nthree\nfour\nfive\n\xffone\nTWO\nthree\nfive\nsix\n\xffone\ntwo\nfour\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}
