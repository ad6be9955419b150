//! The only file that creates, renames, links, syncs or maps repository files.
//!
//! Publishing follows one order everywhere: write to a temporary name, sync the file, link or
//! rename it to its final name, sync the directory. After a failed write, sync or close the
//! temporary file is removed and never synced again: Linux reports a lost page once and then calls
//! it clean.

mod lock;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use memmap2::{Mmap, MmapOptions};
use rustix::fs::{CWD, OFlags};

use crate::error::{Error, IoContext, Result};
use crate::hash::{Hash, Nonce, nonce_hex};

pub use lock::Lock;

/// Creates a directory and its parents, and syncs every directory that gained an entry.
///
/// # Errors
/// `Io`.
pub fn create_dir_durably(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        create_dir_durably(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => share_like_parent(path),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e).at("create directory", path),
    }
    path.parent().map_or(Ok(()), sync_dir)
}

/// A folder that several users share is one whose group, or everybody, may write; what is made in it
/// must be so as well, whatever the umask of whoever comes first.
fn share_like_parent(path: &Path) {
    let Some(mode) = mode_of(parent_of(path)) else { return };
    if mode & 0o022 != 0 {
        // Best effort: who may not change the mode may still use the folder.
        drop(fs::set_permissions(path, Permissions::from_mode(mode & 0o3777)));
    }
}

fn mode_of(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|meta| meta.mode())
}

/// Lets whoever may read a shared folder read a file in it.
fn share_file(file: &File, dir: &Path) {
    let Some(mode) = mode_of(dir) else { return };
    if mode & 0o022 != 0 {
        drop(file.set_permissions(Permissions::from_mode(mode & 0o644)));
    }
}

/// Makes the entries of a directory durable.
///
/// # Errors
/// `Io`.
pub fn sync_dir(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let dir = File::open(path).at("open directory", path)?;
    dir.sync_all().at("sync directory", path)
}

/// A new file under a temporary name that removes itself unless it is published.
#[derive(Debug)]
pub struct TempFile {
    /// None once it is sealed.
    file: Option<File>,
    /// Whether the temporary name is still there to be removed.
    armed: bool,
    path: PathBuf,
    written: u64,
    flushed: u64,
    /// A sync that runs beside the writing of a large file.
    writeback: Option<JoinHandle<io::Result<()>>>,
}

/// After how many bytes a large file is synced in the background while it still grows, so that
/// the disk works while the processors encode.
const WRITEBACK: u64 = 64 << 20;

impl TempFile {
    /// Creates `dir/name`, which must not exist. The directory is made if it is not there.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(dir: &Path, name: &str) -> Result<TempFile> {
        let path = dir.join(name);
        let open =
            || OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&path);
        let file = match open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                create_dir_durably(dir)?;
                open()
            }
            other => other,
        }
        .at("create", &path)?;
        // Tells a sweeper that the file is in use; where locks do not work, its age does.
        drop(file.try_lock());
        share_file(&file, dir);
        Ok(TempFile {
            file: Some(file),
            armed: true,
            path,
            written: 0,
            flushed: 0,
            writeback: None,
        })
    }

    /// Appends bytes. Starts writeback early, so that the final sync has little left to do.
    ///
    /// # Errors
    /// `Io`; the file must then be dropped.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let file = self.file()?;
        let mut out: &File = file;
        out.write_all(bytes).at("write", &self.path)?;
        self.written += bytes.len() as u64;
        if self.written - self.flushed >= WRITEBACK
            && self.writeback.as_ref().is_none_or(JoinHandle::is_finished)
        {
            self.join_writeback()?;
            let twin = self.file()?.try_clone().at("duplicate", &self.path)?;
            self.writeback = Some(std::thread::spawn(move || twin.sync_data()));
            self.flushed = self.written;
        }
        Ok(())
    }

    /// Makes room for a file whose pieces come in any order by [`TempFile::write_at`].
    ///
    /// # Errors
    /// `Io`; the file must then be dropped.
    pub fn set_len(&mut self, len: u64) -> Result<()> {
        self.file()?.set_len(len).at("extend", &self.path)?;
        self.written = len;
        Ok(())
    }

    /// Writes bytes at a place below the length; several threads may do so.
    ///
    /// # Errors
    /// `Io`; the file must then be dropped.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file()?.write_all_at(bytes, offset).at("write", &self.path)
    }

    /// Bytes appended so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.written
    }

    /// Whether nothing was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Reads back bytes that were appended.
    ///
    /// # Errors
    /// `Io`.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file()?.read_exact_at(buffer, offset).at("read", &self.path)
    }

    /// Maps what was written, to check it before it is given its name.
    ///
    /// # Errors
    /// `Io`.
    pub fn map(&self) -> Result<Mmap> {
        let len = usize::try_from(self.written).unwrap_or(usize::MAX);
        map_range(self.file()?, &self.path, 0, len)
    }

    fn file(&self) -> Result<&File> {
        self.file.as_ref().ok_or_else(|| Error::Invalid {
            what: "temporary file",
            detail: format!("`{}` is closed", self.path.display()),
        })
    }

    /// Syncs the file and gives it its final name, replacing nothing: a name that is taken stays
    /// as it is and gives `Exists`. The directory is synced.
    ///
    /// # Errors
    /// `Exists`, `Io`. The temporary file is gone in every case.
    pub fn publish_new(mut self, target: &Path) -> Result<()> {
        self.seal()?;
        let outcome = link_new(&self.path, target);
        self.remove();
        outcome?;
        sync_dir(parent_of(target))
    }

    /// Syncs the file and renames it over whatever is there, then syncs the directory.
    ///
    /// # Errors
    /// `Io`.
    pub fn publish_over(mut self, target: &Path) -> Result<()> {
        self.seal()?;
        fs::rename(&self.path, target).at("rename", target)?;
        self.armed = false;
        sync_dir(parent_of(target))
    }

    /// Renames the file over whatever is there, with no promise for a power cut: for caches.
    ///
    /// # Errors
    /// `Io`.
    pub fn place_cache(mut self, target: &Path) -> Result<()> {
        self.close()?;
        fs::rename(&self.path, target).at("rename", target)?;
        self.armed = false;
        Ok(())
    }

    /// Makes the content durable and closes the file, which can then only be published.
    ///
    /// # Errors
    /// `Io`; the file must then be dropped.
    pub fn seal(&mut self) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        self.join_writeback()?;
        self.file()?.sync_all().at("sync", &self.path)?;
        self.close()
    }

    /// Waits for the writeback under way; its error is the file's death.
    fn join_writeback(&mut self) -> Result<()> {
        let Some(running) = self.writeback.take() else { return Ok(()) };
        let outcome =
            running.join().unwrap_or_else(|_| Err(io::Error::other("writeback panicked")));
        outcome.at("sync", &self.path)
    }

    fn close(&mut self) -> Result<()> {
        self.join_writeback()?;
        self.file.take().map_or(Ok(()), |file| close(file, &self.path))
    }

    fn remove(&mut self) {
        self.file = None;
        self.armed = false;
        // Best effort: what stays in the session's folder is swept by a later operation.
        drop(fs::remove_file(&self.path));
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.armed {
            self.remove();
        }
    }
}

/// Moves a file that is durable to a new name on the same file system, replacing nothing, durably.
///
/// # Errors
/// `Exists`, `Io`.
pub fn move_new(from: &Path, to: &Path) -> Result<()> {
    link_new(from, to)?;
    sync_dir(parent_of(to))?;
    remove(from)
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Links `from` to the new name `to`. On NFS a failed link may have worked: that the (unique) source
/// has one more link than before tells. Where hard links are not to be had, a no-replace rename serves.
fn link_new(from: &Path, to: &Path) -> Result<()> {
    let links = |path| fs::metadata(path).map(|meta| meta.nlink());
    // A move that was cut off leaves a source with two names.
    let before = links(from).at("stat", from)?;
    let Err(error) = fs::hard_link(from, to) else { return Ok(()) };
    if links(from).is_ok_and(|after| after > before) {
        return Ok(());
    }
    match error.kind() {
        io::ErrorKind::AlreadyExists => Err(Error::Exists { name: to.display().to_string() }),
        io::ErrorKind::NotFound if !parent_of(to).is_dir() => {
            create_dir_durably(parent_of(to))?;
            fs::hard_link(from, to).at("link", to)
        }
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => rename_new(from, to),
        _ => Err(error).at("link", to),
    }
}

#[cfg(target_os = "linux")]
fn rename_new(from: &Path, to: &Path) -> Result<()> {
    use rustix::fs::RenameFlags;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::EXIST) => Err(Error::Exists { name: to.display().to_string() }),
        other => other.at("rename", to),
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_new(from: &Path, to: &Path) -> Result<()> {
    rustix::fs::linkat(CWD, from, CWD, to, rustix::fs::AtFlags::empty()).at("link", to)
}

/// Closes a file and gives the error that a dropped `File` would swallow: quota, full disk and NFS
/// report there.
///
/// # Errors
/// `Io`.
#[expect(unsafe_code, reason = "std offers no close that returns its error")]
pub fn close(file: File, path: &Path) -> Result<()> {
    // SAFETY: `into_raw_fd` gives up ownership, so the descriptor is closed exactly once, here.
    unsafe { rustix::io::try_close(file.into_raw_fd()) }.at("close", path)
}

/// Replaces a small file atomically and durably.
///
/// # Errors
/// `Io`.
pub fn replace(path: &Path, bytes: &[u8], tmp_dir: &Path, nonce: &Nonce) -> Result<()> {
    let mut file = TempFile::create(tmp_dir, &nonce_hex(nonce))?;
    file.append(bytes)?;
    file.publish_over(path)
}

/// Replaces a cache atomically, without a promise for a power cut (its reader checks it).
///
/// # Errors
/// `Io`.
pub fn replace_cache(path: &Path, bytes: &[u8], tmp_dir: &Path, nonce: &Nonce) -> Result<()> {
    let mut file = TempFile::create(tmp_dir, &nonce_hex(nonce))?;
    file.append(bytes)?;
    file.place_cache(path)
}

/// Reads a whole file of at most `cap` bytes; a file that is not there is none.
///
/// # Errors
/// `Invalid` if it is larger, `Io`.
pub fn read_capped(path: &Path, cap: u64) -> Result<Option<Vec<u8>>> {
    let file = match open_regular(path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(cap.saturating_add(1)).read_to_end(&mut bytes).at("read", path)?;
    if bytes.len() as u64 > cap {
        let detail = format!("`{}` is larger than {cap} bytes", path.display());
        return Err(Error::Invalid { what: "file", detail });
    }
    Ok(Some(bytes))
}

/// Opens a regular file for reading; never follows a symlink and never blocks on a fifo, both of
/// which a hostile directory may hold.
///
/// # Errors
/// `Corrupt` for anything but a regular file, `Io`.
pub fn open_regular(path: &Path) -> Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    if let Err(e) = &opened
        && e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
    {
        return Err(Error::corrupt("file", path.display(), "it is a symlink"));
    }
    let file = opened.at("open", path)?;
    if !file.metadata().at("stat", path)?.is_file() {
        return Err(Error::corrupt("file", path.display(), "it is not a regular file"));
    }
    Ok(file)
}

/// Reads exactly `buffer.len()` bytes at `offset`.
///
/// # Errors
/// `Io`; a file that ends before gives `UnexpectedEof`.
pub fn read_at(file: &File, path: &Path, buffer: &mut [u8], offset: u64) -> Result<()> {
    file.read_exact_at(buffer, offset).at("read", path)
}

/// Maps part of a local, immutable file that this program wrote.
///
/// # Errors
/// `Io`.
#[expect(unsafe_code, reason = "a memory map has no safe constructor")]
pub fn map_range(file: &File, path: &Path, offset: u64, len: usize) -> Result<Mmap> {
    // SAFETY: only published packs of the local repository are mapped. They are never written
    // again, only unlinked, which leaves a mapping valid. Someone who truncates one from outside
    // gets SIGBUS, which the command line turns into one line and exit code 6.
    unsafe { MmapOptions::new().offset(offset).len(len).map(file) }.at("map", path)
}

/// Removes a file; one that is not there counts as removed.
///
/// # Errors
/// `Io`.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// Removes what interrupted operations left in a temporary folder: whatever was last changed before
/// `before` and is locked by nobody. Best effort; a failure only leaves a file for the next time.
pub fn sweep_abandoned(tmp: &Path, before: std::time::SystemTime) {
    let Ok(entries) = fs::read_dir(tmp) else { return };
    for entry in entries.flatten() {
        // Only what this program names so is its own to remove.
        let ours = |name: &str| name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if !entry.file_name().to_str().is_some_and(ours) {
            continue;
        }
        let Ok(meta) = entry.metadata() else { continue };
        if meta.modified().is_ok_and(|changed| changed >= before) {
            continue;
        }
        let path = entry.path();
        let held = if meta.is_dir() { path.join("lock") } else { path.clone() };
        let free = File::open(&held).is_ok_and(|file| file.try_lock().is_ok());
        match (meta.is_dir(), free || !held.exists()) {
            (true, true) => sweep_dir(&path),
            (false, true) => drop(fs::remove_file(&path)),
            (_, false) => {}
        }
    }
}

/// Removes the files of a cache of folders by the first two digits whose names are ids that are not
/// to be kept. Best effort.
pub fn keep_only(cache: &Path, kept: &dyn Fn(&Hash) -> bool) {
    let Ok(folders) = fs::read_dir(cache) else { return };
    for folder in folders.flatten() {
        let Ok(files) = fs::read_dir(folder.path()) else { continue };
        for file in files.flatten() {
            let id = file.file_name().to_str().and_then(Hash::from_hex);
            if id.is_some_and(|id| !kept(&id)) {
                drop(fs::remove_file(file.path()));
            }
        }
    }
}

/// Removes a directory with all it holds, as far as that goes: for temporary folders.
pub fn sweep_dir(path: &Path) {
    drop(fs::remove_dir_all(path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_two_names_already_is_moved_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), "x").unwrap();
        fs::hard_link(at("a"), at("twin")).unwrap();
        move_new(&at("a"), &at("new/folder/b")).unwrap();
        assert_eq!(fs::read(at("new/folder/b")).unwrap(), b"x");
        fs::write(at("c"), "y").unwrap();
        fs::hard_link(at("c"), at("twin of c")).unwrap();
        assert!(matches!(move_new(&at("c"), &at("new/folder/b")), Err(Error::Exists { .. })));
    }
}
