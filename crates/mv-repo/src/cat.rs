//! Printing one file of a version.

use std::io::Write;
use std::path::Path;

use mv_graph::{Mode, diff};
use mv_store::{IoContext as _, Unit};

use crate::error::{Error, Result};
use crate::fetch;
use crate::ls::{no_such, parse_spec};
use crate::repo::Repo;
use crate::session::Session;

/// Streams the file `REV:PATH` and returns its length. Memory is bounded whatever its size.
///
/// # Errors
/// `UnknownRevision`, `Invalid` when no file is there, `Corrupt` (then what was written is not the
/// file), `Io` of the output.
pub fn cat(
    repo: &Repo,
    spec: &str,
    out: &mut (dyn Write + Send),
    session: &Session,
) -> Result<u64> {
    let (_, manifest, path) = parse_spec(repo, spec, session)?;
    let path = path.ok_or_else(|| Error::invalid("argument", "a file is named as `REV:PATH`"))?;
    let found = diff::lookup(repo.store(), &manifest, &path)?;
    let (_, entry) = found.ok_or_else(|| no_such(&path, spec))?;
    if entry.mode == Mode::Dir {
        return Err(Error::invalid("path", format!("`{path}` is a directory")));
    }
    // In a part of a repository it stays here once it was wanted.
    let fetched = fetch::contents(repo, &[entry.id], session)?;
    let fresh = if fetched { Some(repo.fresh(session)?) } else { None };
    let repo = fresh.as_ref().unwrap_or(repo);
    let task = session.progress.task("reading", Unit::Bytes);
    task.set_total(entry.bytes);
    let to = Path::new("standard output");
    let write = &mut |piece: &[u8]| out.write_all(piece).at("write", to);
    let written = repo.store().copy_to(&entry.id, Some(&task), write)?;
    if written == entry.bytes {
        return Ok(written);
    }
    let detail = format!("it has {written} bytes, the tree says {}", entry.bytes);
    Err(mv_store::Error::corrupt("blob", entry.id, detail).into())
}
