//! Parts of what is listed as a [`Model`]: each tensor whose bytes are in the file.

use crate::MAX_RANK;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::layout::parts::Found;
use crate::layout::{Content, Part};
use crate::model::{Location, Model};
use crate::npy;
use crate::reader::Reader;
use crate::source::Source;

/// The tensors as parts. Takes the room of the list of tensors for that of the parts.
pub(super) fn parts(model: Model) -> Vec<Found> {
    let tensors = model.tensors.into_iter().enumerate();
    let parts = tensors.filter_map(|(order, tensor)| {
        let (start, len, content) = match tensor.location {
            Location::Plain { offset, len } => {
                (offset, len, elements(tensor.dtype, tensor.shape, len))
            }
            Location::Scattered { offset, len } => (offset, len, Content::Opaque),
            Location::Deflated { .. } | Location::Elsewhere => return None,
        };
        Some(Found { part: Part { start, len, content, name: Some(tensor.name) }, order })
    });
    parts.collect()
}

/// Elements, when they have so many bytes.
pub(super) fn elements(dtype: Dtype, shape: Vec<u64>, len: u64) -> Content {
    let elements = shape.iter().try_fold(1, |all: u64, &n| all.checked_mul(n));
    match elements.and_then(|elements| dtype.bytes_of(elements)) {
        Some(bytes) if bytes == len => Content::Tensor { dtype, shape },
        _ => Content::Opaque,
    }
}

/// The one part of an `.npy` file that lies in this range: its elements.
pub(super) fn npy(name: &str, source: &dyn Source, offset: u64, len: u64) -> Result<Found> {
    let mut reader = Reader::range(source, "npy", offset, len)?;
    let array = npy::header(&mut reader)?;
    let (start, left) = (reader.position(), reader.left());
    let len = match array.len() {
        Some(len) => len,
        None if matches!(array.parts().0, Dtype::Other(_)) => left,
        None => return Err(reader.malformed("the shape of the array")),
    };
    if len == 0 || len > left {
        return Err(reader.malformed("the array is empty or ends after the file"));
    }
    let content = match array.in_order() {
        Some((dtype, shape)) if shape.len() <= MAX_RANK => elements(dtype, shape, len),
        _ => Content::Opaque,
    };
    Ok(Found { part: Part { start, len, content, name: Some(name.to_owned()) }, order: 0 })
}
