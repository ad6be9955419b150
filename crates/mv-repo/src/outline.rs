//! What is known of a file before it is stored: its parts, and what they resemble.
//!
//! The numbers of a tensor resemble those of the tensor of the same name and inner shape in the
//! version before, whatever file that is in: shards move. A narrow tensor may be a rounded wide one
//! beside it. Everything else is compared with the file that had its path before. All of it is
//! advice: a file that cannot be read here is stored like any other.

mod parts;
mod tensors;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, OnceLock, PoisonError};

use mv_formats::{Source, read_layout};
use mv_graph::diff::{self, ListedFile};
use mv_graph::{Component, FileEntry, Manifest, RepoPath};
use mv_store::{Effort, Element, Hash, Outline, Part, Similar, Store};

use crate::file_bytes::{FileBytes, is_file};
use crate::worktree::Root;
use parts::{Numbers, parts_of};
use tensors::{Place, Tensors};

pub(crate) use tensors::may_have_numbers;

/// Files from this size on have an outline.
pub(crate) const OUTLINED: u64 = 64 << 10;
/// Files of the version before that are looked into for tensors.
const MOST_FILES: usize = 4096;
/// Bytes of a tensor that are compared with a wider one's before all of it is.
const SAMPLE: u64 = 4096;

/// Makes outlines of the files of one version.
pub(crate) struct Outlines<'a> {
    store: &'a Store,
    /// The version before.
    before: Option<&'a Manifest>,
    /// Where working files are read.
    root: Option<&'a Root>,
    efforts: [Effort; 4],
    /// The files of the version before in which tensors may be.
    files: OnceLock<Vec<ListedFile>>,
    /// The tensors of those files.
    known: OnceLock<Tensors>,
    /// The tensors of files that this version already stored.
    stored: Mutex<Tensors>,
}

/// The outline of a file, and the numbers in it.
pub(crate) struct Outlined {
    pub(crate) outline: Outline,
    numbers: Vec<Numbers>,
}

impl<'a> Outlines<'a> {
    pub(crate) fn new(
        store: &'a Store,
        before: Option<&'a Manifest>,
        root: Option<&'a Root>,
        efforts: [Effort; 4],
    ) -> Outlines<'a> {
        let (files, known, stored) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        Outlines { store, before, root, efforts, files, known, stored }
    }

    /// The outline of a working file that had some content before.
    pub(crate) fn of_working(
        &self,
        path: &RepoPath,
        component: Component,
        parent: Option<&FileEntry>,
    ) -> Outlined {
        let source = self.root.and_then(|root| FileBytes::working(root, path).ok());
        self.of(path, component, source.as_ref(), parent)
    }

    /// The outline of a file whose bytes are read from `source`.
    pub(crate) fn of(
        &self,
        path: &RepoPath,
        component: Component,
        source: Option<&FileBytes>,
        parent: Option<&FileEntry>,
    ) -> Outlined {
        let effort = self.efforts[component.index()];
        let parent = parent.filter(|entry| is_file(entry) && entry.bytes >= OUTLINED);
        let mut outline = Outline { parent: parent.map(|p| p.id), effort, ..Outline::default() };
        let Some(source) = source.filter(|source| source.size() >= OUTLINED) else {
            return Outlined { outline, numbers: Vec::new() };
        };
        let layout = read_layout(&path.to_string(), source).ok().flatten().unwrap_or_default();
        let (parts, numbers) = parts_of(&layout);
        outline.parts = parts;
        if effort != Effort::Fast {
            let same_path = parent.map(|entry| self.tensors_of(path, entry)).unwrap_or_default();
            for numbers in &numbers {
                let part = &mut outline.parts[numbers.part];
                part.similar = self.similar(numbers, part, &same_path, source);
            }
        }
        Outlined { outline, numbers }
    }

    /// Notes where the numbers of a file lie that was stored just now.
    pub(crate) fn add(&self, path: &RepoPath, blob: Hash, outlined: &Outlined) {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        for numbers in &outlined.numbers {
            let part = &outlined.outline.parts[numbers.part];
            stored.add(numbers, Place::new(blob, part, numbers, Some(path.clone())));
        }
    }

    /// Where numbers like these are, the most promising first.
    fn similar(
        &self,
        numbers: &Numbers,
        part: &Part,
        same_path: &Tensors,
        source: &FileBytes,
    ) -> Vec<Similar> {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner).find(numbers);
        let mut known = same_path.find(numbers);
        if !known.iter().any(|place| place.element == numbers.element) && part.len >= OUTLINED {
            known.extend(self.known().find(numbers));
        }
        let wider = stored.iter().chain(&known).filter(|place| {
            place.element.size() > numbers.element.size()
                && self.rounds(place, part, numbers, source)
        });
        let same = known.iter().chain(&stored).filter(|place| place.element == numbers.element);
        let chosen = wider.take(1).chain(same.take(1));
        chosen.map(Place::similar).collect()
    }

    /// Whether the first numbers of a part are those of a wider one, rounded.
    fn rounds(&self, wide: &Place, part: &Part, numbers: &Numbers, source: &FileBytes) -> bool {
        let len = part.len.min(SAMPLE);
        let wide_len = len / numbers.element.size() as u64 * wide.element.size() as u64;
        let narrow = source.read(part.start, usize::try_from(len).unwrap_or(0));
        let bytes = match (&wide.path, self.root) {
            // It may not be in the store yet.
            (Some(path), Some(root)) => FileBytes::working(root, path)
                .ok()
                .and_then(|file| file.read(wide.start, usize::try_from(wide_len).ok()?).ok()),
            _ => self.store.read_range(&wide.blob, wide.start, wide_len).ok(),
        };
        let (Ok(narrow), Some(bytes)) = (narrow, bytes) else { return false };
        numbers.element.is_rounded(&narrow, wide.element, &bytes)
    }

    /// The tensors of a file of the version before.
    fn tensors_of(&self, path: &RepoPath, entry: &FileEntry) -> Tensors {
        let mut tensors = Tensors::default();
        if let Ok(source) = FileBytes::stored(self.store, entry)
            && let Ok(Some(layout)) = read_layout(&path.to_string(), &source)
        {
            let (parts, numbers) = parts_of(&layout);
            for numbers in &numbers {
                tensors.add(numbers, Place::new(entry.id, &parts[numbers.part], numbers, None));
            }
        }
        tensors
    }

    /// The tensors of the version before, in any file.
    fn known(&self) -> &Tensors {
        self.known.get_or_init(|| {
            let mut all = Tensors::default();
            for file in self.files() {
                all.extend(self.tensors_of(&file.path, &file.entry));
            }
            all
        })
    }

    fn files(&self) -> &[ListedFile] {
        self.files.get_or_init(|| {
            let listed = self.before.map(|manifest| diff::list(self.store, manifest));
            let files = listed.and_then(Result::ok).unwrap_or_default().into_iter();
            let may_have = |file: &ListedFile| {
                is_file(&file.entry) && file.entry.bytes >= OUTLINED && may_have_numbers(&file.path)
            };
            files.filter(may_have).take(MOST_FILES).collect()
        })
    }
}

/// What the elements of a tensor are to the store; none for what is no number with an exponent and no
/// packed weight either.
fn element_of(dtype: &mv_formats::Dtype, name: &str) -> Option<Element> {
    use mv_formats::Dtype as D;
    Some(match dtype {
        D::Bf16 => Element::Bf16,
        D::F16 => Element::F16,
        D::F32 | D::C64 => Element::F32,
        D::F64 | D::C128 => Element::F64,
        D::I8 | D::F8E4M3 | D::F8E5M2 | D::Block { .. } => Element::Byte,
        // An array without a name is data: rows come and go, so it is cut where its content says.
        D::U8 if !name.is_empty() => Element::Byte,
        _ => return None,
    })
}
