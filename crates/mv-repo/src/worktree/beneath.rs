//! A directory that paths are opened beneath, never outside and never through a symlink.
//!
//! Linux resolves the whole path at once under that rule (`openat2`). Elsewhere, and where a
//! sandbox forbids that call, the path is walked one component at a time, each opened without
//! following. Nothing is remembered between two calls: a check holds for the descriptor it gave,
//! not for the path (CVE-2021-21300 was a remembered check).

use std::ffi::OsStr;
use std::fs::File;
#[cfg(target_os = "linux")]
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use mv_graph::{Mode, RepoPath};
#[cfg(target_os = "linux")]
use rustix::fs::RawDir;
use rustix::fs::{AtFlags, FileType, Mode as Bits, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use super::order::split;
use super::stat::{Stat, mode_of};
use crate::error::{Error, IoContext, Result};

/// How often a resolution that lost a race against a rename is tried again at once.
const TRIES: usize = 8;

/// An open directory, usually the root of a work tree.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
    stepwise: AtomicBool,
}

impl Root {
    /// Opens the directory itself; its own path may lead through symlinks.
    ///
    /// # Errors
    /// `Io`.
    pub fn open(path: &Path) -> Result<Root> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Bits::empty()).at("open", path)?;
        Ok(Root { fd, path: path.to_path_buf(), stepwise: AtomicBool::new(false) })
    }

    /// The path it was opened by, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// `Blocked` if the path leads through a symlink or a file; `Changed` if it is no regular
    /// file; `Io`.
    pub fn open_file(&self, path: &RepoPath) -> Result<File> {
        // Without NONBLOCK a pipe that took the file's place would hang us.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fd = self
            .resolve(path.as_bytes(), flags)
            .map_err(|e| self.explain("open", path.as_bytes(), e))?;
        let raw = fstat(&fd).at("stat", &self.absolute(path.as_bytes()))?;
        match mode_of(&raw) {
            Some(Mode::File | Mode::Exec) => Ok(File::from(fd)),
            _ => Err(Error::Changed { path: path.clone() }),
        }
    }

    /// What is at a path now, without following a symlink; none when nothing is, or when what
    /// should be a directory above it is none.
    ///
    /// # Errors
    /// `Io`.
    pub fn stat(&self, path: &RepoPath) -> Result<Option<(Option<Mode>, Stat)>> {
        let (dir, name) = split(path.as_bytes());
        let parent = match self.open_parent(dir) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            other => other.map_err(|e| self.explain("open", dir, e))?,
        };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.explain("stat", path.as_bytes(), e)),
            Ok(raw) => Ok(Some((mode_of(&raw), Stat::of(&raw)))),
        }
    }

    /// Everything in a directory, ignored or not, with what each is; special files are none.
    ///
    /// # Errors
    /// `Blocked`, `Io`.
    pub fn names(&self, dir: &RepoPath) -> Result<Vec<(Vec<u8>, Option<Mode>)>> {
        let fd =
            self.open_dir(dir.as_bytes()).map_err(|e| self.explain("open", dir.as_bytes(), e))?;
        let mut names: Vec<Vec<u8>> = Vec::new();
        list_dir(fd.as_fd(), &mut |name, _| names.push(name.to_vec()))
            .map_err(|e| self.explain("list", dir.as_bytes(), e))?;
        names.sort_unstable();
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            match statat(&fd, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                Err(e) => return Err(self.explain("stat", dir.as_bytes(), e)),
                Ok(raw) => found.push((name, mode_of(&raw))),
            }
        }
        Ok(found)
    }

    /// Opens a directory to list it; the empty path is the root.
    pub(crate) fn open_dir(&self, dir: &[u8]) -> rustix::io::Result<OwnedFd> {
        self.resolve(dir, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens a directory to name things in it, which needs no right to list it.
    pub(crate) fn open_parent(&self, dir: &[u8]) -> rustix::io::Result<OwnedFd> {
        self.resolve(dir, HANDLE | OFlags::DIRECTORY)
    }

    /// The absolute path, for messages.
    pub(crate) fn absolute(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// An error with its verb and its path; symlinks and files in the way get their own.
    pub(crate) fn explain(&self, action: &'static str, path: &[u8], e: Errno) -> Error {
        match e {
            Errno::LOOP | Errno::NOTDIR | Errno::XDEV => {
                Error::Blocked { path: self.absolute(path) }
            }
            e => Error::io(action, self.absolute(path), e),
        }
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if !self.stepwise.load(Ordering::Relaxed) {
            match at_once(self.fd.as_fd(), path, flags) {
                Err(Errno::NOSYS | Errno::PERM) => self.stepwise.store(true, Ordering::Relaxed),
                Err(Errno::NAMETOOLONG | Errno::AGAIN) => {}
                other => return other,
            }
        }
        step_by_step(self.fd.as_fd(), path, flags)
    }
}

#[cfg(target_os = "linux")]
const HANDLE: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const HANDLE: OFlags = OFlags::RDONLY;

#[cfg(target_os = "linux")]
fn at_once(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    let rule = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    for _ in 0..TRIES {
        match openat2(root, path, flags, Bits::empty(), rule) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(not(target_os = "linux"))]
fn at_once(_: BorrowedFd<'_>, _: &[u8], _: OFlags) -> rustix::io::Result<OwnedFd> {
    Err(Errno::NOSYS)
}

/// Calls `each` with the name and kind of everything in a directory, in no order.
#[cfg(target_os = "linux")]
pub(super) fn list_dir(
    dir: BorrowedFd<'_>,
    each: &mut dyn FnMut(&[u8], FileType),
) -> rustix::io::Result<()> {
    let mut buffer = [const { MaybeUninit::uninit() }; 16 * 1024];
    let mut listing = RawDir::new(dir, &mut buffer);
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name, entry.file_type());
        }
    }
    Ok(())
}

/// Calls `each` with the name and kind of everything in a directory, in no order.
#[cfg(not(target_os = "linux"))]
pub(super) fn list_dir(
    dir: BorrowedFd<'_>,
    each: &mut dyn FnMut(&[u8], FileType),
) -> rustix::io::Result<()> {
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            each(name, entry.file_type());
        }
    }
    Ok(())
}

fn step_by_step(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let through = HANDLE | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (dirs, name) = split(path);
    let mut at: Option<OwnedFd> = None;
    for dir in dirs.split(|&b| b == b'/').filter(|dir| !dir.is_empty()) {
        if dir == b".." {
            return Err(Errno::LOOP);
        }
        at = Some(openat(at.as_ref().map_or(root, |fd| fd.as_fd()), dir, through, Bits::empty())?);
    }
    if name == b".." {
        return Err(Errno::LOOP);
    }
    openat(at.as_ref().map_or(root, |fd| fd.as_fd()), name, flags, Bits::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::from_bytes(text.as_bytes()).unwrap()
    }

    /// Runs a check with the kernel's resolution and again with ours.
    fn both_ways(check: impl Fn(&Root, &Path)) {
        for stepwise in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let tree = dir.path().join("tree");
            fs::create_dir_all(tree.join("a/b")).unwrap();
            fs::write(tree.join("a/b/file"), "inside").unwrap();
            fs::create_dir(dir.path().join("outside")).unwrap();
            fs::write(dir.path().join("outside/file"), "secret").unwrap();
            let root = Root::open(&tree).unwrap();
            root.stepwise.store(stepwise, Ordering::Relaxed);
            check(&root, &tree);
        }
    }

    #[test]
    fn a_plain_path_is_opened() {
        both_ways(|root, _| {
            let text = std::io::read_to_string(root.open_file(&path("a/b/file")).unwrap()).unwrap();
            assert_eq!(text, "inside");
            assert!(root.open_dir(b"").is_ok() && root.open_dir(b"a/b").is_ok());
        });
    }

    #[test]
    fn a_symlink_anywhere_in_the_path_is_refused() {
        both_ways(|root, tree| {
            symlink("../outside", tree.join("out")).unwrap();
            symlink("b", tree.join("a/in")).unwrap();
            symlink("file", tree.join("a/b/alias")).unwrap();
            for through in ["out/file", "a/in/file", "a/b/alias"] {
                let refused = root.open_file(&path(through));
                assert!(matches!(refused, Err(Error::Blocked { .. })), "{through}: {refused:?}");
            }
            assert!(root.open_dir(b"out").is_err() && root.open_parent(b"a/in").is_err());
            assert!(root.open_dir(b"..").is_err() && root.open_dir(b"a/../..").is_err());
            assert_eq!(root.stat(&path("out/file")).unwrap(), None);
        });
    }

    #[test]
    fn a_pipe_and_a_directory_are_no_files() {
        both_ways(|root, tree| {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                tree.join("pipe"),
                rustix::fs::FileType::Fifo,
                Bits::RUSR,
                0,
            )
            .unwrap();
            assert!(matches!(root.open_file(&path("pipe")), Err(Error::Changed { .. })));
            assert!(matches!(root.open_file(&path("a")), Err(Error::Changed { .. })));
            assert_eq!(root.stat(&path("pipe")).unwrap().unwrap().0, None);
        });
    }

    #[test]
    fn a_path_of_the_greatest_length_can_be_reached() {
        both_ways(|root, _| {
            let deep = vec!["d".repeat(200); 21].join("/")[..4096].to_owned();
            let missing = root.open_file(&path(&deep)).unwrap_err();
            let Error::Io { source, .. } = missing else { panic!("{missing}") };
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        });
    }
}
