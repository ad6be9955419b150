//! Damage to stored files, as disks, cables and people do it.

use std::fs;
use std::path::{Path, PathBuf};

/// Every regular file below a directory, in order.
#[must_use]
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            found.extend(files_below(&path));
        } else if meta.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Flips one bit of a file in place.
pub fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1 << (bit % 8);
    overwrite(path, &bytes);
}

/// Cuts a file off.
pub fn truncate(path: &Path, len: usize) {
    let bytes = fs::read(path).unwrap();
    overwrite(path, &bytes[..len]);
}

/// Adds bytes to a file's end.
pub fn append(path: &Path, more: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    bytes.extend(more);
    overwrite(path, &bytes);
}

/// Replaces a file that may be read-only; what has it open keeps the old one.
pub fn overwrite(path: &Path, bytes: &[u8]) {
    let tmp = path.with_extension("damaged");
    fs::write(&tmp, bytes).unwrap();
    fs::rename(tmp, path).unwrap();
}

/// The packs of a repository folder.
#[must_use]
pub fn packs(dot: &Path) -> Vec<PathBuf> {
    files_below(&dot.join("packs"))
}
