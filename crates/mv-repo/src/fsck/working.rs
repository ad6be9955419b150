//! Sound copies in the working tree: files whose content is what is damaged, or has it as a part.

use std::collections::HashSet;
use std::io::Read;

use mv_graph::{Mode, RepoPath};
use mv_store::{BlobHasher, Hash, Kind, Outline, Store, StoreWriter, Task, Unit};

use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;
use crate::worktree::{Found, Root, ScanOptions, read_link, read_stable, scan};

/// Chunks of one file, at most.
const MAX_CHUNKS: usize = 4 << 20;
/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// Takes wanted objects out of working files into a writer: whole files, and of a file whose list is
/// known the chunks where the list says. Everything is compared with its id; a file that cannot be
/// read is passed over.
pub(super) fn rescue(
    repo: &Repo,
    writer: &StoreWriter<'_>,
    known: &Store,
    wanted: &HashSet<Hash>,
    session: &Session,
) -> Result<()> {
    let (rules, _) = repo.rules_or_default()?;
    let root = repo.root_dir()?;
    let cache = repo.stat_cache();
    let scan = scan(&root, &rules, &cache, &ScanOptions::default(), &session.progress)?;
    let task = session.progress.task("looking into working files", Unit::Bytes);
    let files = Files { root: &root, writer, known, wanted, task: &task };
    for file in scan.files() {
        task.check()?;
        let path = file.path()?;
        match files.look_into(&path, &file.found) {
            // Gone or changed meanwhile, or not readable: then there is no copy in it.
            Err(Error::Changed { .. } | Error::Blocked { .. } | Error::Io { .. }) => {}
            other => other?,
        }
    }
    Ok(())
}

struct Files<'a> {
    root: &'a Root,
    writer: &'a StoreWriter<'a>,
    known: &'a Store,
    wanted: &'a HashSet<Hash>,
    task: &'a Task,
}

impl Files<'_> {
    fn is_wanted(&self, id: &Hash) -> bool {
        self.wanted.contains(id) && !self.writer.took(id)
    }

    fn look_into(&self, path: &RepoPath, found: &Found) -> Result<()> {
        match found.mode {
            Mode::Dir => Ok(()),
            Mode::Symlink => {
                let (target, _) = read_link(self.root, path)?;
                if self.is_wanted(&mv_store::id_of(Kind::Blob, &target)) {
                    self.writer.put(Kind::Blob, &target)?;
                }
                Ok(())
            }
            Mode::File | Mode::Exec => {
                // The cache is advice: what is taken is compared with its id.
                let id = match found.known {
                    Some(id) => id,
                    None => self.hash(path)?,
                };
                let (parts, broken) = match self.known.children(&id) {
                    Ok(parts) => (parts.unwrap_or_default(), false),
                    // A file that is in no version has no parts, one whose list is damaged has some.
                    Err(_) => (Vec::new(), self.known.contains(&id)),
                };
                let lacks = || parts.iter().any(|part| self.is_wanted(part));
                if lacks() {
                    self.take_chunks(path, &id)?;
                }
                // The list, and its nodes, come out of cutting the file again.
                if (broken || self.is_wanted(&id) || lacks()) && self.hash(path)? == id {
                    self.take_whole(path)?;
                }
                Ok(())
            }
        }
    }

    fn hash(&self, path: &RepoPath) -> Result<Hash> {
        let (id, ..) = read_stable(self.root, path, &mut |file, _| {
            let mut hasher = BlobHasher::new();
            let mut buffer = vec![0; PIECE];
            loop {
                self.task.check()?;
                let read = file.read(&mut buffer).map_err(|e| self.failed(path, e))?;
                if read == 0 {
                    return Ok(hasher.finish());
                }
                self.task.add(read as u64);
                hasher.update_parallel(&buffer[..read]);
            }
        })?;
        Ok(id)
    }

    /// Reads the file along its list of chunks and takes those that are wanted and what they must be.
    fn take_chunks(&self, path: &RepoPath, id: &Hash) -> Result<()> {
        let Ok(Some(chunks)) = self.known.chunks(id, MAX_CHUNKS) else { return Ok(()) };
        read_stable(self.root, path, &mut |file, _| {
            let mut buffer = Vec::new();
            for chunk in &chunks {
                self.task.check()?;
                buffer.clear();
                let mut part = Read::take(&mut *file, chunk.len);
                if self.is_wanted(&chunk.id) && chunk.len <= mv_store::MAX_CHUNK {
                    part.read_to_end(&mut buffer).map_err(|e| self.failed(path, e))?;
                    if mv_store::id_of(Kind::Blob, &buffer) == chunk.id {
                        self.writer.put(Kind::Blob, &buffer)?;
                    }
                } else {
                    std::io::copy(&mut part, &mut std::io::sink())
                        .map_err(|e| self.failed(path, e))?;
                }
                self.task.add(chunk.len);
            }
            Ok(())
        })?;
        Ok(())
    }

    fn take_whole(&self, path: &RepoPath) -> Result<()> {
        read_stable(self.root, path, &mut |file, size| {
            let name = self.root.absolute(path.as_bytes());
            Ok(self.writer.put_file(&name, size, &Outline::default(), file, self.task)?)
        })?;
        Ok(())
    }

    fn failed(&self, path: &RepoPath, error: std::io::Error) -> Error {
        Error::io("read", self.root.absolute(path.as_bytes()), error)
    }
}
