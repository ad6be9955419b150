//! [`read_model`]: which format a file has, and the reader for it.

use crate::budget::Budget;
use crate::error::Result;
use crate::model::Model;
use crate::pickle::torch;
use crate::source::Source;
use crate::{gguf, npy, onnx, pickle, safetensors, zip};

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
    let named = |names: &[&str]| names.iter().any(|name| extension.eq_ignore_ascii_case(name));
    let checkpoint = named(&["pt", "pth", "ckpt"]);
    if named(&["safetensors"]) {
        return safetensors::read(source, Budget::new("safetensors")).map(Some);
    }
    if named(&["onnx"]) {
        return onnx::read(source, Budget::new("onnx")).map(Some);
    }
    if start.starts_with(&npy::MAGIC) {
        return npy::read(source, Budget::new("npy")).map(Some);
    }
    if start.starts_with(&gguf::MAGIC) {
        return gguf::read(source, Budget::new("gguf")).map(Some);
    }
    if start.starts_with(&torch::MAGIC) {
        return torch::read_old(source, Budget::new("pytorch")).map(Some);
    }
    if start.starts_with(&zip::MAGIC) {
        return if checkpoint || named(&["npz"]) {
            read_zip(source)
        } else {
            lenient(read_zip(source))
        };
    }
    if pickle::looks_like(&start) {
        let read = pickle::read(source, Budget::new("pickle")).map(Some);
        return if checkpoint || named(&["pkl", "pickle", "joblib"]) {
            read
        } else {
            lenient(read)
        };
    }
    // The first protocols begin in any way, and joblib can compress the whole file.
    if named(&["pkl", "pickle", "joblib"]) {
        return lenient(pickle::read(source, Budget::new("pickle")).map(Some));
    }
    if safetensors::looks_like(&start, source.size()) {
        return lenient(safetensors::read(source, Budget::new("safetensors")).map(Some));
    }
    Ok(None)
}

/// A zip is a checkpoint when it holds a pickle where `torch.save` puts it, and a set of arrays when
/// it holds nothing else.
fn read_zip(source: &dyn Source) -> Result<Option<Model>> {
    let mut budget = Budget::new("zip");
    let entries = zip::entries(source, &mut budget)?;
    if let Some(main) = torch::main_entry(&entries) {
        return torch::read_zip(source, &entries, main, budget).map(Some);
    }
    if !entries.is_empty() && entries.iter().all(|entry| entry.name.ends_with(".npy")) {
        return npy::read_zip(source, &entries, budget).map(Some);
    }
    Ok(None)
}

/// No model instead of a broken one, where only the first bytes said that it is one.
fn lenient(read: Result<Option<Model>>) -> Result<Option<Model>> {
    match read {
        Err(error) if error.is_opaque() => Ok(None),
        read => read,
    }
}
