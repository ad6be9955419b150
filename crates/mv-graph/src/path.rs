//! [`RepoPath`]: where a file is, below the project's root.
//!
//! A path is checked once, here; whoever holds a `RepoPath` may join it to a root without another
//! look. It is `/`-separated raw bytes, kept exactly as the file system gave them: no case or
//! Unicode normalisation, UTF-8 not required. Refused are paths that leave the root or name it,
//! and every spelling of `.mv` and `.git` that some file system takes for these two.
//!
//! A backslash and a colon are ordinary bytes on Unix and stay legal there. On Windows, where they
//! separate directories, drives and streams, they are refused.

use std::cmp::Ordering;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::Error;
use crate::escape::escape_bytes;

/// Bytes of the longest path.
pub const MAX_PATH: usize = 4096;
/// Bytes of the longest component.
pub const MAX_COMPONENT: usize = 255;
/// Components of the deepest path.
pub const MAX_DEPTH: usize = 512;

/// A relative path that is safe to join to a root.
///
/// Paths compare component by component, so a directory's content follows it directly and trees
/// are walked in this order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RepoPath(Box<[u8]>);

/// Why bytes are not a [`RepoPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No bytes, or a component without any: `a//b`, `a/`.
    #[error("it has an empty component")]
    Empty,
    /// It begins with `/`.
    #[error("it is absolute")]
    Absolute,
    /// A component is `.` or `..`.
    #[error("it has a `.` or `..` component")]
    Dots,
    /// A NUL byte.
    #[error("it has a NUL byte")]
    Nul,
    /// `/` in what must be a single component.
    #[error("it has a `/`")]
    Separator,
    /// A component of more than [`MAX_COMPONENT`] bytes.
    #[error("it has a component of more than {MAX_COMPONENT} bytes")]
    LongComponent,
    /// More than [`MAX_PATH`] bytes.
    #[error("it is longer than {MAX_PATH} bytes")]
    Long,
    /// More than [`MAX_DEPTH`] components.
    #[error("it is deeper than {MAX_DEPTH} directories")]
    Deep,
    /// A component that some file system takes for `.mv` or `.git`.
    #[error("it has a component that stands for `.mv` or `.git`")]
    Protected,
    /// A component that Windows does not take for a name.
    #[error("it has a character that Windows gives a meaning")]
    Windows,
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Error {
        Error::invalid("path", error)
    }
}

impl RepoPath {
    /// Checks and keeps the bytes of a path.
    ///
    /// # Errors
    /// [`PathError`] says which rule is broken.
    pub fn from_bytes(bytes: &[u8]) -> Result<RepoPath, PathError> {
        if bytes.first() == Some(&b'/') {
            return Err(PathError::Absolute);
        }
        if bytes.len() > MAX_PATH {
            return Err(PathError::Long);
        }
        for (depth, component) in bytes.split(|b| *b == b'/').enumerate() {
            if depth == MAX_DEPTH {
                return Err(PathError::Deep);
            }
            check_component(component)?;
        }
        Ok(RepoPath(bytes.into()))
    }

    /// Joins components that were each checked by [`check_component`]; only the whole is checked.
    pub(crate) fn from_checked(bytes: &[u8], depth: usize) -> Result<RepoPath, PathError> {
        if bytes.len() > MAX_PATH {
            return Err(PathError::Long);
        }
        if depth > MAX_DEPTH {
            return Err(PathError::Deep);
        }
        Ok(RepoPath(bytes.into()))
    }

    /// The path's bytes, `/`-separated.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as text, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The names along the path, outermost first; there is at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/')
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.components().next_back().unwrap_or_default()
    }

    /// The directory that holds it; none at the root.
    #[must_use]
    pub fn parent(&self) -> Option<RepoPath> {
        let end = self.0.iter().rposition(|b| *b == b'/')?;
        Some(RepoPath(self.0[..end].into()))
    }

    /// Every directory above it, outermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = RepoPath> {
        let ends = self.0.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(end, _)| end);
        ends.map(|end| RepoPath(self.0[..end].into()))
    }

    /// The path of an entry of this directory.
    ///
    /// # Errors
    /// [`PathError`] when the name is not one component or the whole is over a limit.
    pub fn join(&self, name: &[u8]) -> Result<RepoPath, PathError> {
        check_component(name)?;
        let whole = [&self.0, &b"/"[..], name].concat();
        RepoPath::from_checked(&whole, self.components().count() + 1)
    }

    /// Whether it is `directory` or lies below it.
    #[must_use]
    pub fn starts_with(&self, directory: &RepoPath) -> bool {
        self.0.strip_prefix(&*directory.0).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// Text that is safe for a terminal; see [`crate::escape()`].
    #[must_use]
    pub fn display_escaped(&self) -> String {
        escape_bytes(&self.0)
    }

    /// The path in the system's own form, relative.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            PathBuf::from(std::ffi::OsStr::from_bytes(&self.0))
        }
        #[cfg(not(unix))]
        {
            self.components().map(|c| String::from_utf8_lossy(c).into_owned()).collect()
        }
    }
}

impl FromStr for RepoPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<RepoPath, PathError> {
        RepoPath::from_bytes(text.as_bytes())
    }
}

impl TryFrom<&[u8]> for RepoPath {
    type Error = PathError;

    fn try_from(bytes: &[u8]) -> Result<RepoPath, PathError> {
        RepoPath::from_bytes(bytes)
    }
}

impl Ord for RepoPath {
    fn cmp(&self, other: &RepoPath) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for RepoPath {
    fn partial_cmp(&self, other: &RepoPath) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Component-wise order of two paths: bytewise with `/` below every other byte.
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    match a.iter().zip(b).position(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        Some(at) => match (a[at], b[at]) {
            (b'/', _) => Ordering::Less,
            (_, b'/') => Ordering::Greater,
            (x, y) => x.cmp(&y),
        },
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display_escaped())
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// Checks one component: the name of a file or directory.
///
/// # Errors
/// [`PathError`] says which rule is broken.
pub fn check_component(name: &[u8]) -> Result<(), PathError> {
    match name {
        b"" => return Err(PathError::Empty),
        b"." | b".." => return Err(PathError::Dots),
        _ => {}
    }
    if name.len() > MAX_COMPONENT {
        return Err(PathError::LongComponent);
    }
    for byte in name {
        match byte {
            0 => return Err(PathError::Nul),
            b'/' => return Err(PathError::Separator),
            b'\\' | b':' if cfg!(windows) => return Err(PathError::Windows),
            _ => {}
        }
    }
    if is_protected(name) { Err(PathError::Protected) } else { Ok(()) }
}

/// Whether some file system takes this name for `.mv` or `.git`: in any case, with trailing dots
/// or spaces (Windows), with a stream (`.git::$INDEX_ALLOCATION`, NTFS), as a short name (`GIT~1`,
/// FAT and NTFS), with code points that are ignored (HFS+).
#[must_use]
pub fn is_protected(name: &[u8]) -> bool {
    // Nearly every name leaves here.
    if !matches!(name.first(), Some(b'.' | b'm' | b'M' | b'g' | b'G' | 0xe2 | 0xef)) {
        return false;
    }
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        if let Some(after) = strip_ignorable(rest) {
            rest = after;
        } else if *first == b':' {
            break;
        } else {
            plain.push(first.to_ascii_lowercase());
            rest = tail;
        }
    }
    while let Some(b'.' | b' ') = plain.last() {
        plain.pop();
    }
    match &plain[..] {
        b".mv" | b".git" => true,
        [b'm', b'v', b'~', digit] | [b'g', b'i', b't', b'~', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

/// What follows a code point that HFS+ ignores in names, if the bytes begin with one.
fn strip_ignorable(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(3)?;
    let ignored = match head {
        // U+200C..U+200F, U+202A..U+202E
        [0xe2, 0x80, low] => matches!(low, 0x8c..=0x8f | 0xaa..=0xae),
        // U+206A..U+206F
        [0xe2, 0x81, low] => matches!(low, 0xaa..=0xaf),
        // U+FEFF
        [0xef, 0xbb, 0xbf] => true,
        _ => false,
    };
    ignored.then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> RepoPath {
        text.parse().unwrap()
    }

    #[test]
    fn paths_that_leave_or_name_the_root_are_refused() {
        for (text, why) in [
            ("", PathError::Empty),
            ("/", PathError::Absolute),
            ("/abs", PathError::Absolute),
            ("../x", PathError::Dots),
            ("a/../../x", PathError::Dots),
            ("..", PathError::Dots),
            (".", PathError::Dots),
            ("a/./b", PathError::Dots),
            ("a//b", PathError::Empty),
            ("a/", PathError::Empty),
            ("a\0b", PathError::Nul),
        ] {
            assert_eq!(RepoPath::from_bytes(text.as_bytes()), Err(why), "{text:?}");
        }
    }

    #[test]
    fn every_alias_of_the_two_protected_names_is_refused() {
        for name in [
            ".mv",
            ".MV",
            ".mV",
            ".git",
            ".GIT",
            ".Git",
            ".mv.",
            ".mv ",
            ".git. . .",
            ".git::$INDEX_ALLOCATION",
            ".mv:x",
            ".mv :x",
            "MV~1",
            "mv~1",
            "git~1",
            "GIT~2",
            "GIT~1.",
            "GIT~1:x",
            ".g\u{200c}it",
            "\u{feff}.mv",
            ".m\u{202e}v",
            ".mv\u{206f}",
            ".gi\u{200f}t.",
            "g\u{200d}it~1",
        ] {
            assert!(is_protected(name.as_bytes()), "{name:?}");
            let inner = format!("a/{name}/b");
            assert_eq!(
                RepoPath::from_bytes(inner.as_bytes()),
                Err(PathError::Protected),
                "{name:?}"
            );
        }
    }

    #[test]
    fn names_that_only_resemble_the_protected_ones_are_allowed() {
        for name in [
            ".mvignore",
            ".gitignore",
            ".github",
            "mv",
            "git",
            "mv.toml",
            "MV~",
            "git~x",
            "git~10",
            "gitt~1",
            "x.git",
            ".mv-x",
            "a.mv",
            "..mv",
            ".mv\u{200b}",
            "m\u{e9}v~1",
            "\u{feff}",
            "...",
            "..x",
        ] {
            assert!(RepoPath::from_bytes(name.as_bytes()).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn odd_names_are_kept_byte_for_byte() {
        for bytes in [&b"a b\nc"[..], b"-rf", b"\xff\xfe", b"x\\y", b"a:b", "🎉/é".as_bytes()] {
            assert_eq!(RepoPath::from_bytes(bytes).unwrap().as_bytes(), bytes);
        }
    }

    #[test]
    fn limits_hold_at_the_byte() {
        let name = |len: usize| "x".repeat(len);
        assert!(RepoPath::from_bytes(name(255).as_bytes()).is_ok());
        assert_eq!(RepoPath::from_bytes(name(256).as_bytes()), Err(PathError::LongComponent));
        let deep = |n: usize| vec!["d"; n].join("/");
        assert!(RepoPath::from_bytes(deep(512).as_bytes()).is_ok());
        assert_eq!(RepoPath::from_bytes(deep(513).as_bytes()), Err(PathError::Deep));
        let long = vec![name(255); 16].join("/");
        assert_eq!(long.len(), 4095);
        assert!(RepoPath::from_bytes(long.as_bytes()).is_ok());
        assert_eq!(RepoPath::from_bytes(format!("{long}/x").as_bytes()), Err(PathError::Long));
        assert_eq!(path(&long).join(b"x"), Err(PathError::Long));
        assert_eq!(path(&deep(512)).join(b"x"), Err(PathError::Deep));
    }

    #[test]
    fn a_directory_is_followed_by_its_content() {
        let mut paths = ["a.b", "a", "a/z", "a-b", "a/b", "ab", "a/b/c", "b"].map(path);
        paths.sort();
        let texts: Vec<_> = paths.iter().map(|p| p.as_str().unwrap()).collect();
        assert_eq!(texts, ["a", "a/b", "a/b/c", "a/z", "a-b", "a.b", "ab", "b"]);
    }

    #[test]
    fn parts_of_a_path_are_paths() {
        let deep = path("a/b/c.txt");
        assert_eq!(deep.file_name(), b"c.txt");
        assert_eq!(deep.parent(), Some(path("a/b")));
        assert_eq!(path("a").parent(), None);
        assert_eq!(deep.ancestors().collect::<Vec<_>>(), [path("a"), path("a/b")]);
        assert!(deep.starts_with(&path("a/b")) && deep.starts_with(&deep));
        assert!(!deep.starts_with(&path("a/bc")) && !path("a/bc").starts_with(&path("a/b")));
        assert_eq!(path("a").join(b"b").unwrap(), path("a/b"));
        assert_eq!(path("a").join(b"..").unwrap_err(), PathError::Dots);
        assert_eq!(path("a").join(b"b/c").unwrap_err(), PathError::Separator);
    }

    #[test]
    fn what_is_shown_is_escaped() {
        let hostile = RepoPath::from_bytes(b"a\x1b[2J\xff/\xe2\x80\xae").unwrap();
        assert_eq!(hostile.to_string(), r"a\x1b[2J\xff/\u{202e}");
    }

    proptest! {
        #[test]
        fn order_equals_the_order_of_component_lists(a in "[ab./-]{1,12}", b in "[ab./-]{1,12}") {
            if let (Ok(a), Ok(b)) = (a.parse::<RepoPath>(), b.parse::<RepoPath>()) {
                let (x, y): (Vec<_>, Vec<_>) = (a.components().collect(), b.components().collect());
                prop_assert_eq!(a.cmp(&b), x.cmp(&y));
            }
        }

        #[test]
        fn accepted_bytes_stay_below_the_root(bytes in prop::collection::vec(prop::sample::select(b"a./\0mvgit~1:\xff".to_vec()), 0..24)) {
            if let Ok(path) = RepoPath::from_bytes(&bytes) {
                let all_normal = path.to_path().components().all(|c| matches!(c, std::path::Component::Normal(_)));
                prop_assert!(all_normal);
                prop_assert!(path.components().all(|c| !is_protected(c)));
            }
        }
    }
}
