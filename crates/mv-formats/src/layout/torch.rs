//! Parts of a checkpoint: its storages, each under the name and in the shape of a tensor that uses it,
//! and its other entries.

use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::layout::models::elements;
use crate::layout::parts::Found;
use crate::layout::{Content, Part};
use crate::model::Location;
use crate::pickle::torch;
use crate::source::Source;
use crate::zip::{Entry, Method};

/// An entry, and the tensors whose bytes are in it, by their numbers.
struct Place {
    entry: usize,
    start: u64,
    len: u64,
    /// The first tensor that uses all of it, in order.
    whole: Option<usize>,
    /// The first tensor that uses any of it.
    first: Option<usize>,
}

/// Finds the parts of a checkpoint with this pickle. The names of the entries are taken from them, unless
/// this fails.
pub(super) fn parts(
    source: &dyn Source,
    entries: &mut [Entry],
    main: usize,
    mut budget: Budget,
) -> Result<Vec<Found>> {
    budget.take(entries.len() * (size_of::<Place>() + size_of::<Found>()))?;
    let main = &entries[main];
    let root = main.name.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    let swapped = torch::is_swapped(source, entries, &root)?;
    let mut tensors = torch::read_zip(source, entries, main, budget)?.tensors;
    let mut places = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.packed > 0) {
        let (start, len) = (entry.data(source)?, entry.packed);
        places.push(Place { entry: number, start, len, whole: None, first: None });
    }
    places.sort_unstable_by_key(|place| place.start);
    for (number, tensor) in tensors.iter().enumerate() {
        let (offset, len, plain) = match tensor.location {
            Location::Plain { offset, len } => (offset, len, true),
            Location::Scattered { offset, len } => (offset, len, false),
            _ => continue,
        };
        let at = places.partition_point(|place| place.start <= offset);
        let Some(place) = at.checked_sub(1).and_then(|at| places.get_mut(at)) else { continue };
        if len == 0 || offset - place.start >= place.len {
            continue;
        }
        place.first.get_or_insert(number);
        if plain && (offset, len) == (place.start, place.len) {
            place.whole.get_or_insert(number);
        }
    }
    let mut found = Vec::with_capacity(places.len());
    for (order, Place { entry, start, len, whole, first }) in places.into_iter().enumerate() {
        let entry = &mut entries[entry];
        let stored = entry.method == Some(Method::Stored);
        let (name, content) = match whole.or(first).filter(|_| stored) {
            Some(number) => {
                let tensor = &mut tensors[number];
                let shape = match whole {
                    Some(_) => Some(std::mem::take(&mut tensor.shape)),
                    None => flat(&tensor.dtype, len),
                };
                let dtype = std::mem::replace(&mut tensor.dtype, Dtype::U8);
                let content = match shape {
                    Some(shape) if !swapped => elements(dtype, shape, len),
                    _ => Content::Opaque,
                };
                (std::mem::take(&mut tensor.name), content)
            }
            None => {
                // The root is the name that the file had when it was written.
                let mut name = std::mem::take(&mut entry.name);
                if name.starts_with(&root) {
                    name.drain(..root.len());
                }
                (name, Content::Opaque)
            }
        };
        found.push(Found { part: Part { start, len, content, name: Some(name) }, order });
    }
    Ok(found)
}

/// The one dimension of so many bytes of this type.
fn flat(dtype: &Dtype, len: u64) -> Option<Vec<u64>> {
    let (bytes, elements) = match dtype {
        Dtype::Block { elements, bytes, .. } => (u64::from(*bytes), u64::from(*elements)),
        other => (other.size()?, 1),
    };
    let count = len.checked_div(bytes)?.checked_mul(elements)?;
    Some(vec![count])
}
