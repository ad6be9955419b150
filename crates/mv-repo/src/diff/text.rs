//! Both sides of a changed file as text.

use mv_graph::diff::Change;
use mv_graph::{FileEntry, Mode, RepoPath};
use mv_store::{IoContext as _, Kind};

use crate::error::Result;
use crate::file_bytes::is_in_worktree;
use crate::line_changes::are_laborious;
use crate::repo::Repo;
use crate::worktree::read_stable;

/// Largest file whose text is compared line by line, in bytes.
pub const MAX_TEXT: u64 = 1 << 20;

/// Both sides as text, a side that is not there as an empty one; none when either is large, binary or
/// no file, or when comparing them would take minutes. A side that is not in the repository is read from the working tree.
///
/// # Errors
/// `Missing`, `Corrupt`, `Io`.
pub(super) fn text_of(
    repo: &Repo,
    from_path: &RepoPath,
    change: &Change,
) -> Result<Option<(String, String)>> {
    let Some(from) = side(repo, from_path, change.from.as_ref())? else { return Ok(None) };
    let Some(to) = side(repo, &change.path, change.to.as_ref())? else { return Ok(None) };
    Ok(Some((from, to)).filter(|(from, to)| !are_laborious(from.as_bytes(), to.as_bytes())))
}

fn side(repo: &Repo, path: &RepoPath, entry: Option<&FileEntry>) -> Result<Option<String>> {
    let Some(entry) = entry else { return Ok(Some(String::new())) };
    if !matches!(entry.mode, Mode::File | Mode::Exec) || entry.bytes > MAX_TEXT {
        return Ok(None);
    }
    let bytes = if !is_in_worktree(repo, path, entry)? {
        repo.store().get(Kind::Blob, &entry.id, MAX_TEXT)?
    } else {
        let absolute = repo.root().join(path.to_path());
        let read = read_stable(&repo.root_dir()?, path, &mut |file, _| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).at("read", &absolute)?;
            Ok(bytes)
        })?;
        read.0
    };
    Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
}
