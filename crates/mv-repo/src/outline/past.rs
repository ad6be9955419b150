//! [`Past`]: a version that a new one is compared with: its larger files, and the tensors in them.
//!
//! Nothing is read before it is asked for. A version whose trees are not here has no files, and a
//! file that cannot be read has no tensors.

use std::sync::OnceLock;

use mv_formats::read_layout;
use mv_graph::diff::{self, ListedFile};
use mv_graph::{FileEntry, Manifest, RepoPath};
use mv_store::Store;

use super::is_outlined;
use super::parts::parts_of;
use super::tensors::{Place, Tensors, may_have_numbers};
use crate::file_bytes::FileBytes;

/// Files of a version that are looked into for tensors.
const MOST_FILES: usize = 4096;

/// The versions that a new one is compared with, one after the other.
#[derive(Default)]
pub(crate) struct Pasts {
    /// The one that the user named: for a reason, so it comes first.
    pub(crate) named: Option<Past>,
    /// The first parent.
    pub(crate) head: Option<Past>,
    /// What is merged into it.
    pub(crate) merged: Option<Past>,
}

/// A version that another is compared with.
pub(crate) struct Past {
    manifest: Manifest,
    /// The files that have outlines, by path.
    files: OnceLock<Vec<ListedFile>>,
    tensors: OnceLock<Tensors>,
}

impl Past {
    pub(crate) fn new(manifest: Manifest) -> Past {
        Past { manifest, files: OnceLock::new(), tensors: OnceLock::new() }
    }

    /// The file at a path. Costs a listing of the version, once.
    pub(super) fn entry(&self, store: &Store, path: &RepoPath) -> Option<FileEntry> {
        let files = self.files(store);
        let at = files.binary_search_by(|file| file.path.cmp(path)).ok()?;
        files.get(at).map(|file| file.entry)
    }

    /// The tensors of all files.
    pub(super) fn tensors(&self, store: &Store) -> &Tensors {
        self.tensors.get_or_init(|| {
            let mut all = Tensors::default();
            let files = self.files(store).iter();
            let files = files.filter(|file| may_have_numbers(&file.path, file.component));
            for file in files.take(MOST_FILES) {
                all.extend(tensors_in(store, &file.path, &file.entry));
            }
            all
        })
    }

    fn files(&self, store: &Store) -> &[ListedFile] {
        self.files.get_or_init(|| {
            let files = diff::list(store, &self.manifest).unwrap_or_default().into_iter();
            files.filter(|file| is_outlined(&file.entry)).collect()
        })
    }
}

/// The tensors of a stored file.
pub(super) fn tensors_in(store: &Store, path: &RepoPath, entry: &FileEntry) -> Tensors {
    let mut tensors = Tensors::default();
    if let Ok(source) = FileBytes::stored(store, entry)
        && let Ok(Some(layout)) = read_layout(&path.to_string(), &source)
    {
        let (parts, numbers) = parts_of(&layout);
        for numbers in &numbers {
            tensors.add(numbers, Place::new(entry.id, &parts[numbers.part], numbers, None));
        }
    }
    tensors
}
