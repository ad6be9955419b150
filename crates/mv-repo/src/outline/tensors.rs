//! [`Tensors`]: where numbers are, found by name and inner shape.

use std::collections::HashMap;

use mv_graph::RepoPath;
use mv_store::{Element, Hash, Part, Similar};

use super::OUTLINED;
use super::parts::Numbers;
use super::seen::{self, Sighting};

/// Places of numbers that are kept: more are forgotten.
const MOST: usize = 1 << 18;

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
        if self.0.len() < MOST {
            self.0.entry(numbers.key).or_default().push(place);
        }
    }

    pub(super) fn extend(&mut self, other: Tensors) {
        for (key, places) in other.0 {
            if self.0.len() < MOST {
                self.0.entry(key).or_default().extend(places);
            }
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

/// Whether a file may have tensors in it, by its name: to look into all of a version would take long.
pub(crate) fn may_have_numbers(path: &RepoPath) -> bool {
    const ENDINGS: [&str; 15] = [
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
        "joblib",
        "model",
        "weights",
    ];
    let name = path.to_string();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&&*ending))
}
