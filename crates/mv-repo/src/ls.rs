//! Listing a version without checking it out.

use mv_graph::diff::{self, ListedFile};
use mv_graph::{Manifest, RepoPath};
use mv_store::Hash;

use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;

/// Splits `REV[:PATH]`. Without a revision HEAD is meant.
pub(crate) fn parse_spec(
    repo: &Repo,
    spec: &str,
    session: &Session,
) -> Result<(Hash, Manifest, Option<RepoPath>)> {
    let (rev, path) = match spec.split_once(':') {
        Some((rev, path)) => (rev, Some(path)),
        None => (spec, None),
    };
    let id = repo.resolve(if rev.is_empty() { "HEAD" } else { rev }, session)?;
    let path = path.map(|p| p.trim_end_matches('/')).filter(|p| !p.is_empty() && *p != ".");
    let path = path
        .map(|p| {
            RepoPath::from_bytes(p.as_bytes())
                .map_err(|e| Error::invalid("path", format!("`{p}`: {e}")))
        })
        .transpose()?;
    Ok((id, repo.manifest(&id)?, path))
}

/// The files of a version, or those at or below a path of it.
///
/// # Errors
/// `UnknownRevision`, `Invalid` when nothing is there, `Corrupt`.
pub fn ls(repo: &Repo, spec: &str, session: &Session) -> Result<Vec<ListedFile>> {
    let (_, manifest, path) = parse_spec(repo, spec, session)?;
    let mut files = diff::list(repo.store(), &manifest)?;
    if let Some(path) = path {
        files.retain(|file| file.path.starts_with(&path));
        if files.is_empty() {
            return Err(no_such(&path, spec));
        }
    }
    Ok(files)
}

pub(crate) fn no_such(path: &RepoPath, spec: &str) -> Error {
    let rev = spec.split(':').next().filter(|rev| !rev.is_empty()).unwrap_or("HEAD");
    Error::invalid("path", format!("`{path}` is not in `{rev}`"))
}
