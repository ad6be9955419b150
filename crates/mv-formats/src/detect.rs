//! [`read_model`]: which format a file has, and the reader for it.

use crate::error::Result;
use crate::model::Model;
use crate::safetensors;
use crate::source::Source;

/// Lists the tensors of a file: by what it begins with, and by its name where that could be many
/// things. None when it is no kind of model known here.
///
/// Reads headers, never the tensors themselves, whose number of bytes does not matter.
///
/// # Errors
/// [`crate::Error::Malformed`] and [`crate::Error::Limit`] for a file that says it is a model and
/// cannot be followed, [`crate::Error::Read`].
pub fn read_model(name: &str, source: &dyn Source) -> Result<Option<Model>> {
    let start = source.read(0, source.size().min(16) as usize)?;
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if extension.eq_ignore_ascii_case("safetensors") {
        return safetensors::read(source).map(Some);
    }
    if safetensors::looks_like(&start, source.size()) {
        return unless_opaque(safetensors::read(source));
    }
    Ok(None)
}

/// The model, if what the file begins with was no accident.
fn unless_opaque(read: Result<Model>) -> Result<Option<Model>> {
    match read {
        Err(error) if error.is_opaque() => Ok(None),
        read => read.map(Some),
    }
}
