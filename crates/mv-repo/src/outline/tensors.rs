//! [`Tensors`]: where numbers are, found by name and inner shape.

use std::collections::HashMap;

use mv_graph::{Component, RepoPath};
use mv_store::{Element, Hash, Part, Similar};

use super::OUTLINED;
use super::parts::Numbers;
use super::seen::{self, Sighting};

/// Names of numbers that are kept: more are forgotten.
const MOST: usize = 1 << 18;
/// Places that are kept of one name. A project may have a thousand files with one tensor each, all of one
/// name, and most are no likeness.
const PLACES: usize = 8;

/// Where some numbers are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) blob: Hash,
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) element: Element,
    /// The working file, when they were read from it.
    pub(super) path: Option<RepoPath>,
}

impl Place {
    pub(super) fn new(blob: Hash, part: &Part, numbers: &Numbers, path: Option<RepoPath>) -> Place {
        Place { blob, start: part.start, len: part.len, element: numbers.element, path }
    }

    pub(super) fn similar(&self) -> Similar {
        let Place { blob, start, len, element, .. } = self;
        Similar { blob: *blob, start: *start, len: *len, element: *element }
    }
}

/// Where numbers are.
#[derive(Debug, Default)]
pub(super) struct Tensors(HashMap<Hash, Vec<Place>>);

impl Tensors {
    pub(super) fn add(&mut self, numbers: &Numbers, place: Place) {
        self.keep(numbers.key, [place]);
    }

    pub(super) fn extend(&mut self, other: Tensors) {
        for (key, places) in other.0 {
            self.keep(key, places);
        }
    }

    fn keep(&mut self, key: Hash, places: impl IntoIterator<Item = Place>) {
        if self.0.len() < MOST {
            let known = self.0.entry(key).or_default();
            let room = PLACES.saturating_sub(known.len());
            known.extend(places.into_iter().take(room));
        }
    }

    /// Where the larger ones lie, file by file.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        let places = self.0.iter().flat_map(|(key, places)| places.iter().map(move |p| (key, p)));
        let large = places.filter(|(_, place)| place.len >= OUTLINED);
        let mut all: Vec<Sighting> = large
            .map(|(key, place)| Sighting {
                blob: place.blob,
                tensor: seen::name_of(key, place.element),
                start: place.start,
                len: place.len,
            })
            .collect();
        all.sort_unstable();
        all
    }

    /// The places of numbers of this name and inner shape, of whatever type.
    pub(super) fn find(&self, numbers: &Numbers) -> Vec<Place> {
        self.0.get(&numbers.key).cloned().unwrap_or_default()
    }
}

/// Whether a file may have tensors in it: a model, or one of that name. To look into all of a version
/// would take long.
pub(crate) fn may_have_numbers(path: &RepoPath, component: Component) -> bool {
    const ENDINGS: [&str; 18] = [
        "safetensors",
        "npy",
        "npz",
        "gguf",
        "pt",
        "pth",
        "bin",
        "ckpt",
        "onnx",
        "zip",
        "tar",
        "pkl",
        "pickle",
        "keras",
        "nemo",
        "joblib",
        "model",
        "weights",
    ];
    let name = path.to_string();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    component == Component::Model || ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}
