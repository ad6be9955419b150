//! Model files: what interface their tensors are, and whether their weights differ.

use std::collections::HashMap;

use mv_formats::{Model, ModelFormat, Source, Tensor, read_model};
use mv_graph::RepoPath;
use mv_store::{Hash, Kind, Progress, id_of};

use super::named;
use crate::error::Result;
use crate::file_bytes::tensors::same_tensor;
use crate::file_bytes::{Fault, FileBytes, failure};

/// Bytes of working files that are read only to count the tensors that differ.
const COUNTED: u64 = 256 << 20;
/// Bytes at the beginning of a file by which text is told from weights.
const HEAD: u64 = 64 << 10;
/// Bytes of the longest text that passes for a description whatever its name.
const MAX_TEXT: u64 = 1 << 20;

/// What a file among a model's files is.
pub(super) enum Content {
    /// It holds these tensors.
    Tensors(Model),
    /// Weights, perhaps, in a form that no parser reads.
    Opaque,
    /// A configuration, a vocabulary, a note: no weights.
    Other,
}

/// Endings of files that are weights whatever is in them; a pointer to weights is no description.
const WEIGHTS: [&str; 15] = [
    "bin", "ckpt", "gguf", "h5", "hdf5", "joblib", "keras", "npy", "npz", "onnx", "pb", "pickle",
    "pkl", "pt", "pth",
];

/// Looks into a file.
pub(super) fn content(path: &RepoPath, source: &dyn Source) -> Result<Content> {
    let name = String::from_utf8_lossy(path.file_name());
    match read_model(&name, source) {
        Ok(Some(model)) if !model.tensors.is_empty() || !model.ports.is_empty() => {
            Ok(Content::Tensors(model))
        }
        Ok(None) if is_description(&name, source).map_err(|e| failure(e, path))? => {
            Ok(Content::Other)
        }
        Ok(_) => Ok(Content::Opaque),
        Err(e) if e.is_opaque() => Ok(Content::Opaque),
        Err(e) => Err(failure(e, path)),
    }
}

/// Whether it is text and not a model written as text. Long texts are only taken for what they are
/// by the names under which vocabularies are kept.
fn is_description(name: &str, source: &dyn Source) -> mv_formats::Result<bool> {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if WEIGHTS.iter().any(|ending| extension.eq_ignore_ascii_case(ending)) {
        return Ok(false);
    }
    let head = source.read(0, source.size().min(HEAD) as usize)?;
    let text = match std::str::from_utf8(&head) {
        Ok(text) => text,
        // The end of the head may cut a character.
        Err(e) if e.error_len().is_none() && source.size() > HEAD => {
            std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return Ok(false),
    };
    let vocabulary = ["tokenizer", "vocab", "merges"].iter().any(|word| name.starts_with(word));
    // LightGBM, libsvm, liblinear; XGBoost, CatBoost; PMML.
    let begins = ["tree\n", "svm_type", "solver_type"].iter().any(|word| text.starts_with(word));
    let holds = ["\"learner\"", "\"oblivious_trees\"", "\"tree_info\"", "<PMML"];
    let model = begins || holds.iter().any(|word| text.contains(word));
    Ok(!text.contains('\0') && !model && (vocabulary || source.size() <= MAX_TEXT))
}

/// A hash of the names, types and shapes of all tensors and of inputs and outputs.
pub(super) fn schema(model: &Model) -> Hash {
    let mut lines: Vec<String> =
        model.tensors.iter().map(|t| format!("{:?} {:?} {:?}", t.name, t.dtype, t.shape)).collect();
    lines.extend(model.ports.iter().map(|port| format!("{port:?}")));
    lines.push(format!("{:?} {:?}", model.format, architecture(model)));
    lines.sort_unstable();
    id_of(Kind::Blob, lines.join("\n").as_bytes())
}

/// What a model file itself says of its architecture.
fn architecture(model: &Model) -> Option<&str> {
    let found = model.metadata.iter().find(|(key, _)| key == "general.architecture");
    found.map(|(_, value)| value.as_str())
}

/// What of an interface changed, and what was only added to it.
pub(super) fn compare(old: &Model, new: &Model, path: &RepoPath) -> (Vec<String>, Vec<String>) {
    let path = path.display_escaped();
    let mut changed = Vec::new();
    if let (Some(from), Some(to)) = (architecture(old), architecture(new))
        && from != to
    {
        changed.push(format!("architecture changed {} -> {} in {path}", named(from), named(to)));
    }
    ports(old, new, &path, &mut changed);
    let after: HashMap<&str, &Tensor> = new.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let before: HashMap<&str, &Tensor> = old.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut removed = Vec::new();
    for tensor in &old.tensors {
        let name = named(&tensor.name);
        match after.get(tensor.name.as_str()) {
            None => removed.push(tensor),
            Some(now) if now.shape != tensor.shape => changed.push(format!(
                "tensor {name} reshaped {:?} -> {:?} in {path}",
                tensor.shape, now.shape
            )),
            Some(now) if now.dtype != tensor.dtype => changed.push(format!(
                "tensor {name} retyped {} -> {} in {path}",
                mv_graph::escape(&tensor.dtype.to_string()),
                mv_graph::escape(&now.dtype.to_string())
            )),
            Some(_) => {}
        }
    }
    let mut added: Vec<&Tensor> =
        new.tensors.iter().filter(|t| !before.contains_key(t.name.as_str())).collect();
    if let ([old], [new]) = (&removed[..], &added[..])
        && (&old.dtype, &old.shape) == (&new.dtype, &new.shape)
    {
        changed.push(format!("tensor {} renamed {} in {path}", named(&old.name), named(&new.name)));
        removed.clear();
        added.clear();
    }
    let lost = removed.iter().map(|t| format!("tensor {} removed from {path}", named(&t.name)));
    changed.extend(lost);
    let added = added.iter().map(|t| format!("tensor {} added to {path}", named(&t.name)));
    (changed, added.collect())
}

/// Inputs and outputs: whatever differs is a change of interface.
fn ports(old: &Model, new: &Model, path: &str, changed: &mut Vec<String>) {
    let kind = |input| if input { "input" } else { "output" };
    for port in &old.ports {
        let name = named(&port.name);
        let same = new.ports.iter().find(|p| p.input == port.input && p.name == port.name);
        match same {
            Some(now) if now.shape == port.shape => {}
            Some(now) => changed.push(format!(
                "{} {name} changed {} -> {} in {path}",
                kind(port.input),
                named(&port.shape),
                named(&now.shape)
            )),
            None => changed.push(format!("{} {name} removed from {path}", kind(port.input))),
        }
    }
    for port in &new.ports {
        if !old.ports.iter().any(|p| p.input == port.input && p.name == port.name) {
            let name = named(&port.name);
            changed.push(format!("{} {name} added to {path}", kind(port.input)));
        }
    }
}

/// Weights that differ in the same tensors, over all files.
#[derive(Default)]
pub(super) struct Weights {
    files: Vec<RepoPath>,
    /// Tensors that differ, and all tensors, as long as they were counted.
    differ: usize,
    tensors: usize,
    uncounted: bool,
    /// Bytes read to count.
    spent: u64,
}

impl Weights {
    /// Compares the tensors of two files that have the same ones. Of stored files this costs next to
    /// nothing; of a working file only so much is read that one that differs is found.
    pub(super) fn compare(
        &mut self,
        path: &RepoPath,
        sides: [(&Model, &FileBytes); 2],
        progress: &Progress,
    ) -> Result<()> {
        let [(old, from), (new, to)] = sides;
        // Beside its arrays a pickle holds what no array shows.
        let pickle = new.format == ModelFormat::Pickle;
        let bytes = from.size().saturating_add(to.size());
        let stored = from.pieces()?.is_some() && to.pieces()?.is_some();
        let all = !pickle && (stored || self.spent.saturating_add(bytes) <= COUNTED);
        if !stored {
            self.spent = self.spent.saturating_add(bytes);
        }
        let before: HashMap<&str, &Tensor> =
            old.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        let mut differ = usize::from(pickle);
        // The last layers are the ones that training changes most surely.
        for tensor in new.tensors.iter().rev() {
            if differ > 0 && !all {
                break;
            }
            let Some(other) = before.get(tensor.name.as_str()) else { continue };
            let same = match same_tensor((from, other), (to, tensor), progress) {
                Ok(same) => same,
                Err(Fault::Bytes(error)) => return Err(error),
                // Damaged inside: whatever it was, it is not the same.
                Err(Fault::Format(error)) if error.is_opaque() => false,
                Err(Fault::Format(error)) => return Err(failure(error, path)),
            };
            differ += usize::from(!same);
        }
        if differ > 0 {
            self.files.push(path.clone());
            self.uncounted |= !all;
            self.differ += differ;
            self.tensors += new.tensors.len();
        }
        Ok(())
    }

    /// What to say of them; none when no weights differ.
    pub(super) fn reason(&self) -> Option<String> {
        let place = match &self.files[..] {
            [] => return None,
            [one] => one.display_escaped(),
            files => format!("{} files", files.len()),
        };
        if self.uncounted {
            return Some(format!("retrained, weights differ in {place}"));
        }
        let verb = if self.differ == 1 { "differs" } else { "differ" };
        let noun = if self.tensors == 1 { "tensor" } else { "tensors" };
        Some(format!("retrained, {} of {} {noun} {verb} in {place}", self.differ, self.tensors))
    }
}
