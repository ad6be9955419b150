//! [`Tree`]: one directory of one component, immutable and shared by all versions that contain it.
//!
//! ```text
//! count            varint
//! count x {
//!   name           length varint, bytes    strictly ascending by bytes, one checked component
//!   mode           varint                  0 file, 1 executable, 2 symlink, 3 directory
//!   id             32 bytes                a blob, or for a directory a tree
//!   bytes          varint                  length of the file, or the sum of all below
//!   files          varint                  1, or for a directory the number of files below
//! }
//! ```
//!
//! The framing around it is in `wire.rs`. Limits: 64 MiB and a million entries. Names that differ
//! in case only are legal, as they are on Linux; a checkout decides what its disk can hold.

use mv_store::{Hash, Kind};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::escape::escape_bytes;
use crate::objects::Objects;
use crate::path::check_component;
use crate::wire::{self, Wire};

/// Entries of the largest tree.
pub const MAX_ENTRIES: usize = 1_000_000;
/// Bytes of the longest symlink target; Linux makes none that is longer.
pub const MAX_SYMLINK: u64 = 4095;

/// What an entry is, and so how it is written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// A regular file, 0644.
    File,
    /// A regular file, 0755.
    Exec,
    /// A symlink; its blob is the target's bytes.
    Symlink,
    /// A directory. In a list of files: an empty one.
    Dir,
}

impl Mode {
    /// The name used in `--json`: `file`, `exec`, `symlink` or `dir`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::File => "file",
            Mode::Exec => "exec",
            Mode::Symlink => "symlink",
            Mode::Dir => "dir",
        }
    }

    /// Whether both are regular files, executable or not.
    #[must_use]
    pub fn same_type(self, other: Mode) -> bool {
        let regular = |mode| matches!(mode, Mode::File | Mode::Exec);
        self == other || (regular(self) && regular(other))
    }
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TreeEntry {
    /// One path component; any bytes that [`check_component`] lets pass.
    #[serde(with = "wire::bytes")]
    pub name: Vec<u8>,
    /// What it is.
    pub mode: Mode,
    /// Its blob, or its tree for a directory.
    pub id: Hash,
    /// The file's length; for a directory the sum of all lengths below.
    pub bytes: u64,
    /// 1; for a directory the number of files below, which is 0 when there are only directories.
    pub files: u64,
}

/// One directory, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Strictly ascending by name.
    pub entries: Vec<TreeEntry>,
}

impl Wire for Tree {
    const MAGIC: [u8; 4] = *b"MVtr";
    const WHAT: &'static str = "tree";
    const CAP: usize = 64 << 20;
    const SEALED: bool = false;

    fn validate(&self) -> Result<()> {
        Tree::validate(self)
    }
}

impl Tree {
    /// Bytes of the longest encoding.
    pub const CAP: u64 = <Tree as Wire>::CAP as u64;

    /// The canonical bytes.
    ///
    /// # Errors
    /// What [`Tree::validate`] refuses, and more than 64 MiB.
    pub fn encode(&self) -> Result<Vec<u8>> {
        wire::encode(self)
    }

    /// The tree of canonical bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`].
    pub fn decode(bytes: &[u8]) -> Result<Tree> {
        wire::decode(bytes, wire::name_of(Kind::Tree, bytes))
    }

    /// Reads and decodes the tree of this id.
    ///
    /// # Errors
    /// Those of [`Objects::get`] and [`Tree::decode`].
    pub fn read(objects: &dyn Objects, id: &Hash) -> Result<Tree> {
        wire::decode(&objects.get(Kind::Tree, id, Tree::CAP)?, || id.to_hex())
    }

    /// Reads a tree that its parent says holds `files` files of `bytes` bytes, and holds it to it:
    /// totals that were checked at the top are then true all the way down.
    ///
    /// # Errors
    /// Those of [`Tree::read`]; `Corrupt` when the totals differ.
    pub fn read_counted(objects: &dyn Objects, id: &Hash, files: u64, bytes: u64) -> Result<Tree> {
        let tree = Tree::read(objects, id)?;
        let (found_files, found_bytes) = tree.totals()?;
        if (found_files, found_bytes) == (files, bytes) {
            return Ok(tree);
        }
        let detail = format!(
            "it holds {found_files} files of {found_bytes} bytes, not {files} of {bytes} as its parent says"
        );
        Err(Error::corrupt("tree", id, detail))
    }

    /// The id of the canonical bytes.
    ///
    /// # Errors
    /// Those of [`Tree::encode`].
    pub fn id(&self) -> Result<Hash> {
        Ok(mv_store::id_of(Kind::Tree, &self.encode()?))
    }

    /// The entry of this name, by binary search.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&TreeEntry> {
        let place = self.entries.binary_search_by(|entry| entry.name.as_slice().cmp(name)).ok()?;
        self.entries.get(place)
    }

    /// Files and bytes below this directory.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a sum exceeds 64 bits.
    pub fn totals(&self) -> Result<(u64, u64)> {
        let mut totals = (0u64, 0u64);
        for entry in &self.entries {
            let sum = totals.0.checked_add(entry.files).zip(totals.1.checked_add(entry.bytes));
            totals =
                sum.ok_or_else(|| Error::invalid("tree", "its sizes add up to more than 64 bits"))?;
        }
        Ok(totals)
    }

    /// Refuses bad names, wrong order, duplicates and impossible counts.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        if self.entries.len() > MAX_ENTRIES {
            return Err(Error::invalid("tree", format!("it has more than {MAX_ENTRIES} entries")));
        }
        for entry in &self.entries {
            let refused = |detail: &dyn std::fmt::Display| {
                Error::invalid("tree entry", format!("`{}`: {detail}", escape_bytes(&entry.name)))
            };
            check_component(&entry.name).map_err(|e| refused(&e))?;
            match entry.mode {
                Mode::Dir if entry.files == 0 && entry.bytes != 0 => {
                    return Err(refused(&"bytes without files"));
                }
                Mode::Dir => {}
                _ if entry.files != 1 => return Err(refused(&"a file does not count as one")),
                Mode::Symlink if entry.bytes == 0 || entry.bytes > MAX_SYMLINK => {
                    return Err(refused(&"a symlink's target has 1 to 4095 bytes"));
                }
                Mode::File | Mode::Exec | Mode::Symlink => {}
            }
        }
        if !wire::is_sorted(&self.entries, |entry| entry.name.as_slice()) {
            return Err(Error::invalid("tree", "its names are not in strictly ascending order"));
        }
        self.totals().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_hostile_bytes_are_refused, hex};

    fn entry(name: &[u8], mode: Mode, bytes: u64) -> TreeEntry {
        TreeEntry { name: name.to_vec(), mode, id: Hash([7; 32]), bytes, files: 1 }
    }

    fn sample() -> Tree {
        Tree {
            entries: vec![
                entry(b"a", Mode::File, 5),
                entry(b"b\xff", Mode::Exec, 300),
                entry(b"c", Mode::Symlink, 9),
                TreeEntry { files: 70_000, ..entry(b"d", Mode::Dir, 1 << 40) },
            ],
        }
    }

    #[test]
    fn the_bytes_of_a_tree_never_change() {
        let id = "07".repeat(32);
        let expected = [
            "4d567472",
            "01",
            "04", // magic, version, count
            "0161",
            "00",
            &id,
            "05",
            "01", // a: file of 5 bytes
            "0262ff",
            "01",
            &id,
            "fb2c01",
            "01", // b\xff: executable of 300 bytes
            "0163",
            "02",
            &id,
            "09",
            "01", // c: symlink
            "0164",
            "03",
            &id,
            "fd0000000000010000",
            "fc70110100", // d: 70,000 files, 1 TiB
        ]
        .concat();
        let bytes = sample().encode().unwrap();
        assert_eq!(hex(&bytes), expected);
        assert_eq!(Tree::decode(&bytes).unwrap(), sample());
        assert_eq!(hex(&Tree::default().encode().unwrap()), "4d5674720100");
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let bytes = sample().encode().unwrap();
        // The count, and each name's length.
        assert_hostile_bytes_are_refused(&bytes, &[5, 6, 6 + 37], |b| {
            Tree::decode(b).map(|t| t.encode().unwrap())
        });
    }

    #[test]
    fn names_that_are_no_single_safe_component_are_refused() {
        for name in
            [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", b".mv", b".GIT", b"git~1", &[b'x'; 256]]
        {
            let tree = Tree { entries: vec![entry(name, Mode::File, 1)] };
            assert!(matches!(tree.encode(), Err(Error::Invalid { .. })), "{name:?}");
        }
    }

    #[test]
    fn unsorted_and_repeated_names_are_refused() {
        for names in [[b"b", b"a"], [b"a", b"a"]] {
            let tree = Tree { entries: names.map(|n| entry(n, Mode::File, 1)).to_vec() };
            assert!(tree.encode().is_err());
        }
    }

    #[test]
    fn impossible_counts_are_refused() {
        let file = entry(b"a", Mode::File, 1);
        let dir = TreeEntry { files: 0, ..entry(b"d", Mode::Dir, 0) };
        for bad in [
            TreeEntry { files: 2, ..file.clone() },
            TreeEntry { files: 0, ..file.clone() },
            TreeEntry { bytes: 1, ..dir.clone() },
            TreeEntry { mode: Mode::Symlink, bytes: 4097, ..file.clone() },
            TreeEntry { mode: Mode::Symlink, bytes: 0, ..file },
        ] {
            assert!(Tree { entries: vec![bad] }.encode().is_err());
        }
        let full =
            |name: &[u8]| TreeEntry { files: 1, bytes: u64::MAX, ..entry(name, Mode::Dir, 0) };
        assert!(Tree { entries: vec![full(b"a"), full(b"b")] }.encode().is_err());
        assert!(Tree { entries: vec![dir] }.encode().is_ok());
    }

    #[test]
    fn a_damaged_stored_tree_is_corrupt_not_invalid() {
        let mut bytes = sample().encode().unwrap();
        bytes[7] = b'/';
        assert!(matches!(Tree::decode(&bytes), Err(Error::Corrupt { what: "tree", .. })));
        bytes[4] = 2;
        assert!(matches!(Tree::decode(&bytes), Err(Error::Unsupported { .. })));
    }

    #[test]
    fn an_entry_is_found_by_name() {
        assert_eq!(sample().get(b"c").unwrap().mode, Mode::Symlink);
        assert!(sample().get(b"cc").is_none());
    }
}
