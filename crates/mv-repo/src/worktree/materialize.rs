//! Writing into the work tree.
//!
//! Every file is written under a unique temporary name and renamed over its target, so that a
//! reader sees the old content or the new (of a large file for a moment neither), and a hard link or a symlink is replaced, never
//! written through. The parent directory is resolved anew beneath the root for every call, with
//! no symlink on the way: resolving costs about a microsecond, a remembered check has cost others
//! their users' home directories.
//!
//! Nothing is synced (the checkout marker and the stat cache's boot id cover a power cut) and
//! nothing is decided: whether a file may be overwritten is the caller's plan, for which
//! [`Writer::expect`] gives the last look.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use mv_graph::RepoPath;
use mv_store::{Nonces, nonce_hex};
use rustix::fs::{
    AtFlags, Mode as Bits, OFlags, fstat, mkdirat, openat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::beneath::Root;
use super::ignore::TEMPORARY;
use super::order::split;
use super::stat::Stat;
use crate::error::{Error, IoContext, Result};

/// From this size on, in bytes, a file's old content is removed before the new takes its place.
pub const LARGE: u64 = 8 << 20;

/// Writes, replaces and removes files beneath one root. Threads may share it.
#[derive(Debug)]
pub struct Writer<'a> {
    root: Root,
    tmp: OwnedFd,
    tmp_path: PathBuf,
    tmp_device: u64,
    nonces: &'a Nonces,
}

/// A directory that a temporary name may be made in.
struct Place<'a> {
    dir: &'a OwnedFd,
    path: &'a Path,
    prefix: &'static [u8],
}

/// Makes something under a temporary name; returns it open if it is a file.
type Make<'m> = dyn FnMut(&Place<'_>, &[u8]) -> Result<Option<File>> + 'm;

/// The directory of a target, resolved for one call.
struct Target<'a> {
    dir: OwnedFd,
    dir_path: PathBuf,
    path: PathBuf,
    name: &'a [u8],
}

impl<'a> Writer<'a> {
    /// A writer beneath `root` whose temporary files are made in `tmp_dir`, which exists and is
    /// best on the same file system.
    ///
    /// # Errors
    /// `Io`.
    pub fn new(root: &Path, tmp_dir: &Path, nonces: &'a Nonces) -> Result<Writer<'a>> {
        let root = Root::open(root)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let tmp = rustix::fs::open(tmp_dir, flags, Bits::empty()).at("open", tmp_dir)?;
        let tmp_device = fstat(&tmp).at("stat", tmp_dir)?.st_dev;
        Ok(Writer { root, tmp, tmp_path: tmp_dir.to_path_buf(), tmp_device, nonces })
    }

    /// The root that is written beneath.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Checks that a path still is as the plan saw it: that stat, or nothing there.
    ///
    /// # Errors
    /// `Changed` if it is not; `Io`.
    pub fn expect(&self, path: &RepoPath, seen: Option<&Stat>) -> Result<()> {
        let now = self.root.stat(path)?.map(|(_, stat)| stat);
        if now.as_ref() == seen { Ok(()) } else { Err(Error::Changed { path: path.clone() }) }
    }

    /// Makes a directory and those above it, as far as they are missing. Never replaces anything:
    /// a file or symlink in the way is the caller's to remove first.
    ///
    /// # Errors
    /// `Blocked` if a file or symlink is in the way; `Io`.
    pub fn ensure_dir(&self, path: &RepoPath) -> Result<()> {
        let whole = path.as_bytes();
        // Most directories are there already: one call, no steps.
        match self.root.open_parent(whole) {
            Ok(_) => return Ok(()),
            Err(Errno::NOENT) => {}
            Err(e) => return Err(self.root.explain("open", whole, e)),
        }
        let ends = whole.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(end, _)| end);
        for end in ends.chain([whole.len()]) {
            let target = self.target(&whole[..end])?;
            match mkdirat(&target.dir, target.name, Bits::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(e) => return Err(Error::io("create the directory", target.path, e)),
            }
        }
        let made = self.root.open_parent(whole);
        made.map(drop).map_err(|e| self.root.explain("open", whole, e))
    }

    /// Writes a file and puts it in place of whatever file, symlink or empty directory is there;
    /// returns its stat. The parent directory exists. `fill` may be called a second time, for
    /// another temporary file, when the first turns out to be on another file system.
    ///
    /// # Errors
    /// What `fill` returns; `Blocked` if a parent is a file or symlink; `Io`, also for a
    /// directory with something in it. The target is untouched on any error.
    pub fn write_file(
        &self,
        path: &RepoPath,
        exec: bool,
        fill: &mut dyn FnMut(&mut (dyn Write + Send)) -> Result<()>,
    ) -> Result<Stat> {
        let target = self.target(path.as_bytes())?;
        self.replace(&target, &mut |place, name| {
            let bits = Bits::from_raw_mode(if exec { 0o755 } else { 0o644 });
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = openat(place.dir, name, flags, bits)
                .map_err(|e| Error::io("create a temporary file in", place.path, e))?;
            let mut file = File::from(fd);
            fill(&mut file)?;
            Ok(Some(file))
        })
    }

    /// Makes a symlink to those bytes in place of whatever file, symlink or empty directory is
    /// there; returns its stat. The target is not looked at.
    ///
    /// # Errors
    /// As [`Writer::write_file`]; `Invalid` for a target that no symlink can have.
    pub fn write_symlink(&self, path: &RepoPath, to: &[u8]) -> Result<Stat> {
        if to.is_empty() || to.len() >= 4096 || to.contains(&0) {
            let what = format!("target of the symlink `{}`", path.display_escaped());
            return Err(Error::invalid(what, "it is empty, too long or has a NUL byte"));
        }
        let target = self.target(path.as_bytes())?;
        self.replace(&target, &mut |place, name| {
            symlinkat(to, place.dir, name)
                .map_err(|e| Error::io("create a symlink in", place.path, e))?;
            Ok(None)
        })
    }

    /// Removes a file or symlink and says whether there was one.
    ///
    /// # Errors
    /// `Blocked` if a parent is a file or symlink; `Io`, also for a directory.
    pub fn remove_file(&self, path: &RepoPath) -> Result<bool> {
        self.unlink(path, AtFlags::empty())
    }

    /// Removes a directory if nothing is in it, and says whether it did.
    ///
    /// # Errors
    /// `Blocked` if it or a parent is a file or symlink; `Io`.
    pub fn remove_dir_if_empty(&self, path: &RepoPath) -> Result<bool> {
        self.unlink(path, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, path: &RepoPath, flags: AtFlags) -> Result<bool> {
        let target = match self.target(path.as_bytes()) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(false);
            }
            other => other?,
        };
        match unlinkat(&target.dir, target.name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(Errno::NOTEMPTY | Errno::EXIST) if flags == AtFlags::REMOVEDIR => Ok(false),
            Err(e) => Err(self.root.explain("remove", path.as_bytes(), e)),
        }
    }

    fn target<'p>(&self, path: &'p [u8]) -> Result<Target<'p>> {
        let (parent, name) = split(path);
        let dir =
            self.root.open_parent(parent).map_err(|e| self.root.explain("open", parent, e))?;
        let (dir_path, path) = (self.root.absolute(parent), self.root.absolute(path));
        Ok(Target { dir, dir_path, path, name })
    }

    /// Has something made under a temporary name and renames it over the target: from the
    /// repository's temporary directory if that is possible, else from the target's own.
    fn replace(&self, target: &Target<'_>, make: &mut Make<'_>) -> Result<Stat> {
        let beside = Place { dir: &target.dir, path: &target.dir_path, prefix: TEMPORARY };
        let device = fstat(&target.dir).at("stat", &target.dir_path)?.st_dev;
        if device == self.tmp_device {
            let central = Place { dir: &self.tmp, path: &self.tmp_path, prefix: b"" };
            match self.replace_from(&central, target, make) {
                // A bind mount, a sub-volume or a project quota: same device, and yet.
                Err(Error::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::CrossesDevices => {}
                other => return other,
            }
        }
        self.replace_from(&beside, target, make)
    }

    fn replace_from(
        &self,
        place: &Place<'_>,
        target: &Target<'_>,
        make: &mut Make<'_>,
    ) -> Result<Stat> {
        let mut name = place.prefix.to_vec();
        name.extend_from_slice(nonce_hex(&self.nonces.next()).as_bytes());
        let renamed = make(place, &name).and_then(|file| {
            if let Some(file) = &file {
                make_way(file, target)?;
            }
            rename_over(place.dir, &name, target)?;
            // The rename changed the ctime, so the stat is taken only now; by the descriptor
            // where there is one, because the name may be somebody else's again.
            let raw = match &file {
                Some(file) => fstat(file),
                None => statat(&target.dir, target.name, AtFlags::SYMLINK_NOFOLLOW),
            };
            let raw = raw.at("stat", &target.path)?;
            if let Some(file) = file {
                mv_store::fs::close(file, &target.path)?;
            }
            Ok(Stat::of(&raw))
        });
        renamed.inspect_err(|_| {
            // Best effort: the first error is the one to tell, and what is left has a name that
            // is never versioned.
            unlinkat(place.dir, name.as_slice(), AtFlags::empty()).unwrap_or_default();
        })
    }
}

/// Removes the old file before a large one takes its name. Some file systems (ext4) write out a file
/// that is renamed over another before they go on, which makes replacing a large file twice as
/// slow as writing it. What is removed is in the repository, and the checkout mark tells of a
/// checkout that ended in between.
fn make_way(file: &File, target: &Target<'_>) -> Result<()> {
    if fstat(file).at("stat", &target.path)?.st_size < LARGE.cast_signed() {
        return Ok(());
    }
    match unlinkat(&target.dir, target.name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT | Errno::ISDIR | Errno::PERM) => Ok(()),
        Err(e) => Err(Error::io("replace", target.path.clone(), e)),
    }
}

fn rename_over(from: &OwnedFd, name: &[u8], target: &Target<'_>) -> Result<()> {
    let rename = || renameat(from, name, &target.dir, target.name);
    let done = match rename() {
        // An empty directory makes way; one with something in it refuses.
        Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
            unlinkat(&target.dir, target.name, AtFlags::REMOVEDIR).and_then(|()| rename())
        }
        other => other,
    };
    done.map_err(|e| Error::io("replace", target.path.clone(), e))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::from_bytes(text.as_bytes()).unwrap()
    }

    /// A work tree with its temporary directory, beside a directory that must not change.
    struct Desk {
        dir: tempfile::TempDir,
        nonces: Nonces,
    }

    impl Desk {
        fn new() -> Desk {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("tree/.mv/tmp/s")).unwrap();
            fs::create_dir(dir.path().join("outside")).unwrap();
            fs::write(dir.path().join("outside/file"), "sentinel").unwrap();
            Desk { dir, nonces: Nonces::from_seed([1; 32]) }
        }

        fn tree(&self) -> PathBuf {
            self.dir.path().join("tree")
        }

        fn writer(&self) -> Writer<'_> {
            Writer::new(&self.tree(), &self.tree().join(".mv/tmp/s"), &self.nonces).unwrap()
        }

        fn write(&self, to: &str, text: &str) -> Result<Stat> {
            self.writer().write_file(&path(to), false, &mut |out| {
                out.write_all(text.as_bytes()).at("write", Path::new(to))
            })
        }

        fn read(&self, from: &str) -> String {
            fs::read_to_string(self.tree().join(from)).unwrap()
        }

        fn assert_tidy(&self) {
            assert_eq!(fs::read_dir(self.tree().join(".mv/tmp/s")).unwrap().count(), 0);
            assert_eq!(self.read("../outside/file"), "sentinel");
            assert_eq!(fs::read_dir(self.dir.path().join("outside")).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_file_gets_its_content_its_mode_and_the_stat_that_a_scan_will_see() {
        let desk = Desk::new();
        desk.writer().ensure_dir(&path("a/b/c")).unwrap();
        let stat = desk.write("a/b/c/file", "text").unwrap();
        assert_eq!(desk.read("a/b/c/file"), "text");
        let seen = desk.writer().root().stat(&path("a/b/c/file")).unwrap().unwrap();
        assert_eq!(seen, (Some(mv_graph::Mode::File), stat));
        desk.writer().write_file(&path("a/run"), true, &mut |_| Ok(())).unwrap();
        let mode = fs::metadata(desk.tree().join("a/run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7733, 0o711 & mode);
        assert_ne!(mode & 0o100, 0);
        desk.assert_tidy();
    }

    #[test]
    fn a_symlink_planted_in_place_of_a_parent_directory_is_refused() {
        let desk = Desk::new();
        symlink("../outside", desk.tree().join("d")).unwrap();
        let blocked = |result: Result<()>| assert!(matches!(result, Err(Error::Blocked { .. })));
        blocked(desk.write("d/file", "evil").map(drop));
        blocked(desk.writer().ensure_dir(&path("d")));
        blocked(desk.writer().ensure_dir(&path("d/sub")));
        blocked(desk.writer().write_symlink(&path("d/link"), b"x").map(drop));
        blocked(desk.writer().remove_file(&path("d/file")).map(drop));
        blocked(desk.writer().remove_dir_if_empty(&path("d")).map(drop));
        desk.assert_tidy();
    }

    #[test]
    fn a_symlink_is_replaced_by_a_file_and_by_a_directory_and_not_followed() {
        let desk = Desk::new();
        symlink("../outside/file", desk.tree().join("f")).unwrap();
        desk.write("f", "mine").unwrap();
        assert_eq!(desk.read("f"), "mine");
        symlink("../outside", desk.tree().join("d")).unwrap();
        assert!(desk.writer().remove_file(&path("d")).unwrap());
        desk.writer().ensure_dir(&path("d")).unwrap();
        desk.write("d/file", "mine").unwrap();
        assert!(!desk.tree().join("d").is_symlink());
        desk.assert_tidy();
    }

    #[test]
    fn a_hard_link_is_replaced_and_its_other_name_keeps_the_old_content() {
        let desk = Desk::new();
        fs::hard_link(desk.dir.path().join("outside/file"), desk.tree().join("f")).unwrap();
        desk.write("f", "mine").unwrap();
        assert_eq!(desk.read("f"), "mine");
        desk.assert_tidy();
    }

    #[test]
    fn an_empty_directory_makes_way_and_a_full_one_does_not() {
        let desk = Desk::new();
        fs::create_dir_all(desk.tree().join("full/sub")).unwrap();
        fs::create_dir(desk.tree().join("empty")).unwrap();
        fs::create_dir(desk.tree().join("empty2")).unwrap();
        desk.write("empty", "file").unwrap();
        desk.writer().write_symlink(&path("empty2"), b"anywhere").unwrap();
        assert_eq!(fs::read_link(desk.tree().join("empty2")).unwrap(), Path::new("anywhere"));
        assert!(matches!(desk.write("full", "file"), Err(Error::Io { .. })));
        assert!(desk.tree().join("full/sub").is_dir());
        assert!(!desk.writer().remove_dir_if_empty(&path("full")).unwrap());
        assert!(desk.writer().remove_dir_if_empty(&path("full/sub")).unwrap());
        assert!(!desk.writer().remove_dir_if_empty(&path("gone/sub")).unwrap());
        desk.assert_tidy();
    }

    #[test]
    fn a_file_in_place_of_a_parent_is_refused() {
        let desk = Desk::new();
        desk.write("f", "text").unwrap();
        assert!(matches!(desk.writer().ensure_dir(&path("f/g")), Err(Error::Blocked { .. })));
        assert!(matches!(desk.write("f/g", ""), Err(Error::Blocked { .. })));
        assert_eq!(desk.read("f"), "text");
        desk.assert_tidy();
    }

    #[test]
    fn a_failure_half_way_leaves_the_target_and_no_temporary_file() {
        let desk = Desk::new();
        desk.write("f", "old").unwrap();
        let failed = desk.writer().write_file(&path("f"), false, &mut |out| {
            out.write_all(b"half").at("write", Path::new("f"))?;
            Err(Error::NothingToCommit)
        });
        assert!(matches!(failed, Err(Error::NothingToCommit)));
        assert_eq!(desk.read("f"), "old");
        desk.assert_tidy();
    }

    #[test]
    fn a_target_on_another_file_system_gets_its_temporary_file_beside_it() {
        let other = Path::new("/dev/shm");
        let desk = Desk::new();
        let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
        if device(other).is_none() || device(other) == device(desk.dir.path()) {
            return;
        }
        let tmp = tempfile::tempdir_in(other).unwrap();
        let writer = Writer::new(&desk.tree(), tmp.path(), &desk.nonces).unwrap();
        writer
            .write_file(&path("f"), false, &mut |out| {
                out.write_all(b"text").at("write", Path::new("f"))
            })
            .unwrap();
        writer.write_symlink(&path("l"), b"f").unwrap();
        assert_eq!(desk.read("l"), "text");
        assert_eq!(fs::read_dir(desk.tree()).unwrap().count(), 3);
        desk.assert_tidy();
    }

    #[test]
    fn removing_says_whether_anything_was_there() {
        let desk = Desk::new();
        desk.write("f", "").unwrap();
        symlink("../outside/file", desk.tree().join("l")).unwrap();
        for name in ["f", "l"] {
            assert!(desk.writer().remove_file(&path(name)).unwrap());
            assert!(!desk.writer().remove_file(&path(name)).unwrap());
        }
        assert!(!desk.writer().remove_file(&path("no/such")).unwrap());
        desk.assert_tidy();
    }

    #[test]
    fn the_last_look_notices_what_the_plan_did_not_see() {
        let desk = Desk::new();
        let stat = desk.write("f", "one").unwrap();
        let writer = desk.writer();
        writer.expect(&path("f"), Some(&stat)).unwrap();
        writer.expect(&path("g"), None).unwrap();
        assert!(matches!(writer.expect(&path("f"), None), Err(Error::Changed { .. })));
        assert!(matches!(writer.expect(&path("g"), Some(&stat)), Err(Error::Changed { .. })));
        desk.write("f", "two").unwrap();
        assert!(matches!(writer.expect(&path("f"), Some(&stat)), Err(Error::Changed { .. })));
    }

    #[test]
    fn symlink_targets_that_cannot_be_are_refused() {
        let desk = Desk::new();
        for bad in [&b""[..], b"a\0b", &[b'x'; 4096]] {
            let refused = desk.writer().write_symlink(&path("l"), bad);
            assert!(matches!(refused, Err(Error::Invalid { .. })));
        }
        desk.assert_tidy();
    }
}
