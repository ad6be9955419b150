//! [`Files`]: a working tree as a value: every byte, bit and name that a version must keep.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// What stands under one name.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File {
        /// Its content.
        bytes: Vec<u8>,
        /// Whether its owner may execute it.
        exec: bool,
    },
    /// A symlink and where it points.
    Symlink(Vec<u8>),
    /// A directory with nothing in it.
    EmptyDir,
    /// A fifo, a socket or a device.
    Special,
}

impl Node {
    /// A plain file.
    #[must_use]
    pub fn file(bytes: impl AsRef<[u8]>) -> Node {
        Node::File { bytes: bytes.as_ref().to_vec(), exec: false }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Node::File { bytes, exec } => {
                let head = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]);
                let exec = if *exec { " executable" } else { "" };
                write!(f, "file({} bytes{exec} {head:?})", bytes.len())
            }
            Node::Symlink(target) => write!(f, "symlink({:?})", String::from_utf8_lossy(target)),
            Node::EmptyDir => f.write_str("empty directory"),
            Node::Special => f.write_str("special file"),
        }
    }
}

/// Paths relative to the root, as bytes, and what stands there. Directories are there through what
/// is in them; only empty ones have an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<Vec<u8>, Node>);

impl Files {
    /// Reads all below `root` but the repository folder.
    #[must_use]
    pub fn read(root: &Path) -> Files {
        let mut files = Files::default();
        walk(root, Vec::new(), &mut files.0);
        files
    }

    /// As [`Files::read`], without what `skip` says.
    #[must_use]
    pub fn without(mut self, skip: impl Fn(&[u8]) -> bool) -> Files {
        self.0.retain(|path, _| !skip(path));
        self
    }

    /// Puts a file under a name.
    pub fn put(&mut self, path: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        self.0.insert(path.as_ref().to_vec(), Node::file(bytes));
    }

    /// Writes everything below `root`, which has nothing under these names.
    pub fn write(&self, root: &Path) {
        for (path, node) in &self.0 {
            write_node(&root.join(OsStr::from_bytes(path)), node);
        }
    }

    /// Asserts equality and prints only what differs.
    ///
    /// # Panics
    /// When the two differ.
    #[track_caller]
    pub fn assert_same(&self, other: &Files, what: &str) {
        if self == other {
            return;
        }
        let mut lines = Vec::new();
        let names: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        for name in names {
            let (left, right) = (self.0.get(name), other.0.get(name));
            if left != right {
                let name = String::from_utf8_lossy(name);
                lines.push(format!("{name:?}: expected {right:?}, found {left:?}"));
            }
        }
        panic!("{what}: {} paths differ\n{}", lines.len(), lines.join("\n"));
    }
}

/// Writes one node, with the directories above it.
pub fn write_node(path: &Path, node: &Node) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match node {
        Node::File { bytes, exec } => {
            fs::write(path, bytes).unwrap();
            let mode = if *exec { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Node::Symlink(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
        Node::EmptyDir => fs::create_dir_all(path).unwrap(),
        Node::Special => panic!("`{}` would be a special file", path.display()),
    }
}

fn walk(dir: &Path, prefix: Vec<u8>, found: &mut BTreeMap<Vec<u8>, Node>) {
    let mut empty = true;
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if prefix.is_empty() && name == ".mv" {
            continue;
        }
        empty = false;
        let mut path = prefix.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend(name.as_bytes());
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            walk(&entry.path(), path, found);
        } else if meta.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            found.insert(path, Node::Symlink(target.into_os_string().into_vec()));
        } else if !meta.is_file() {
            found.insert(path, Node::Special);
        } else {
            let exec = meta.permissions().mode() & 0o100 != 0;
            let bytes = fs::read(entry.path()).unwrap();
            found.insert(path, Node::File { bytes, exec });
        }
    }
    if empty && !prefix.is_empty() {
        found.insert(prefix, Node::EmptyDir);
    }
}
