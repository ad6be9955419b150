//! Two and three texts: what is shown of their difference, and what becomes of their merge.

use std::collections::HashSet;

use mv_graph::is_unprintable;
use mv_repo::merge::Favor;

use mv_repo::fuzzing::{has_markers, is_text, merge_texts};

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
