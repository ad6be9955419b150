//! What is known of a file before it is stored: its parts, and what they resemble.
//!
//! The numbers of a tensor resemble those of the tensor of the same name and inner shape in the
//! version before, whatever file that is in: shards move. A version that the user names comes before
//! it; a tensor that neither has is looked for where any commit stored it last. A narrow tensor may
//! be a rounded wide one beside it. Everything else is compared with the file that had its path
//! before. All of it is advice: a file that cannot be read here is stored like any other.

mod parts;
mod past;
mod seen;
mod tensors;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use mv_formats::{Source, read_layout};
use mv_graph::{Component, FileEntry, RepoPath};
use mv_store::{Effort, Element, Hash, Outline, Part, Similar, Store};

use crate::file_bytes::{FileBytes, is_file};
use crate::worktree::Root;
use parts::{Numbers, parts_of};
use past::tensors_in;
use tensors::{Place, Tensors};

pub(crate) use past::{Past, Pasts};
pub(crate) use seen::{Seen, Sighting};
pub(crate) use tensors::may_have_numbers;

/// Files from this size on have an outline.
pub(crate) const OUTLINED: u64 = 64 << 10;
/// Bytes of a tensor that are compared with a wider one's before all of it is.
const SAMPLE: u64 = 4096;
/// Wider tensors of a name that one is compared with: each is a read.
const TRIES: usize = 16;

/// Makes outlines of the files of one version.
pub(crate) struct Outlines<'a> {
    store: &'a Store,
    pasts: Pasts,
    /// Where working files are read.
    root: Option<&'a Root>,
    efforts: [Effort; 4],
    /// The tensors of files that this version already stored.
    stored: Mutex<Tensors>,
    /// The file that says where tensors were stored last.
    seen_at: Option<PathBuf>,
    seen: OnceLock<Seen>,
}

/// The outline of a file, and the numbers in it.
pub(crate) struct Outlined {
    pub(crate) outline: Outline,
    numbers: Vec<Numbers>,
}

/// What one version has that a file may resemble.
struct Before<'a> {
    /// The file at its path.
    entry: Option<FileEntry>,
    /// The tensors of that file.
    at_path: OnceCell<Tensors>,
    /// The version; none where only that file counts.
    past: Option<&'a Past>,
}

impl<'a> Outlines<'a> {
    pub(crate) fn new(
        store: &'a Store,
        pasts: Pasts,
        root: Option<&'a Root>,
        efforts: [Effort; 4],
    ) -> Outlines<'a> {
        let (stored, seen_at, seen) = (Mutex::default(), None, OnceLock::new());
        Outlines { store, pasts, root, efforts, stored, seen_at, seen }
    }

    /// Looks for tensors that no version has where this file says that they were last.
    pub(crate) fn with_seen(self, file: PathBuf) -> Outlines<'a> {
        Outlines { seen_at: Some(file), ..self }
    }

    /// The outline of a working file that had some content in the first parent.
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
        let parent = parent.copied().filter(is_outlined);
        let before = if effort == Effort::Fast { Vec::new() } else { self.before(path, parent) };
        // A base is named for the sake of its tensors: all else is mostly closer to what it was.
        let parent = parent.or_else(|| before.iter().find_map(|before| before.entry));
        let mut outline =
            Outline { parent: parent.map(|entry| entry.id), effort, ..Outline::default() };
        let Some(source) = source.filter(|source| source.size() >= OUTLINED) else {
            return Outlined { outline, numbers: Vec::new() };
        };
        let layout = read_layout(&path.to_string(), source).ok().flatten().unwrap_or_default();
        let (parts, numbers) = parts_of(&layout);
        outline.parts = parts;
        if effort != Effort::Fast {
            for numbers in &numbers {
                let part = &mut outline.parts[numbers.part];
                part.similar = self.similar(numbers, part, (path, &before), source);
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

    /// Where the tensors of all files lie that were stored.
    pub(crate) fn sightings(self) -> Vec<Sighting> {
        self.stored.into_inner().unwrap_or_else(PoisonError::into_inner).sightings()
    }

    /// What there is to compare a file with, the most promising first.
    fn before(&self, path: &RepoPath, parent: Option<FileEntry>) -> Vec<Before<'_>> {
        let Pasts { named, head, merged } = &self.pasts;
        let of = |past: &Option<Past>| past.as_ref().and_then(|p| p.entry(self.store, path));
        let all = [(of(named), named), (parent, head), (of(merged), merged)];
        let some = all.into_iter().filter(|(entry, past)| entry.is_some() || past.is_some());
        some.map(|(entry, past)| Before { entry, at_path: OnceCell::new(), past: past.as_ref() })
            .collect()
    }

    /// Where numbers like these are, the most promising first.
    fn similar(
        &self,
        numbers: &Numbers,
        part: &Part,
        (path, before): (&RepoPath, &[Before<'_>]),
        source: &FileBytes,
    ) -> Vec<Similar> {
        let is_same = |place: &Place| place.element == numbers.element;
        let is_large = part.len >= OUTLINED;
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner).find(numbers);
        let (mut same, mut others) = (Vec::new(), stored.clone());
        for before in before {
            let mut found = self.at_path(path, before).find(numbers);
            if let Some(past) = before.past.filter(|_| is_large && !found.iter().any(is_same)) {
                found.extend(past.tensors(self.store).find(numbers));
            }
            // One of each version: what is tried first may turn out to be no likeness.
            same.extend(found.iter().find(|place| is_same(place)).cloned());
            others.extend(found);
        }
        if same.is_empty() {
            same.extend(stored.into_iter().find(is_same));
        }
        if same.is_empty() && is_large {
            same.extend(self.seen(numbers));
        }
        let is_wider = |place: &&Place| place.element.size() > numbers.element.size();
        let mut wider = others.iter().filter(is_wider).take(TRIES);
        let wider = wider.find(|place| self.rounds(place, part, numbers, source));
        wider.into_iter().chain(&same).map(Place::similar).collect()
    }

    /// The tensors of the file at this path in an earlier version.
    fn at_path<'b>(&self, path: &RepoPath, before: &'b Before<'_>) -> &'b Tensors {
        let read = |entry| tensors_in(self.store, path, entry);
        before.at_path.get_or_init(|| before.entry.as_ref().map(read).unwrap_or_default())
    }

    /// Where numbers like these were stored last, if that file is still here.
    fn seen(&self, numbers: &Numbers) -> Option<Place> {
        let file = self.seen_at.as_ref()?;
        let place = self.seen.get_or_init(|| Seen::load(file)).find(numbers)?;
        self.store.contains(&place.blob).then_some(place)
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
}

/// Whether a stored file is one of those that have an outline.
fn is_outlined(entry: &FileEntry) -> bool {
    is_file(entry) && entry.bytes >= OUTLINED
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
