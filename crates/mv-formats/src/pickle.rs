//! Pickles: what they would build, never what they would do. Arrays in them are listed when their
//! bytes can be found.

pub(crate) mod arrays;
pub(crate) mod heap;
pub(crate) mod machine;
pub(crate) mod torch;
pub(crate) mod walk;

use crate::budget::Budget;
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{Model, ModelFormat};
use crate::pickle::heap::{Heap, Value};
use crate::pickle::torch::Storages;
use crate::pickle::walk::Walk;
use crate::reader::Reader;
use crate::source::Source;

/// Whether the file begins with a pickle of protocol 2 or later.
pub(crate) fn looks_like(start: &[u8]) -> bool {
    matches!(start, [0x80, 2..=5, ..])
}

/// Lists the arrays of a pickle, and the classes that loading it would import.
pub(crate) fn read(source: &dyn Source, budget: Budget) -> Result<Model> {
    let mut heap = Heap::new(source, budget);
    let root = machine::run(&mut Reader::new(source, "pickle"), &mut heap)?;
    list(ModelFormat::Pickle, source, heap, root, &Storages::default())
}

/// Lists what can be reached from a root, as tensors of this file.
pub(crate) fn list(
    format: ModelFormat,
    source: &dyn Source,
    mut heap: Heap<'_>,
    root: Value,
    storages: &Storages,
) -> Result<Model> {
    let budget = std::mem::replace(&mut heap.budget, Budget::new("pickle"));
    let mut listing = Listing::new(format, source, budget);
    for class in heap.classes() {
        listing.metadata("class", class)?;
    }
    if let Some(object) = heap.as_object(root) {
        listing.metadata("root", heap.class_name(object.class))?;
    }
    Walk::new(&heap, storages, &mut listing)?.visit(root)?;
    listing.finish()
}
