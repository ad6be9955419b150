//! A merge that waits for its conflicts to be solved.
//!
//! Text, ending in the BLAKE3 of the lines before, in `.mv/worktree/merge`:
//!
//! ```text
//! merge
//! ours <id>
//! theirs <id>
//! left <id>                       the version that was put into the working tree; its parents are the two
//! after <generation>              operations from here on can be undone without ending the merge
//! label-ours <name>
//! label-theirs <name>
//! conflict <kind> open|decided <left> <ours> <theirs> <path>      one a line, by path
//! check <64 hex digits>
//! ```
//!
//! An entry is `-` for nothing, or `<mode>:<id>:<bytes>`, with `+` before it when it holds marker
//! lines. In paths `\xNN` stands for a byte that is not printable ASCII.
//!
//! The file means something only while HEAD is at `ours`: whatever moves HEAD ends the merge, and
//! a file that could not be removed after that does no harm.

use std::io::Read;

use mv_graph::{FileEntry, Mode, RepoPath, diff};
use mv_store::{Hash, IoContext as _, Kind, fs as store_fs, id_of};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::{Candidate, Depth, Snapshot, empty_dir};
use crate::text_merge::{Labels, MAX_TEXT};
use crate::worktree::read_stable;
use crate::worktree::scan::Found;

/// Bytes of the file, at most: some hundred thousand conflicts.
const MAX_FILE: u64 = 64 << 20;

/// Why a path cannot be merged without being asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictKind {
    /// Both sides changed the same lines of a text.
    Text,
    /// Both sides changed a file that is no text.
    Binary,
    /// Both sides made a symlink point elsewhere.
    Symlink,
    /// Both sides added a file under one name.
    BothAdded,
    /// The current version deleted what the other changed.
    DeletedByOurs,
    /// The other version deleted what the current one changed.
    DeletedByTheirs,
    /// One side made it a file and the other a symlink or an empty directory.
    Type,
    /// Both sides added the same file, one of them executable.
    Mode,
    /// One side has a file where the other has a directory.
    FileDirectory,
    /// One side renamed what the other deleted.
    RenameDelete,
    /// Both sides renamed one file, the other side to this name.
    RenameRename,
}

impl ConflictKind {
    const ALL: [ConflictKind; 11] = [
        ConflictKind::Text,
        ConflictKind::Binary,
        ConflictKind::Symlink,
        ConflictKind::BothAdded,
        ConflictKind::DeletedByOurs,
        ConflictKind::DeletedByTheirs,
        ConflictKind::Type,
        ConflictKind::Mode,
        ConflictKind::FileDirectory,
        ConflictKind::RenameDelete,
        ConflictKind::RenameRename,
    ];

    /// The name used in `--json` and in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ConflictKind::Text => "text",
            ConflictKind::Binary => "binary",
            ConflictKind::Symlink => "symlink",
            ConflictKind::BothAdded => "both-added",
            ConflictKind::DeletedByOurs => "deleted-by-ours",
            ConflictKind::DeletedByTheirs => "deleted-by-theirs",
            ConflictKind::Type => "type",
            ConflictKind::Mode => "mode",
            ConflictKind::FileDirectory => "file-directory",
            ConflictKind::RenameDelete => "rename-delete",
            ConflictKind::RenameRename => "rename-rename",
        }
    }
}

/// One path that has to be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where.
    pub path: RepoPath,
    /// Why.
    pub kind: ConflictKind,
    /// Whether the file has both sides' lines between markers; otherwise one side's file is there.
    pub marked: bool,
    /// What the merge left in the working tree.
    pub(crate) left: Option<FileEntry>,
    /// What the sides have; of a file against a directory only the file.
    pub(crate) ours: Option<FileEntry>,
    pub(crate) theirs: Option<FileEntry>,
    /// Whether a side was taken for it.
    pub(crate) decided: bool,
}

/// A merge with conflicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub(crate) ours: Hash,
    pub(crate) theirs: Hash,
    /// The version that was put into the working tree; zero when the file is damaged.
    pub(crate) left: Hash,
    /// What a later operation started from is a record from this generation on.
    pub(crate) after: u64,
    pub(crate) labels: Labels,
    /// By path.
    pub(crate) conflicts: Vec<Conflict>,
}

impl Unfinished {
    /// The merge that is under way, if any. A damaged file stands for one of which nothing is known.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn of(repo: &Repo) -> Result<Option<Unfinished>> {
        let head = repo.state().head_target();
        match Unfinished::check(repo.layout()) {
            Err(Error::Store(e)) if e.is_corruption() => Ok(Some(Unfinished {
                ours: head.unwrap_or(Hash::ZERO),
                theirs: Hash::ZERO,
                left: Hash::ZERO,
                after: u64::MAX,
                labels: Labels::new("", "unknown"),
                conflicts: Vec::new(),
            })),
            other => Ok(other?.filter(|merge| head == Some(merge.ours))),
        }
    }

    /// What the file of the repository with this layout says.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(crate) fn check(layout: &Layout) -> Result<Option<Unfinished>> {
        let path = layout.unfinished_merge();
        let Some(bytes) = store_fs::read_capped(&path, MAX_FILE)? else { return Ok(None) };
        let detail = "it does not match its check sum";
        let bad = || mv_store::Error::corrupt("unfinished merge", path.display(), detail);
        Ok(Some(Unfinished::decode(&bytes).ok_or_else(bad)?))
    }

    /// Writes it down, durably.
    pub(crate) fn set(&self, repo: &Repo, session: &Session) -> Result<()> {
        let layout = repo.layout();
        let bytes = self.encode();
        if bytes.len() as u64 > MAX_FILE {
            let what = format!("{} conflicts are more than can be kept", self.conflicts.len());
            return Err(Error::Policy { what });
        }
        let nonce = session.nonces.next();
        Ok(store_fs::replace(&layout.unfinished_merge(), &bytes, &layout.tmp(), &nonce)?)
    }

    /// Forgets it, durably.
    pub(crate) fn clear(repo: &Repo) -> Result<()> {
        let path = repo.layout().unfinished_merge();
        if std::fs::symlink_metadata(&path).is_ok() {
            store_fs::remove(&path)?;
            store_fs::sync_dir(&repo.layout().worktree())?;
        }
        Ok(())
    }

    /// Forgets a merge that is over: HEAD has moved on and the file was left, by a kill or because
    /// what ended the merge was done again. If HEAD came back it would look like one that waits.
    pub(crate) fn clear_ended(repo: &Repo) -> Result<()> {
        match Unfinished::of(repo)? {
            Some(_) => Ok(()),
            None => Unfinished::clear(repo),
        }
    }

    /// Refuses an operation that would leave an unfinished merge without saying so.
    pub(crate) fn refuse(repo: &Repo) -> Result<()> {
        match Unfinished::of(repo)? {
            Some(merge) => Err(merge.error(Vec::new())),
            None => Ok(()),
        }
    }

    pub(crate) fn error(&self, paths: Vec<RepoPath>) -> Error {
        Error::Merging { theirs: self.labels.theirs.clone(), paths }
    }

    /// Whether a file that a merge added is as power cuts leave files: empty, and it was not.
    pub(crate) fn lost_content(repo: &Repo, now: &Snapshot) -> Result<bool> {
        let Some(merge) = Unfinished::of(repo)?.filter(|m| m.left != Hash::ZERO) else {
            return Ok(false);
        };
        let is_emptied = |c: &&Candidate| {
            let file = |now: &Found| matches!(now.mode, Mode::File | Mode::Exec);
            c.base.is_none() && c.now.is_some_and(|now| now.stat.size == 0 && file(&now))
        };
        let mut empty = now.candidates.iter().filter(is_emptied).peekable();
        if empty.peek().is_none() {
            return Ok(false);
        }
        let left = repo.manifest(&merge.left)?;
        for candidate in empty {
            let had = diff::lookup(repo.store(), &left, &candidate.path)?;
            if had.is_some_and(|(_, entry)| entry.bytes > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The conflicts that nobody has decided yet: the file still is what the merge left there, or
    /// still has marker lines.
    pub(crate) fn open(
        &self,
        repo: &Repo,
        snapshot: &mut Snapshot,
        session: &Session,
    ) -> Result<Vec<Conflict>> {
        let concerned = |path: &RepoPath| self.conflicts.binary_search_by(|c| c.path.cmp(path));
        snapshot.examine_some(Depth::Content, &|c| concerned(&c.path).is_ok(), session)?;
        let mut open = Vec::new();
        for conflict in self.conflicts.iter().filter(|c| !c.decided) {
            let now = entry_now(repo, snapshot, &conflict.path)?;
            let unsolved = now == conflict.left
                || (conflict.marked && self.has_markers(snapshot, &conflict.path, now)?);
            if unsolved {
                open.push(conflict.clone());
            }
        }
        Ok(open)
    }

    fn has_markers(
        &self,
        snapshot: &Snapshot,
        path: &RepoPath,
        now: Option<FileEntry>,
    ) -> Result<bool> {
        let text = now.filter(|e| matches!(e.mode, Mode::File | Mode::Exec));
        // Both sides' texts fit into this; what is larger is not what the merge left.
        if text.is_none_or(|e| e.bytes > 3 * MAX_TEXT) {
            return Ok(false);
        }
        let absolute = snapshot.root.path().join(path.to_path());
        let (bytes, ..) = read_stable(&snapshot.root, path, &mut |file, _| {
            let mut bytes = Vec::new();
            file.take(4 * MAX_TEXT).read_to_end(&mut bytes).at("read", &absolute)?;
            Ok(bytes)
        })?;
        Ok(self.labels.are_in(&bytes))
    }

    /// In one line, for `status`.
    pub(crate) fn describe(&self, open: usize) -> String {
        let left = match open {
            0 => "all conflicts are decided".to_owned(),
            1 => "1 conflict left".to_owned(),
            n => format!("{n} conflicts left"),
        };
        format!("merge of {}: {left}", self.labels.theirs)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!(
            "merge\nours {}\ntheirs {}\nleft {}\nafter {}\nlabel-ours {}\nlabel-theirs {}\n",
            self.ours, self.theirs, self.left, self.after, self.labels.ours, self.labels.theirs
        );
        for c in &self.conflicts {
            let state = if c.decided { "decided" } else { "open" };
            let mark = if c.marked { "+" } else { "" };
            text.push_str(&format!(
                "conflict {} {state} {mark}{} {} {} {}\n",
                c.kind.as_str(),
                entry_text(c.left),
                entry_text(c.ours),
                entry_text(c.theirs),
                path_text(&c.path),
            ));
        }
        let check = id_of(Kind::Blob, text.as_bytes());
        format!("{text}check {check}\n").into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Unfinished> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines().skip(1).peekable();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let ours = Hash::from_hex(field("ours")?)?;
        let theirs = Hash::from_hex(field("theirs")?)?;
        let left = Hash::from_hex(field("left")?)?;
        let after = field("after")?.parse().ok()?;
        let labels = Labels {
            ours: field("label-ours")?.to_owned(),
            theirs: field("label-theirs")?.to_owned(),
        };
        let mut conflicts = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with("conflict ")) {
            conflicts.push(conflict_of(line)?);
        }
        let merge = Unfinished { ours, theirs, left, after, labels, conflicts };
        (merge.encode() == bytes).then_some(merge)
    }
}

/// What is at a path of the working tree; the candidates there must have been read.
fn entry_now(repo: &Repo, snapshot: &Snapshot, path: &RepoPath) -> Result<Option<FileEntry>> {
    if let Ok(at) = snapshot.candidates.binary_search_by(|c| c.path.cmp(path)) {
        let candidate = &snapshot.candidates[at];
        return Ok(candidate.now.and(candidate.content).map(|c| c.entry));
    }
    let Some((_, head)) = &snapshot.head else { return Ok(None) };
    let entry = diff::lookup(repo.store(), head, path)?.map(|(_, entry)| entry);
    // A directory with something in it is no entry of its own.
    Ok(entry.filter(|e| e.mode != Mode::Dir || e.id == empty_dir().id))
}

fn conflict_of(line: &str) -> Option<Conflict> {
    let mut words = line.splitn(7, ' ').skip(1);
    let kind = words.next()?;
    let kind = ConflictKind::ALL.into_iter().find(|k| k.as_str() == kind)?;
    let decided = words.next()? == "decided";
    let left = words.next()?;
    let marked = left.starts_with('+');
    let left = entry_of(left.trim_start_matches('+'))?;
    let ours = entry_of(words.next()?)?;
    let theirs = entry_of(words.next()?)?;
    let path = path_of(words.next()?)?;
    Some(Conflict { path, kind, marked, left, ours, theirs, decided })
}

fn entry_text(entry: Option<FileEntry>) -> String {
    entry.map_or("-".into(), |e| format!("{}:{}:{}", e.mode.as_str(), e.id, e.bytes))
}

fn entry_of(text: &str) -> Option<Option<FileEntry>> {
    if text == "-" {
        return Some(None);
    }
    let mut parts = text.split(':');
    let mode = parts.next()?;
    let all = [Mode::File, Mode::Exec, Mode::Symlink, Mode::Dir];
    let mode = all.into_iter().find(|m| m.as_str() == mode)?;
    let id = Hash::from_hex(parts.next()?)?;
    let bytes = parts.next()?.parse().ok()?;
    Some(Some(FileEntry { mode, id, bytes }))
}

fn path_text(path: &RepoPath) -> String {
    let mut text = String::new();
    for byte in path.as_bytes() {
        match byte {
            b' '..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

fn path_of(text: &str) -> Option<RepoPath> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'\\' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(1..3)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after.get(3..)?;
    }
    RepoPath::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_merge_survives_the_round_trip_and_no_flipped_bit() {
        let entry = |mode, n| Some(FileEntry { mode, id: Hash([n; 32]), bytes: u64::from(n) });
        let path = |bytes: &[u8]| RepoPath::from_bytes(bytes).unwrap();
        let conflict = |at: &[u8], kind, left, theirs, marked| Conflict {
            path: path(at),
            kind,
            marked,
            left,
            ours: None,
            theirs,
            decided: !marked,
        };
        let merge = Unfinished {
            ours: Hash([1; 32]),
            theirs: Hash([2; 32]),
            left: Hash([3; 32]),
            after: 12,
            labels: Labels::new("main", "ünï \u{1b}code"),
            conflicts: vec![
                conflict(
                    b"a b/\x1b[31m\\\xff\n",
                    ConflictKind::Text,
                    entry(Mode::Exec, 7),
                    None,
                    true,
                ),
                conflict(b"z", ConflictKind::Type, None, entry(Mode::Symlink, 9), false),
            ],
        };
        let bytes = merge.encode();
        assert_eq!(Unfinished::decode(&bytes), Some(merge));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(Unfinished::decode(&bad), None, "{at}");
        }
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            ConflictKind::ALL.iter().map(|k| k.as_str()).collect();
        assert_eq!(names.len(), ConflictKind::ALL.len());
    }
}
