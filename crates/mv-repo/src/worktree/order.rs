//! The order of paths: component by component, so that a directory's content stays together.

use std::cmp::Ordering;

/// Compares two paths as if `/` were the lowest byte: the order of `RepoPath`, without one.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let low = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    match a.iter().zip(b).find(|(x, y)| x != y) {
        Some((&x, &y)) => low(x).cmp(&low(y)),
        None => a.len().cmp(&b.len()),
    }
}

/// A path that compares in path order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InOrder<'a>(pub(crate) &'a [u8]);

impl Ord for InOrder<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.0, other.0)
    }
}

impl PartialOrd for InOrder<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether `path` lies below `dir`; everything lies below the root, which is empty.
pub(crate) fn is_below(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() && !path.is_empty()
        || path.len() > dir.len() && path.starts_with(dir) && path[dir.len()] == b'/'
}

/// Splits a path into its directory (empty for the root) and its last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// Puts a directory and a name together.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    if !dir.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stays_together_before_names_that_continue_it() {
        let mut paths: Vec<&[u8]> = vec![b"a.txt", b"a/b", b"a", b"a-b/c", b"a/b/c", b"b", b""];
        paths.sort_by(|a, b| compare(a, b));
        let sorted: [&[u8]; 7] = [b"", b"a", b"a/b", b"a/b/c", b"a-b/c", b"a.txt", b"b"];
        assert_eq!(paths, sorted);
    }

    #[test]
    fn below_means_inside_and_not_a_longer_name() {
        assert!(is_below(b"a/b", b"a") && is_below(b"a", b""));
        assert!(!is_below(b"ab", b"a") && !is_below(b"a", b"a") && !is_below(b"", b""));
    }

    #[test]
    fn split_and_join_are_inverse() {
        for path in [&b"a"[..], b"a/b", b"a/b/c"] {
            let (dir, name) = split(path);
            assert_eq!(join(dir, name), path);
        }
    }
}
