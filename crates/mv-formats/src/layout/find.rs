//! [`parts`]: which form a file has, and who finds its parts.

use std::cell::Cell;

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::layout::parts::{Found, Parts};
use crate::layout::{Content, Part, models, parquet, tar, zip};
use crate::pickle::{self, torch};
use crate::source::{self, Source};
use crate::{gguf, npy, onnx, safetensors};

/// Pickles that are followed, those in archives included: each can cost far more time than its bytes.
pub(super) const MAX_PICKLES: u32 = 512;
/// Bytes that tell every form.
pub(super) const START: usize = 512;

/// A file whose form is not known yet.
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) source: &'a dyn Source,
    /// Its first bytes: [`START`] of them, if it has so many.
    pub(super) start: &'a [u8],
    pub(super) within: Within,
    /// How many pickles may still be followed.
    pub(super) pickles: &'a Cell<u32>,
}

impl File<'_> {
    /// Whether one more pickle is followed.
    pub(super) fn one_more_pickle(&self) -> bool {
        self.pickles.replace(self.pickles.get().saturating_sub(1)) > 0
    }
}

/// What a file lies in, which says whether it is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// In no other file: entries of archives are looked into.
    Nothing,
    /// In an archive: of archives only those of tensors are looked into.
    Archive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Npy,
    Gguf,
    Zip,
    TorchOld,
    Safetensors,
    Pickle,
    Onnx,
    Parquet,
    Tar,
}

/// The form that the first bytes and the name speak for.
fn form(file: &File<'_>) -> Option<Form> {
    let start = file.start;
    let extension = file.name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let named = |names: &[&str]| names.iter().any(|name| extension.eq_ignore_ascii_case(name));
    Some(match start {
        // Before what a name of its first entry can begin with.
        _ if tar::looks_like(start) => Form::Tar,
        _ if start.starts_with(&npy::MAGIC) => Form::Npy,
        _ if start.starts_with(&gguf::MAGIC) => Form::Gguf,
        _ if start.starts_with(&crate::zip::MAGIC) => Form::Zip,
        _ if start.starts_with(parquet::MAGIC) => Form::Parquet,
        _ if start.starts_with(&torch::MAGIC) => Form::TorchOld,
        _ if safetensors::looks_like(start, file.source.size()) => Form::Safetensors,
        _ if pickle::looks_like(start) => Form::Pickle,
        _ if onnx::looks_like(start) || named(&["onnx"]) => Form::Onnx,
        // The first protocols begin in any way.
        _ if named(&["pkl", "pickle", "joblib"]) => Form::Pickle,
        _ => return None,
    })
}

/// The parts of a file, in any order; none when it has no form that can be followed.
pub(super) fn parts(file: &File<'_>, budget: Budget) -> Result<Option<Vec<Found>>> {
    let Some(form) = form(file) else { return Ok(None) };
    let source = file.source;
    if matches!(form, Form::TorchOld | Form::Pickle) && !file.one_more_pickle() {
        return Ok(None);
    }
    let found = match form {
        Form::Npy => models::npy("", source, 0, source.size()).map(|part| vec![part]),
        Form::Gguf => gguf::read(source, budget).map(models::parts),
        Form::Zip => zip::parts(file, budget),
        Form::TorchOld => torch::read_old(source, budget).map(models::parts),
        Form::Safetensors => safetensors::read(source, budget).map(models::parts),
        Form::Pickle => pickle::read(source, budget).map(models::parts),
        Form::Parquet => parquet::parts(file, budget),
        Form::Tar => tar::parts(file, budget),
        Form::Onnx => onnx::read(source, budget).map(models::parts),
    };
    lenient(found)
}

/// Adds what an entry of an archive holds, whose bytes are these of the archive as they are: the parts of a
/// file, or else one. `start` are some first bytes.
pub(super) fn entry(
    archive: &File<'_>,
    name: String,
    (offset, len): (u64, u64),
    mut start: Vec<u8>,
    parts: &mut Parts,
) -> Result<()> {
    if len == 0 {
        return Ok(());
    }
    let wanted = len.min(START as u64) as usize;
    if start.len() < wanted {
        start = archive.source.read(offset, wanted)?;
    }
    let source = source::Within::new(archive.source, offset, len);
    let found = if start.starts_with(&npy::MAGIC) {
        let name = name.strip_suffix(".npy").unwrap_or(&name);
        lenient(models::npy(name, &source, 0, len))?.map(|array| vec![array])
    } else if archive.within == Within::Nothing {
        let (name, within, pickles) = (&name, Within::Archive, archive.pickles);
        let file = File { name, source: &source, start: &start, within, pickles };
        // Half of it: what is found is held twice while it is taken over.
        self::parts(&file, parts.budget().share("archive", 2))?
    } else {
        None
    };
    match found.filter(|found| !found.is_empty()) {
        Some(found) => parts.nest(found, offset, len),
        None => parts.push(Part { start: offset, len, content: Content::Opaque, name: Some(name) }),
    }
}

/// Nothing instead of what is broken.
pub(super) fn lenient<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error @ Error::Read(_)) => Err(error),
        Err(_) => Ok(None),
    }
}
