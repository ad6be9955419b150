//! Reading files of an unknown machine: only regular ones, only so many bytes, never waiting.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Names of a directory that are looked at, at most.
const MAX_NAMES: usize = 50_000;

/// The first `cap` bytes of a regular file; symlinks are followed, since installers make them.
/// None for what is not there, is something else, or cannot be read.
pub(super) fn head(path: &Path, cap: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // A limit that is no file's size, for those of /proc that have none.
    open(path)?.take(cap as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// As [`head`], as text; bytes that are not UTF-8 are replaced.
pub(super) fn text(path: &Path, cap: usize) -> Option<String> {
    head(path, cap).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The names in a directory, sorted; none when it cannot be listed.
pub(super) fn names(dir: &Path) -> Vec<OsString> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.take(MAX_NAMES).filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    names.sort_unstable();
    names
}

/// The value of `key` in a file of `key = value` lines.
pub(super) fn setting<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut values = pairs.filter(|(k, _)| k.trim().eq_ignore_ascii_case(key));
    values.next().map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

/// A fifo would keep an ordinary open waiting for ever.
fn open(path: &Path) -> Option<File> {
    let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().is_ok_and(|meta| meta.is_file()).then_some(file)
}
