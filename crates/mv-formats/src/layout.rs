//! [`read_layout`]: which bytes of a file belong together, so that they can be stored together.
//!
//! A layout is advice about where to cut, read from headers that can claim anything. So it promises
//! little of their truth and much of its form: parts are in order, apart, and inside the file. What a
//! header says and the file does not keep is left out; nothing but a failed read is an error.

mod find;
mod models;
mod parquet;
mod parts;
mod tar;
mod torch;
mod zip;

use std::cell::Cell;

use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::source::Source;

/// How a file is divided into parts whose bytes belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Ascending, apart, not empty, and inside the file. Bytes between them belong to no part: headers,
    /// padding, what could not be followed.
    pub parts: Vec<Part>,
}

/// Bytes that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first one.
    pub start: u64,
    /// How many; never none.
    pub len: u64,
    /// What they are.
    pub content: Content,
    /// The name of the tensor as the file gives it, not escaped: an array of an `.npz` is called what
    /// its entry is without `.npy`, the array of an `.npy` is called nothing, which is not no name.
    /// For other parts the path of the entry, where there is one; of a checkpoint without the directory
    /// in it that is named after the file. Names can occur again in a file that holds other files.
    pub name: Option<String>,
}

/// What a [`Part`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Elements of a tensor: all of them and nothing else, as many bytes as its type and shape give,
    /// row after row, little-endian.
    ///
    /// A storage that several views share, or one whose elements are in the order of no shape, has one
    /// dimension; the columns of a column-first array are the rows of its turned shape.
    Tensor {
        /// What they are.
        dtype: Dtype,
        /// The dimensions; none for a scalar.
        shape: Vec<u64>,
    },
    /// Anything else that is best cut where its own content says, beginning anew at its beginning: an
    /// entry of an archive, pages of a column, an array of a type without a known size.
    Opaque,
}

/// Reads the layout of a file, by what it begins with, and by its name where that could be many
/// things. None when its form is not known here, cannot be followed or has no parts.
///
/// A file of none of these forms costs one read of 512 bytes, others their headers. Holds at most
/// 64 MiB, the layout included.
///
/// # Errors
/// [`crate::Error::Read`], and nothing else.
pub fn read_layout(name: &str, source: &dyn Source) -> Result<Option<Layout>> {
    let start = source.read(0, source.size().min(find::START as u64) as usize)?;
    let (within, pickles) = (find::Within::Nothing, &Cell::new(find::MAX_PICKLES));
    let file = find::File { name, source, start: &start, within, pickles };
    let found = find::parts(&file, Budget::new("layout"))?;
    Ok(found.and_then(|found| parts::finish(found, source.size())))
}
