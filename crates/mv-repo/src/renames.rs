//! Renames: which added file is a deleted one under another name.
//!
//! First files of equal content, then files that share most of it: text by its lines, large files by
//! their chunks. Nothing is recorded about a rename; it is found anew each time, the same way each
//! time. Work and memory are bounded: beyond the limits below, only equal content counts.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::io::Read;

use mv_graph::diff::{Change, ChangeKind};
use mv_graph::{FileEntry, Mode, RepoPath};
use mv_store::{IoContext as _, Kind};

use crate::error::Result;
use crate::file_bytes::is_in_worktree;
use crate::repo::Repo;
use crate::worktree::read_stable;

/// The least similarity of a rename, in percent.
pub const LEAST: u8 = 50;

/// Deleted, and added, files that are compared by content.
const MOST_FILES: usize = 1000;
/// Bytes of the longest text that is compared line by line.
const MAX_TEXT: u64 = 1 << 20;
/// Bytes of all texts that are read.
const ALL_TEXT: u64 = 128 << 20;
/// Chunks of the longest file that is compared by them: 8 GB and more.
const MAX_CHUNKS: usize = 1 << 16;
/// Lines and chunks of all files together.
const ALL_PIECES: usize = 4 << 20;
/// Pieces that are looked at while pairs are compared.
const ALL_STEPS: u64 = 400 << 20;

/// A file that has another name now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The name that was deleted.
    pub from: RepoPath,
    /// The name that was added.
    pub to: RepoPath,
    /// How much of the larger one is in both, in percent; 100 for equal content only.
    pub similarity: u8,
}

/// The renames among some changes, in the order of the new names. A name is in one of them at most.
/// Empty files and files whose content is not in the repository are compared by id, or not at all.
///
/// # Errors
/// `Missing`, `Corrupt`, `Io` of what is read.
pub fn renames(repo: &Repo, changes: &[Change]) -> Result<Vec<Rename>> {
    find(repo, changes, Elsewhere::Unknown)
}

/// As [`renames`], for changes against the working tree: texts that the store does not have are read
/// from there.
///
/// # Errors
/// As [`renames`], and `Blocked`, `Changed`.
pub fn renames_in_worktree(repo: &Repo, changes: &[Change]) -> Result<Vec<Rename>> {
    find(repo, changes, Elsewhere::Worktree)
}

/// Where content is that the store does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Elsewhere {
    Unknown,
    Worktree,
}

fn find(repo: &Repo, changes: &[Change], elsewhere: Elsewhere) -> Result<Vec<Rename>> {
    let mut deleted = candidates(changes, ChangeKind::Deleted);
    let mut added = candidates(changes, ChangeKind::Added);
    let mut found = equal(&mut deleted, &mut added);
    deleted.retain(|c| c.is_file());
    added.retain(|c| c.is_file());
    if deleted.len() <= MOST_FILES && added.len() <= MOST_FILES {
        let mut reader = Reader { repo, elsewhere, text: 0, pieces: 0 };
        found.extend(similar(&mut reader, &deleted, &added)?);
    }
    found.sort_by(|a, b| a.to.cmp(&b.to));
    Ok(found)
}

#[derive(Clone, Copy)]
struct Candidate<'a> {
    path: &'a RepoPath,
    entry: &'a FileEntry,
}

impl Candidate<'_> {
    fn is_file(&self) -> bool {
        matches!(self.entry.mode, Mode::File | Mode::Exec)
    }

    fn name(&self) -> &[u8] {
        self.path.components().next_back().unwrap_or_default()
    }
}

fn candidates(changes: &[Change], kind: ChangeKind) -> Vec<Candidate<'_>> {
    let of_kind = changes.iter().filter(|c| c.kind == kind);
    let all = of_kind.filter_map(|c| {
        let entry = c.from.as_ref().or(c.to.as_ref())?;
        Some(Candidate { path: &c.path, entry })
    });
    all.filter(|c| c.entry.mode != Mode::Dir && c.entry.bytes > 0).collect()
}

/// Pairs of equal content: those that kept their last name first, then in the order of paths.
/// Takes what was paired out of both lists.
fn equal(deleted: &mut Vec<Candidate<'_>>, added: &mut Vec<Candidate<'_>>) -> Vec<Rename> {
    let mut found = Vec::new();
    for same_name in [true, false] {
        let key = |c: &Candidate<'_>| {
            let name = if same_name { c.name().to_vec() } else { Vec::new() };
            (c.entry.id, c.entry.mode == Mode::Symlink, name)
        };
        let mut waiting = BTreeMap::<_, Vec<usize>>::new();
        for (at, candidate) in deleted.iter().enumerate().rev() {
            waiting.entry(key(candidate)).or_default().push(at);
        }
        let mut taken = vec![false; deleted.len()];
        added.retain(|candidate| {
            let Some(at) = waiting.get_mut(&key(candidate)).and_then(Vec::pop) else { return true };
            taken[at] = true;
            let (from, to) = (deleted[at].path.clone(), candidate.path.clone());
            found.push(Rename { from, to, similarity: 100 });
            false
        });
        let mut taken = taken.iter();
        deleted.retain(|_| taken.next() == Some(&false));
    }
    found
}

/// Pairs that share at least [`LEAST`] percent, the most similar first.
fn similar(
    reader: &mut Reader<'_>,
    deleted: &[Candidate<'_>],
    added: &[Candidate<'_>],
) -> Result<Vec<Rename>> {
    if deleted.is_empty() || added.is_empty() {
        return Ok(Vec::new());
    }
    let old = reader.contents(deleted, added)?;
    let new = reader.contents(added, deleted)?;
    let mut pairs = Vec::new();
    let mut steps = 0;
    for (i, old) in old.iter().enumerate() {
        for (j, new) in new.iter().enumerate() {
            let (Some(old), Some(new)) = (old, new) else { continue };
            if !near(old.bytes, new.bytes) || old.is_text != new.is_text {
                continue;
            }
            steps += (old.pieces.len() + new.pieces.len()) as u64;
            if steps > ALL_STEPS {
                return Ok(Vec::new());
            }
            let similarity = old.similarity(new);
            if similarity >= LEAST {
                let renamed = deleted[i].name() != added[j].name();
                pairs.push((std::cmp::Reverse(similarity), renamed, i, j));
            }
        }
    }
    pairs.sort_unstable();
    let (mut gone, mut come) = (vec![false; deleted.len()], vec![false; added.len()]);
    let mut found = Vec::new();
    for (std::cmp::Reverse(similarity), _, i, j) in pairs {
        if !gone[i] && !come[j] {
            (gone[i], come[j]) = (true, true);
            let (from, to) = (deleted[i].path.clone(), added[j].path.clone());
            found.push(Rename { from, to, similarity });
        }
    }
    Ok(found)
}

/// Whether files of these lengths can be similar enough.
fn near(a: u64, b: u64) -> bool {
    u128::from(a.min(b)) * 100 >= u128::from(a.max(b)) * u128::from(LEAST)
}

/// A file as a set of pieces: lines or chunks.
struct Content {
    is_text: bool,
    bytes: u64,
    /// What names a piece, and the bytes of all pieces of that name; ascending.
    pieces: Vec<(u64, u64)>,
}

impl Content {
    fn new(is_text: bool, mut pieces: Vec<(u64, u64)>) -> Content {
        pieces.sort_unstable();
        pieces.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        Content { is_text, bytes: pieces.iter().map(|p| p.1).sum(), pieces }
    }

    /// The shared part of the larger one, in percent, below 100.
    fn similarity(&self, other: &Content) -> u8 {
        let (mut a, mut b) = (self.pieces.iter().peekable(), other.pieces.iter().peekable());
        let mut shared = 0;
        while let (Some(&&(x, n)), Some(&&(y, m))) = (a.peek(), b.peek()) {
            if x == y {
                shared += n.min(m);
            }
            if x <= y {
                a.next();
            }
            if y <= x {
                b.next();
            }
        }
        let percent = u128::from(shared) * 100 / u128::from(self.bytes.max(other.bytes).max(1));
        // Equal pieces in another order are not equal content.
        u8::try_from(percent).unwrap_or(99).min(99)
    }
}

/// Reads contents within the limits.
struct Reader<'a> {
    repo: &'a Repo,
    elsewhere: Elsewhere,
    text: u64,
    pieces: usize,
}

impl Reader<'_> {
    /// What each file consists of; none where that is unknown, or nothing on the other side has
    /// a length near to it.
    fn contents(
        &mut self,
        of: &[Candidate<'_>],
        others: &[Candidate<'_>],
    ) -> Result<Vec<Option<Content>>> {
        let mut lengths: Vec<u64> = others.iter().map(|c| c.entry.bytes).collect();
        lengths.sort_unstable();
        let mut contents = Vec::with_capacity(of.len());
        for candidate in of {
            let bytes = candidate.entry.bytes;
            let at = lengths.partition_point(|&n| n < bytes);
            let neighbours = lengths[at.saturating_sub(1)..].iter().take(2);
            let wanted = neighbours.into_iter().any(|&n| near(n, bytes));
            contents.push(if wanted { self.content(candidate)? } else { None });
        }
        Ok(contents)
    }

    fn content(&mut self, candidate: &Candidate<'_>) -> Result<Option<Content>> {
        let (store, entry) = (self.repo.store(), candidate.entry);
        let stored = store.has(&entry.id)?;
        // What a part of a repository has on its remote is not fetched for a guess.
        let readable = stored
            || (self.elsewhere == Elsewhere::Worktree
                && is_in_worktree(self.repo, candidate.path, entry)?);
        if self.pieces >= ALL_PIECES || !readable {
            return Ok(None);
        }
        let text = self.text(candidate, stored)?;
        let pieces = match &text {
            Some(text) => text.split_inclusive(|b| *b == b'\n').map(piece).collect(),
            None if !stored => return Ok(None),
            None => {
                let chunks = store.chunks(&entry.id, MAX_CHUNKS)?.unwrap_or_default();
                chunks.iter().map(|c| (hashed(&c.id.0), c.len)).collect::<Vec<_>>()
            }
        };
        self.pieces += pieces.len();
        Ok(Some(Content::new(text.is_some(), pieces)))
    }

    /// A file's bytes, if it is a text of moderate length.
    fn text(&mut self, candidate: &Candidate<'_>, stored: bool) -> Result<Option<Vec<u8>>> {
        let Candidate { path, entry } = candidate;
        if entry.bytes > MAX_TEXT || self.text + entry.bytes > ALL_TEXT {
            return Ok(None);
        }
        self.text += entry.bytes;
        let bytes = if stored {
            self.repo.store().get(Kind::Blob, &entry.id, MAX_TEXT)?
        } else {
            let absolute = self.repo.root().join(path.to_path());
            let read = read_stable(&self.repo.root_dir()?, path, &mut |file, _| {
                let mut bytes = Vec::new();
                file.take(MAX_TEXT).read_to_end(&mut bytes).at("read", &absolute)?;
                Ok(bytes)
            });
            read?.0
        };
        Ok(Some(bytes).filter(|bytes| !bytes.contains(&0)))
    }
}

fn piece(line: &[u8]) -> (u64, u64) {
    (hashed(line), line.len() as u64)
}

/// The same number for the same bytes in every run of one build.
fn hashed(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use mv_store::Hash;

    use super::*;

    fn text(lines: &str) -> Content {
        let lines = lines.split_inclusive('\n');
        Content::new(true, lines.map(|l| piece(l.as_bytes())).collect())
    }

    #[test]
    fn similarity_is_the_shared_part_of_the_larger_one() {
        assert_eq!(text("a\nb\n").similarity(&text("a\nb\nc\nd\n")), 50);
        assert_eq!(text("a\na\na\nb\n").similarity(&text("a\nc\nd\ne\n")), 25);
        assert_eq!(text("a\n").similarity(&text("b\n")), 0);
        assert_eq!(text("a\nb\n").similarity(&text("b\na\n")), 99);
    }

    fn change(path: &str, kind: ChangeKind, id: u8, bytes: u64) -> Change {
        let entry = Some(FileEntry { mode: Mode::File, id: Hash([id; 32]), bytes });
        let (from, to) = if kind == ChangeKind::Deleted { (entry, None) } else { (None, entry) };
        let path = RepoPath::from_bytes(path.as_bytes()).unwrap();
        Change { path, component: mv_graph::Component::Code, kind, from, to }
    }

    fn equal_pairs(changes: &[Change]) -> Vec<(String, String)> {
        let mut deleted = candidates(changes, ChangeKind::Deleted);
        let mut added = candidates(changes, ChangeKind::Added);
        let found = equal(&mut deleted, &mut added);
        found.iter().map(|r| (r.from.to_string(), r.to.to_string())).collect()
    }

    #[test]
    fn of_several_equal_files_the_one_of_the_same_last_name_is_taken() {
        use ChangeKind::{Added, Deleted};
        let changes = [
            change("a/one.py", Deleted, 1, 9),
            change("a/two.py", Deleted, 1, 9),
            change("b/new.py", Added, 1, 9),
            change("b/two.py", Added, 1, 9),
            change("b/zzz.py", Added, 1, 9),
        ];
        let pairs = [("a/two.py", "b/two.py"), ("a/one.py", "b/new.py")];
        assert_eq!(equal_pairs(&changes), pairs.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn empty_files_are_never_renamed() {
        let changes =
            [change("a", ChangeKind::Deleted, 1, 0), change("b", ChangeKind::Added, 1, 0)];
        assert_eq!(equal_pairs(&changes), []);
    }
}
