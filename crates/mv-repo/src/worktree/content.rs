//! Reading working files whole and untorn.
//!
//! Files are read with plain reads, never mapped: a file that somebody truncates meanwhile must
//! not kill the process. A file whose size or times differ after the read from what they were
//! before it is read again, up to three times, then reported.

use std::fs::File;
use std::io::Read;

use mv_graph::{Mode, RepoPath};
use rustix::fs::{AtFlags, fstat, readlinkat, statat};
use rustix::io::Errno;

use super::beneath::Root;
use super::order::split;
use super::stat::{Stat, mode_of};
use crate::error::{Error, IoContext, Result};

const TRIES: usize = 3;

/// Opens a working file for reading, beneath the root and through no symlink.
///
/// # Errors
/// `Blocked`, `Changed` (it is no regular file), `Io`.
pub fn open_beneath(root: &Root, path: &RepoPath) -> Result<File> {
    root.open_file(path)
}

/// The mode and stat of an open working file.
///
/// # Errors
/// `Io`; `Changed` if it is no regular file.
pub fn stat_of(root: &Root, path: &RepoPath, file: &File) -> Result<(Mode, Stat)> {
    let raw = fstat(file).at("stat", &root.absolute(path.as_bytes()))?;
    match mode_of(&raw) {
        Some(mode @ (Mode::File | Mode::Exec)) => Ok((mode, Stat::of(&raw))),
        _ => Err(changed(path)),
    }
}

/// Checks after a read that nobody wrote to the file since `before`.
///
/// # Errors
/// `Changed`, `Io`.
pub fn verify_unchanged(root: &Root, path: &RepoPath, file: &File, before: &Stat) -> Result<()> {
    let (_, after) = stat_of(root, path, file)?;
    if after == *before { Ok(()) } else { Err(changed(path)) }
}

/// Reads a file through `read` until it stood still meanwhile, at most three times, and returns
/// the last answer with the mode and stat that belong to it. `read` is given the size as a hint
/// and must read to the end.
///
/// # Errors
/// `Changed` after the third time; what `read` returns; `Blocked`, `Io`.
pub fn read_stable<T>(
    root: &Root,
    path: &RepoPath,
    read: &mut dyn FnMut(&mut (dyn Read + Send), u64) -> Result<T>,
) -> Result<(T, Mode, Stat)> {
    for _ in 0..TRIES {
        let mut file = open_beneath(root, path)?;
        let (mode, before) = stat_of(root, path, &file)?;
        let answer = read(&mut file, before.size)?;
        match verify_unchanged(root, path, &file, &before) {
            Ok(()) => return Ok((answer, mode, before)),
            Err(Error::Changed { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Err(changed(path))
}

/// Reads where a symlink points: the bytes that are stored for it.
///
/// # Errors
/// `Changed` if it is no symlink or does not stand still; `Blocked`, `Io`.
pub fn read_link(root: &Root, path: &RepoPath) -> Result<(Vec<u8>, Stat)> {
    let (dir, name) = split(path.as_bytes());
    let parent = root.open_parent(dir).map_err(|e| root.explain("open", dir, e))?;
    let whole = root.absolute(path.as_bytes());
    for _ in 0..TRIES {
        let before = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).at("stat", &whole)?;
        let target = match readlinkat(&parent, name, Vec::new()) {
            Err(Errno::INVAL) => return Err(changed(path)),
            other => other.at("read the symlink", &whole)?.into_bytes(),
        };
        let after = statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).at("stat", &whole)?;
        if mode_of(&before) == Some(Mode::Symlink) && Stat::of(&before) == Stat::of(&after) {
            return Ok((target, Stat::of(&before)));
        }
    }
    Err(changed(path))
}

fn changed(path: &RepoPath) -> Error {
    Error::Changed { path: path.clone() }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::from_bytes(text.as_bytes()).unwrap()
    }

    fn append(dir: &tempfile::TempDir) {
        let mut file = OpenOptions::new().append(true).open(dir.path().join("f")).unwrap();
        file.write_all(b"more").unwrap();
    }

    fn to_end(file: &mut dyn Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_file_that_changes_once_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "one ").unwrap();
        let root = Root::open(dir.path()).unwrap();
        let mut times = 0;
        let (bytes, mode, stat) = read_stable(&root, &path("f"), &mut |file, _| {
            times += 1;
            let bytes = to_end(file);
            if times == 1 {
                append(&dir);
            }
            Ok(bytes)
        })
        .unwrap();
        assert_eq!((bytes.as_slice(), mode, times), (&b"one more"[..], Mode::File, 2));
        assert_eq!(stat.size, 8);
    }

    #[test]
    fn a_file_that_keeps_changing_is_reported_after_three_reads() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "").unwrap();
        let root = Root::open(dir.path()).unwrap();
        let mut times = 0;
        let read = read_stable(&root, &path("f"), &mut |file, _| {
            times += 1;
            append(&dir);
            Ok(to_end(file))
        });
        assert!(matches!(read, Err(Error::Changed { .. })));
        assert_eq!(times, 3);
    }

    #[test]
    fn a_symlink_gives_its_target_and_never_the_content_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = "x".repeat(1000);
        symlink(&target, dir.path().join("dangling")).unwrap();
        fs::write(dir.path().join("f"), "").unwrap();
        let root = Root::open(dir.path()).unwrap();
        let (bytes, stat) = read_link(&root, &path("dangling")).unwrap();
        assert_eq!(bytes, target.as_bytes());
        assert_eq!(stat.size, 1000);
        assert!(matches!(read_link(&root, &path("f")), Err(Error::Changed { .. })));
    }
}
