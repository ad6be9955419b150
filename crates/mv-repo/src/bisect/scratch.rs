//! [`Scratch`]: a private directory that holds one version after another, for commands to run in.
//!
//! The working tree is never touched. From one version to the next only what differs is written, and
//! whatever a command left behind or changed is put right: a file stays only if its content is the
//! same in both versions and its stat is the one that it had when it was written.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mv_graph::diff::{self, ListedFile};
use mv_graph::{FileEntry, MAX_SYMLINK, Mode, RepoPath};
use mv_store::{Hash, Kind, Task, Unit};
use rayon::prelude::*;

use crate::error::{IoContext, Result};
use crate::repo::Repo;
use crate::session::Session;
use crate::worktree::{LARGE, Stat, Writer, stamp};

/// Files handed to a thread at once.
const RUN: usize = 64;

/// The directory; dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    /// What was written, and the stat that it got.
    placed: HashMap<RepoPath, (FileEntry, Stat)>,
    /// The file system's time when the last one was there: what was written in the same instant
    /// could have been changed without a trace.
    stamp_ns: i64,
}

impl Scratch {
    /// Makes the directory `dir`, which must not exist, for this user alone.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(dir: &Path) -> Result<Scratch> {
        let private = |path: &Path| {
            fs::DirBuilder::new().mode(0o700).create(path).at("create the directory", path)
        };
        private(dir)?;
        // From here on it is removed whatever happens.
        let scratch = Scratch { dir: dir.to_path_buf(), placed: HashMap::new(), stamp_ns: 0 };
        private(&scratch.files())?;
        private(&scratch.tmp())?;
        Ok(scratch)
    }

    /// Where the version's files are.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.dir.join("files")
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// Puts a version there, whole and verified, in place of what is there.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Cancelled`, `Io`; then no version is there.
    pub fn put(&mut self, repo: &Repo, id: &Hash, session: &Session) -> Result<()> {
        let wanted = diff::list(repo.store(), &repo.manifest(id)?)?;
        let entries: HashMap<&RepoPath, FileEntry> =
            wanted.iter().map(|file| (&file.path, file.entry)).collect();
        let mut dirs: HashSet<RepoPath> = wanted.iter().flat_map(|f| f.path.ancestors()).collect();
        let empty = wanted.iter().filter(|f| f.entry.mode == Mode::Dir);
        dirs.extend(empty.map(|f| f.path.clone()));
        let files = self.files();
        let writer = Writer::new(&files, &self.tmp(), &session.nonces)?;
        let before = std::mem::take(&mut self.placed);
        let stamp_ns = self.stamp_ns;
        let clean =
            Clean { writer: &writer, entries: &entries, dirs: &dirs, before: &before, stamp_ns };
        let mut kept = HashMap::new();
        clean.directory(&files, &mut Vec::new(), &mut kept)?;
        let missing: Vec<&ListedFile> =
            wanted.iter().filter(|file| !kept.contains_key(&file.path)).collect();
        let task = session.progress.task("preparing", Unit::Bytes);
        task.set_total(missing.iter().map(|file| file.entry.bytes).sum());
        let written = write(repo, &writer, &missing, &task)?;
        kept.extend(written);
        self.stamp_ns = stamp(&self.tmp(), &session.nonces.next())?;
        self.placed = kept;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A command may have taken away the right to remove what is in a directory.
        if fs::remove_dir_all(&self.dir).is_err() {
            unlock(&self.dir, 0);
            drop(fs::remove_dir_all(&self.dir));
        }
    }
}

/// Gives back the right to remove; symlinks are not followed.
fn unlock(dir: &Path, depth: usize) {
    use std::os::unix::fs::PermissionsExt;
    if depth > mv_graph::MAX_DEPTH {
        return;
    }
    drop(fs::set_permissions(dir, fs::Permissions::from_mode(0o700)));
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path(), depth + 1);
        }
    }
}

/// Removes what does not belong to a version.
struct Clean<'a> {
    writer: &'a Writer<'a>,
    entries: &'a HashMap<&'a RepoPath, FileEntry>,
    /// Directories of the version, those that are empty too.
    dirs: &'a HashSet<RepoPath>,
    before: &'a HashMap<RepoPath, (FileEntry, Stat)>,
    stamp_ns: i64,
}

impl Clean<'_> {
    /// Cleans a directory of the version; `kept` gets the files that may stay. Recursion ends at the
    /// version's deepest directory.
    fn directory(
        &self,
        dir: &Path,
        prefix: &mut Vec<u8>,
        kept: &mut HashMap<RepoPath, (FileEntry, Stat)>,
    ) -> Result<()> {
        for entry in fs::read_dir(dir).at("list", dir)? {
            let entry = entry.at("list", dir)?;
            let (name, full) = (entry.file_name(), entry.path());
            let is_dir = entry.file_type().at("stat", &full)?.is_dir();
            let before = prefix.len();
            if before > 0 {
                prefix.push(b'/');
            }
            prefix.extend_from_slice(name.as_bytes());
            let path = RepoPath::from_bytes(prefix).ok();
            if is_dir {
                match path.filter(|path| self.dirs.contains(path)) {
                    Some(_) => self.directory(&full, prefix, kept)?,
                    None => fs::remove_dir_all(&full).at("remove", &full)?,
                }
            } else {
                match path.and_then(|path| Some((self.as_placed(&path)?, path))) {
                    Some((placed, path)) => drop(kept.insert(path, placed)),
                    None => fs::remove_file(&full).at("remove", &full)?,
                }
            }
            prefix.truncate(before);
        }
        Ok(())
    }

    /// What was placed there, if the version has the same and nobody touched it.
    fn as_placed(&self, path: &RepoPath) -> Option<(FileEntry, Stat)> {
        let placed = *self.before.get(path)?;
        let now = self.writer.root().stat(path).ok()??.1;
        let same = self.entries.get(path) == Some(&placed.0);
        (same && now == placed.1 && !now.is_racy(self.stamp_ns)).then_some(placed)
    }
}

/// Writes files, symlinks last, and tells what stat each got.
fn write(
    repo: &Repo,
    writer: &Writer<'_>,
    files: &[&ListedFile],
    task: &Task,
) -> Result<Vec<(RepoPath, (FileEntry, Stat))>> {
    let mut dirs: Vec<RepoPath> = files.iter().filter_map(|file| file.path.parent()).collect();
    let empty = files.iter().filter(|file| file.entry.mode == Mode::Dir);
    dirs.extend(empty.map(|file| file.path.clone()));
    dirs.sort();
    dirs.dedup();
    for dir in &dirs {
        writer.ensure_dir(dir)?;
    }
    let place = |file: &&&ListedFile| {
        Ok((file.path.clone(), (file.entry, write_one(repo, writer, file, task)?)))
    };
    let regular = |f: &&&ListedFile| matches!(f.entry.mode, Mode::File | Mode::Exec);
    let (large, small): (Vec<_>, Vec<_>) =
        files.iter().filter(regular).partition(|f| f.entry.bytes >= LARGE);
    let runs: Result<Vec<Vec<_>>> =
        small.par_chunks(RUN).map(|run| run.iter().map(place).collect()).collect();
    let mut written: Vec<_> = runs?.into_iter().flatten().collect();
    let links: Vec<_> = files.iter().filter(|f| f.entry.mode == Mode::Symlink).collect();
    for file in large.iter().chain(&links) {
        written.push(place(file)?);
    }
    Ok(written)
}

fn write_one(repo: &Repo, writer: &Writer<'_>, file: &ListedFile, task: &Task) -> Result<Stat> {
    task.check()?;
    let (store, id) = (repo.store(), &file.entry.id);
    if file.entry.mode == Mode::Symlink {
        return writer.write_symlink(&file.path, &store.get(Kind::Blob, id, MAX_SYMLINK)?);
    }
    let absolute = writer.root().path().join(file.path.to_path());
    writer.write_file(&file.path, file.entry.mode == Mode::Exec, &mut |out| {
        let written = store.copy_to(id, Some(task), &mut |piece| {
            mv_store::IoContext::at(out.write_all(piece), "write", &absolute)
        })?;
        if written == file.entry.bytes {
            return Ok(());
        }
        let detail = format!("it has {written} bytes, the tree says {}", file.entry.bytes);
        Err(mv_store::Error::corrupt("blob", id, detail).into())
    })
}
