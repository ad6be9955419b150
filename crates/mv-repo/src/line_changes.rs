//! Which lines of a text another text changed.
//!
//! Two ways lead there. The usual one makes changes that people like to read, but its time grows with
//! the square of the lines where few different ones are repeated over and over, as in a file of a
//! million labels, or where every other line was changed. There the shortest way between the texts is
//! searched instead, which takes time that goes with the lines and the square of the changes; of too
//! many changes nothing is said.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput, Token};

/// Lines of the one text, and lines of the other instead of them; in order, and never side by side.
pub(crate) type Changes = Vec<(Range<usize>, Range<usize>)>;

/// Lines that are there more often than this are no landmarks for the usual way.
const FREQUENT: u32 = 63;
/// Pairs of frequent lines that the usual way gets through in a second or two.
const MOST_PAIRS: u64 = 1 << 31;
/// Changed lines of the shortest way, at most.
const MOST_CHANGES: usize = 512;

/// The changes from one text to another; none when they are too many among too many equal lines.
pub(crate) fn line_changes(from: &[u8], to: &[u8]) -> Option<Changes> {
    let input = InternedInput::new(from, to);
    if is_laborious(&input.before, &input.after) {
        return few_changes(&input.before, &input.after);
    }
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let wide = |r: Range<u32>| r.start as usize..r.end as usize;
    Some(diff.hunks().map(|h| (wide(h.before), wide(h.after))).collect())
}

/// Whether the usual way from one text to another would take more than some seconds.
pub(crate) fn are_laborious(from: &[u8], to: &[u8]) -> bool {
    let lines = |text| memchr::memchr_iter(b'\n', text).count() as u64 + 1;
    if lines(from) * lines(to) <= MOST_PAIRS {
        return false;
    }
    let input = InternedInput::new(from, to);
    is_laborious(&input.before, &input.after)
}

fn is_laborious(from: &[Token], to: &[Token]) -> bool {
    if from.len() as u64 * to.len() as u64 <= MOST_PAIRS {
        return false;
    }
    let (from, to, _) = without_common_ends(from, to);
    let counts = [counts(from), counts(to)];
    let of = |counts: &[u32], token: &Token| counts.get(token.0 as usize).copied().unwrap_or(0);
    let product = |matches: &dyn Fn(&&Token) -> bool| {
        from.iter().filter(matches).count() as u64 * to.iter().filter(matches).count() as u64
    };
    let shared = |token: &Token| of(&counts[0], token) > 0 && of(&counts[1], token) > 0;
    // The rest of the text is looked at anew after each piece that both have.
    let pieces = to.windows(2).filter(|pair| shared(&pair[0]) != shared(&pair[1])).count() as u64;
    product(&|token| of(&counts[0], token) > FREQUENT) > MOST_PAIRS
        || product(&|token| shared(token)) > 8 * MOST_PAIRS
        || pieces * from.len() as u64 > 4 * MOST_PAIRS
}

/// How often each token is there.
fn counts(tokens: &[Token]) -> Vec<u32> {
    let mut counts = Vec::new();
    for token in tokens {
        let at = token.0 as usize;
        counts.resize(counts.len().max(at + 1), 0);
        counts[at] += 1;
    }
    counts
}

/// What is left without equal lines at both ends, and how many there are at the beginning.
fn without_common_ends<'a>(
    from: &'a [Token],
    to: &'a [Token],
) -> (&'a [Token], &'a [Token], usize) {
    let first = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let (from, to) = (&from[first..], &to[first..]);
    let last = from.iter().rev().zip(to.iter().rev()).take_while(|(a, b)| a == b).count();
    (&from[..from.len() - last], &to[..to.len() - last], first)
}

/// The shortest way, after Myers, "An O(ND) Difference Algorithm": for each number of changes, how far
/// one gets on each diagonal. Lines that only one text has are changed in any case and left out before.
/// None when more than [`MOST_CHANGES`] others are.
fn few_changes(from: &[Token], to: &[Token]) -> Option<Changes> {
    let (from, to, first) = without_common_ends(from, to);
    let there = [counts(from), counts(to)];
    let shared = |token: &Token| {
        there.iter().all(|counts| counts.get(token.0 as usize).is_some_and(|n| *n > 0))
    };
    let mut gone: Vec<bool> = from.iter().map(|token| !shared(token)).collect();
    let mut new: Vec<bool> = to.iter().map(|token| !shared(token)).collect();
    // The lines of both that are compared, and their places.
    let kept = |tokens: &[Token]| -> (Vec<usize>, Vec<Token>) {
        tokens.iter().enumerate().filter(|(_, token)| shared(token)).map(|(n, t)| (n, *t)).unzip()
    };
    let ((gone_at, from), (new_at, to)) = (kept(from), kept(to));
    let mut rounds: Vec<Vec<Option<usize>>> = Vec::new();
    'search: loop {
        let changes = rounds.len();
        if changes > MOST_CHANGES {
            return None;
        }
        let mut round = Vec::with_capacity(changes + 1);
        for diagonal in 0..=changes {
            let mut reached = begin(&rounds, changes, diagonal, from.len(), to.len()).map(|b| b.0);
            if let Some(x) = &mut reached {
                let y = *x + changes - 2 * diagonal;
                *x += from[*x..].iter().zip(&to[y..]).take_while(|(a, b)| a == b).count();
            }
            round.push(reached);
            if reached == Some(from.len()) && from.len() + changes - 2 * diagonal == to.len() {
                rounds.push(round);
                break 'search;
            }
        }
        rounds.push(round);
    }
    // Back along the way: which lines went and which came.
    let mut diagonal = rounds.last().map_or(0, |round| round.len() - 1);
    for changes in (1..rounds.len()).rev() {
        let (x, went) = begin(&rounds, changes, diagonal, from.len(), to.len())?;
        if went {
            gone[gone_at[x - 1]] = true;
            diagonal -= 1;
        } else {
            new[new_at[x + changes - 2 * diagonal - 1]] = true;
        }
    }
    Some(runs(&gone, &new, first))
}

/// Where a diagonal is entered with so many changes, and whether by leaving out a line; the diagonals of
/// a round are numbered from the one with most new lines on. None when no way leads there.
fn begin(
    rounds: &[Vec<Option<usize>>],
    changes: usize,
    diagonal: usize,
    from: usize,
    to: usize,
) -> Option<(usize, bool)> {
    let Some(before) = changes.checked_sub(1).and_then(|n| rounds.get(n)) else {
        return Some((0, false));
    };
    let inside = |x: &usize| *x <= from && *x + changes - 2 * diagonal <= to;
    let came = before.get(diagonal).copied().flatten().filter(inside);
    let left_out = diagonal.checked_sub(1).and_then(|n| before.get(n).copied().flatten());
    let went = left_out.map(|x| x + 1).filter(inside);
    match (came, went) {
        (came, Some(went)) if came.is_none_or(|came| went > came) => Some((went, true)),
        (came, _) => came.map(|x| (x, false)),
    }
}

/// Runs of changed lines, counted from a line on.
fn runs(gone: &[bool], new: &[bool], first: usize) -> Changes {
    let mut changes = Changes::new();
    let (mut x, mut y) = (0, 0);
    while x < gone.len() || y < new.len() {
        let (from, to) = (x, y);
        x += gone[x..].iter().take_while(|line| **line).count();
        y += new[y..].iter().take_while(|line| **line).count();
        if (from, to) == (x, y) {
            (x, y) = (x + 1, y + 1);
        } else {
            changes.push((first + from..first + x, first + to..first + y));
        }
    }
    changes
}

/// [`line_changes`] by the shortest way, however few lines there are.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn shortest_changes(from: &[u8], to: &[u8]) -> Option<Changes> {
    let input = InternedInput::new(from, to);
    few_changes(&input.before, &input.after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The second text, put together from the first and the changes.
    fn applied(from: &str, to: &str, changes: &Changes) -> String {
        let (from, to): (Vec<_>, Vec<_>) =
            (from.split_inclusive('\n').collect(), to.split_inclusive('\n').collect());
        let mut text = String::new();
        let mut at = 0;
        for (old, new) in changes {
            text.extend(from[at..old.start].iter().copied());
            text.extend(to[new.clone()].iter().copied());
            at = old.end;
        }
        text.extend(from[at..].iter().copied());
        text
    }

    fn size(changes: &Changes) -> usize {
        changes.iter().map(|(old, new)| old.len() + new.len()).sum()
    }

    /// Lines of two kinds, so many that the usual way would take seconds; of a million it takes minutes.
    fn labels() -> Vec<&'static str> {
        let mut seed = 1u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if seed >> 16 & 1 == 0 { "0\n" } else { "1\n" }
        };
        (0..70_000).map(|_| next()).collect()
    }

    #[test]
    fn a_few_changes_among_very_many_labels_are_found_at_once() {
        let old = labels();
        let mut new = old.clone();
        new.insert(69_000, "2\n");
        new.remove(50_000);
        new[7] = "3\n";
        let (old, new) = (old.concat(), new.concat());
        let changes = line_changes(old.as_bytes(), new.as_bytes()).unwrap();
        assert!(size(&changes) == 4 && applied(&old, &new, &changes) == new);
    }

    #[test]
    fn many_changes_among_very_many_labels_are_too_many() {
        let old = labels();
        let new: Vec<&str> = old.iter().rev().copied().collect();
        let (old, new) = (old.concat(), new.concat());
        assert!(line_changes(old.as_bytes(), new.as_bytes()).is_none());
        assert!(are_laborious(old.as_bytes(), new.as_bytes()));
        assert!(!are_laborious(old.as_bytes(), old.as_bytes()));
    }

    #[test]
    fn many_changes_of_lines_that_differ_are_no_labour() {
        let old: String = (0..50_000).map(|n| format!("{n}\n")).collect();
        let new: String = (0..50_000).map(|n| format!("{}\n", n * (n % 2))).collect();
        let usual = line_changes(old.as_bytes(), new.as_bytes()).unwrap();
        let shortest = shortest_changes(old.as_bytes(), new.as_bytes()).unwrap();
        for changes in [usual, shortest] {
            assert!(applied(&old, &new, &changes) == new);
        }
    }

    #[test]
    fn every_other_line_of_very_many_is_no_labour() {
        let text = |odd: &str| -> String {
            (0..150_000).map(|n| format!("{}{n}\n", if n % 2 == 1 { odd } else { "" })).collect()
        };
        let (old, new) = (text("old "), text("new "));
        assert!(are_laborious(old.as_bytes(), new.as_bytes()), "in the usual way it is");
        let changes = line_changes(old.as_bytes(), new.as_bytes()).unwrap();
        assert!(changes.len() == 75_000 && applied(&old, &new, &changes) == new);
    }

    proptest! {
        #[test]
        fn the_shortest_way_leads_to_the_other_text(
            from in "(a\n|b\n|c\n|\n){0,24}", to in "(a\n|b\n|c\n|\n){0,24}c?",
        ) {
            let changes = shortest_changes(from.as_bytes(), to.as_bytes()).unwrap();
            prop_assert_eq!(applied(&from, &to, &changes), to.clone());
            let usual = line_changes(from.as_bytes(), to.as_bytes()).unwrap();
            prop_assert!(size(&changes) <= size(&usual));
            prop_assert!(changes.windows(2).all(|w| w[0].0.end < w[1].0.start));
        }
    }
}
