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

/// Where a block lies in a pack, as its index says, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// From the begin of the file.
    pub offset: usize,
    /// Bytes there.
    pub len: usize,
    /// Objects in it.
    pub objects: usize,
    /// 0 raw, 1 zstd, 2 list.
    pub encoding: u8,
    /// 0 blob, 1 tree, 2 manifest, 3 list node.
    pub kind: u8,
}

/// The blocks of a sound pack, in their order. Reads what `docs/FORMAT.md` says, section 6.
#[must_use]
pub fn blocks(pack: &Path) -> Vec<Block> {
    let bytes = fs::read(pack).unwrap();
    let number = |at: usize, len: usize| -> usize {
        bytes[at..at + len].iter().rev().fold(0, |n, byte| n << 8 | usize::from(*byte))
    };
    let trailer = bytes.len() - 64;
    let (objects, count) = (number(trailer, 4), number(trailer + 4, 4));
    let first = number(trailer + 16, 8) + objects * 40;
    let begin = |n: usize| if n < count { number(first + n * 28 + 20, 4) } else { objects };
    (0..count)
        .map(|n| Block {
            offset: number(first + n * 28, 8),
            len: number(first + n * 28 + 16, 4),
            objects: begin(n + 1) - begin(n),
            encoding: bytes[first + n * 28 + 24],
            kind: bytes[first + n * 28 + 25],
        })
        .collect()
}
