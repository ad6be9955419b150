//! [`Transport`] over a directory: a project's `.mv`, or a shared directory that a team mounts.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;

use crate::error::{Error, IoContext, Result};
use crate::fs as repo_fs;
use crate::fs::TempFile;
use crate::hash::{Nonce, nonce_hex};
use crate::progress::Task;
use crate::transport::{Source, Stat, Transport};

/// Bytes copied at once by one thread.
const PIECE: u64 = 4 << 20;

/// A directory of named byte objects. Symlinks and special files in it are refused.
#[derive(Clone, Debug)]
pub struct DirTransport {
    root: PathBuf,
}

impl DirTransport {
    /// The directory, which need not exist before the first `create`.
    #[must_use]
    pub fn open(root: &Path) -> DirTransport {
        DirTransport { root: root.to_path_buf() }
    }

    /// Where a name is kept. Names are made by this program, never taken from stored bytes. Its
    /// folders must be folders: through a symlink in their place files elsewhere would be reached.
    fn path(&self, name: &str) -> Result<PathBuf> {
        let path = self.plain_path(name)?;
        let mut folder = self.root.clone();
        for part in name.split('/').take(name.matches('/').count()) {
            folder.push(part);
            match fs::symlink_metadata(&folder) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => {
                    return Err(Error::corrupt("folder", folder.display(), "it is not a folder"));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                Err(e) => return Err(e).at("stat", &folder),
            }
        }
        Ok(path)
    }

    /// The folder of files that are not published yet, which must be a folder as well.
    fn tmp(&self) -> Result<PathBuf> {
        self.path("tmp/file")?;
        Ok(self.root.join("tmp"))
    }

    fn plain_path(&self, name: &str) -> Result<PathBuf> {
        let proper = !name.is_empty()
            && name.split('/').all(|part| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            });
        if proper {
            Ok(self.root.join(name))
        } else {
            Err(Error::Invalid {
                what: "object name",
                detail: format!("`{}`", name.escape_default()),
            })
        }
    }
}

/// Turns "not found" into `Absent`, whatever else stays what it is.
fn absent<T>(name: &str, outcome: Result<T>) -> Result<T> {
    match outcome {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(Error::Absent { name: name.to_owned() })
        }
        other => other,
    }
}

/// Refuses a range that leaves the file.
fn check_end(file: &fs::File, path: &Path, start: u64, len: u64) -> Result<()> {
    let size = file.metadata().at("stat", path)?.len();
    if start.checked_add(len).is_none_or(|end| end > size) {
        return Err(Error::corrupt("file", path.display(), format!("ends at {size}")));
    }
    Ok(())
}

impl Transport for DirTransport {
    fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>> {
        let found = match repo_fs::read_capped(&self.path(name)?, cap) {
            // Nothing that this program writes is over its limit.
            Err(Error::Invalid { detail, .. }) => return Err(Error::corrupt("file", name, detail)),
            other => other?,
        };
        found.ok_or_else(|| Error::Absent { name: name.to_owned() })
    }

    fn read_range(&self, name: &str, start: u64, len: u64) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        let file = absent(name, repo_fs::open_regular(&path))?;
        check_end(&file, &path, start, len)?;
        let wanted = usize::try_from(len)
            .map_err(|_| Error::Invalid { what: "range", detail: format!("{len} bytes") })?;
        let mut bytes = vec![0; wanted];
        repo_fs::read_at(&file, &path, &mut bytes, start)?;
        Ok(bytes)
    }

    fn read_into(&self, name: &str, start: u64, buffer: &mut [u8]) -> Result<()> {
        let path = self.path(name)?;
        let file = absent(name, repo_fs::open_regular(&path))?;
        check_end(&file, &path, start, buffer.len() as u64)?;
        repo_fs::read_at(&file, &path, buffer, start)
    }

    fn read_end(&self, name: &str, len: u64) -> Result<(Vec<u8>, u64)> {
        let path = self.path(name)?;
        let file = absent(name, repo_fs::open_regular(&path))?;
        let size = file.metadata().at("stat", &path)?.len();
        let wanted = usize::try_from(len.min(size))
            .map_err(|_| Error::Invalid { what: "range", detail: format!("{len} bytes") })?;
        let mut bytes = vec![0; wanted];
        repo_fs::read_at(&file, &path, &mut bytes, size - len.min(size))?;
        Ok((bytes, size))
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        let path = self.path(name)?;
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => {
                let modified_ns =
                    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
                Ok(Some(Stat { len: meta.len(), modified_ns }))
            }
            Ok(_) => Err(Error::corrupt("file", path.display(), "it is not a regular file")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).at("stat", &path),
        }
    }

    fn create(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()> {
        let path = self.path(name)?;
        let mut file = TempFile::create(&self.tmp()?, &nonce_hex(nonce))?;
        file.append(bytes)?;
        match file.publish_new(&path) {
            Err(Error::Exists { .. }) => Err(Error::Exists { name: name.to_owned() }),
            other => other,
        }
    }

    fn upload(&self, name: &str, source: &dyn Source, nonce: &Nonce, task: &Task) -> Result<()> {
        let path = self.path(name)?;
        let mut file = TempFile::create(&self.tmp()?, &nonce_hex(nonce))?;
        let len = source.len();
        file.set_len(len)?;
        let pieces = len.div_ceil(PIECE);
        (0..pieces).into_par_iter().try_for_each_init(Vec::new, |buffer, piece| -> Result<()> {
            task.check()?;
            let start = piece * PIECE;
            buffer.resize(usize::try_from(PIECE.min(len - start)).unwrap_or(0), 0);
            source.read_at(buffer, start)?;
            file.write_at(buffer, start)?;
            task.add(buffer.len() as u64);
            Ok(())
        })?;
        match file.publish_new(&path) {
            Err(Error::Exists { .. }) => Err(Error::Exists { name: name.to_owned() }),
            other => other,
        }
    }

    fn note(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()> {
        repo_fs::replace(&self.path(name)?, bytes, &self.tmp()?, nonce)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let path = self.path(prefix)?;
        let entries = match fs::read_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.at("list", &path)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.at("list", &path)?;
            if let Some(name) = entry.file_name().to_str() {
                names.push(format!("{prefix}/{name}"));
            }
        }
        Ok(names)
    }

    fn delete(&self, name: &str) -> Result<()> {
        repo_fs::remove(&self.path(name)?)
    }

    fn sweep(&self, before_ns: i64) {
        let before = Duration::from_nanos(u64::try_from(before_ns).unwrap_or(0));
        repo_fs::sweep_abandoned(&self.root.join("tmp"), SystemTime::UNIX_EPOCH + before);
    }

    fn address(&self) -> String {
        self.root.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> (tempfile::TempDir, DirTransport) {
        let dir = tempfile::tempdir().unwrap();
        let transport = DirTransport::open(dir.path());
        (dir, transport)
    }

    #[test]
    fn of_racing_creates_one_wins_and_its_bytes_stay() {
        let (_dir, transport) = new();
        let won: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8u8)
                .map(|n| {
                    let transport = &transport;
                    scope.spawn(move || transport.create("state/1", &[n], &[n; 16]).is_ok())
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(won.iter().filter(|&&w| w).count(), 1);
        let winner = u8::try_from(won.iter().position(|&w| w).unwrap()).unwrap();
        assert_eq!(transport.read("state/1", 10).unwrap(), [winner]);
    }

    #[test]
    fn nothing_is_left_in_tmp_after_a_create() {
        let (dir, transport) = new();
        transport.create("a/b", b"x", &[1; 16]).unwrap();
        assert!(matches!(transport.create("a/b", b"y", &[2; 16]), Err(Error::Exists { .. })));
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        let (_dir, transport) = new();
        for name in ["", "/x", "../x", "a//b", "a/..", "a\0b", "a/./b"] {
            assert!(matches!(transport.read(name, 1), Err(Error::Invalid { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_symlink_in_the_directory_is_refused() {
        let (dir, transport) = new();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("x")).unwrap();
        assert!(matches!(transport.read("x", 1 << 20), Err(Error::Corrupt { .. })));
        assert!(matches!(transport.size("x"), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_symlink_in_place_of_a_folder_is_refused() {
        let (dir, transport) = new();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("packs")).unwrap();
        assert!(transport.create("packs/ab/x", b"x", &[1; 16]).is_err());
        assert!(transport.read("packs/ab/x", 10).is_err());
        assert!(transport.list("packs").is_err() || transport.list("packs/ab").is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_upload_arrives_whole_whatever_its_length() {
        struct Ramp(u64);
        impl Source for Ramp {
            fn len(&self) -> u64 {
                self.0
            }
            fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
                for (n, byte) in (offset..).zip(buffer) {
                    *byte = (n % 251) as u8;
                }
                Ok(())
            }
        }
        let (_dir, transport) = new();
        let task = crate::Progress::new().task("sending", crate::Unit::Bytes);
        for (n, len) in (0u8..).zip([0, 1, PIECE, PIECE + 1, 3 * PIECE - 7]) {
            let name = format!("packs/{n}");
            transport.upload(&name, &Ramp(len), &[n; 16], &task).unwrap();
            let back = transport.read(&name, 1 << 30).unwrap();
            assert_eq!(back.len() as u64, len);
            assert!((0..len).zip(&back).all(|(n, byte)| u64::from(*byte) == n % 251));
            let (end, whole) = transport.read_end(&name, 5).unwrap();
            assert_eq!((end, whole), (back[back.len() - back.len().min(5)..].to_vec(), len));
        }
    }

    #[test]
    fn what_is_made_below_a_shared_folder_is_for_its_group_as_well() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, transport) = new();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2770)).unwrap();
        transport.create("packs/ab/x", b"x", &[1; 16]).unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().mode() & 0o7777;
        assert_eq!(mode("packs") & 0o770, 0o770);
        assert_eq!(mode("packs/ab") & 0o770, 0o770);
        assert_eq!(mode("packs/ab/x"), 0o640);
    }

    #[test]
    fn reading_past_the_end_is_an_error() {
        let (_dir, transport) = new();
        transport.create("x", b"abc", &[1; 16]).unwrap();
        assert_eq!(transport.read_range("x", 1, 2).unwrap(), b"bc");
        assert!(transport.read_range("x", 2, 2).is_err());
        assert!(transport.read_range("x", u64::MAX, 2).is_err());
        assert!(matches!(transport.read("x", 2), Err(Error::Corrupt { .. })));
        assert!(matches!(transport.read("y", 2), Err(Error::Absent { .. })));
    }
}
