//! [`View`]: what a look inside both sides of a changed file gives.
//!
//! A file is never more than it was: one that claims to be a model or a table and is none is shown
//! as text or as bytes, with the reason.

use mv_formats::{Model, Source, TableDiff, TableFormat, compare_tables, describe, read_model};
use mv_graph::diff::Change;
use mv_graph::{Component, FileEntry, RepoPath};

use super::model::{self, ModelDiff};
use super::{DiffOutcome, text};
use crate::error::Result;
use crate::file_bytes::{Fault, FileBytes, shared};
use crate::repo::Repo;
use crate::session::Session;

/// How closely to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct ViewOptions {
    /// Whether to tell how far changed tensors moved, which reads both sides of them.
    pub stats: bool,
}

/// What a look inside gave.
#[derive(Clone, Debug)]
pub enum View {
    /// The content is the same: only the mode, the name or the component differ.
    Same,
    /// Lines of text; a side that is not there is empty.
    Text {
        /// The older side.
        from: String,
        /// The newer side.
        to: String,
    },
    /// Tensors.
    Model(ModelDiff),
    /// Rows and columns; a side that is not there has none.
    Table(TableDiff),
    /// Bytes, or no file.
    Opaque(Opaque),
}

/// What can be said about bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opaque {
    /// What the older side is: `png image, 640 x 480`. Not escaped.
    pub from: Option<String>,
    /// What the newer side is. Not escaped.
    pub to: Option<String>,
    /// Why a file that should have had a structure is shown as bytes. Not escaped.
    pub why: Option<String>,
}

/// Looks inside one of the changes that [`super::diff`] found.
///
/// Costs the headers of models and the chunks that differ; with `stats`, the changed tensors; the
/// whole of text up to [`super::MAX_TEXT`]; of a working file, all of it.
///
/// # Errors
/// `Missing`, `Corrupt`, `Changed`, `Cancelled`, `Io`: the content cannot be had. A file whose content
/// is not what it claims is no error.
pub fn view(
    repo: &Repo,
    found: &DiffOutcome,
    change: &Change,
    options: ViewOptions,
    session: &Session,
) -> Result<View> {
    if let (Some(from), Some(to)) = (change.from, change.to)
        && from.id == to.id
    {
        return Ok(View::Same);
    }
    let from_path = found.from_path(change);
    let lines = || {
        let text = text::text_of(repo, from_path, change)?;
        Ok::<_, crate::Error>(text.map(|(from, to)| View::Text { from, to }))
    };
    let text_first = matches!(change.component, Component::Code | Component::Env);
    if text_first && let Some(text) = lines()? {
        return Ok(text);
    }
    let (Some(old), Some(new)) = (
        Side::open(repo, from_path, change.from.as_ref())?,
        Side::open(repo, &change.path, change.to.as_ref())?,
    ) else {
        return Ok(View::Opaque(Opaque::default()));
    };
    let why = match inside(&old, &new, options, session) {
        Ok(Some(view)) => return Ok(view),
        Ok(None) => None,
        Err(Fault::Bytes(error)) => return Err(error),
        Err(Fault::Format(error)) => Some(error.to_string()),
    };
    if !text_first && let Some(text) = lines()? {
        return Ok(text);
    }
    Ok(View::Opaque(Opaque { from: old.described()?, to: new.described()?, why }))
}

/// One side of a change; the bytes are none when nothing is there.
struct Side {
    name: String,
    bytes: Option<FileBytes>,
}

impl Side {
    /// None when what is there is no regular file.
    fn open(repo: &Repo, path: &RepoPath, entry: Option<&FileEntry>) -> Result<Option<Side>> {
        let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let Some(entry) = entry else { return Ok(Some(Side { name, bytes: None })) };
        let bytes = FileBytes::open(repo, path, entry)?;
        Ok(bytes.map(|bytes| Side { name, bytes: Some(bytes) }))
    }

    fn model(&self) -> Result<Option<Model>, Fault> {
        let Some(bytes) = &self.bytes else { return Ok(None) };
        bytes.told(read_model(&self.name, bytes))
    }

    fn described(&self) -> Result<Option<String>> {
        let Some(bytes) = &self.bytes else { return Ok(None) };
        match bytes.told(describe(&self.name, bytes)) {
            Ok(words) => Ok(words),
            Err(Fault::Bytes(error)) => Err(error),
            // What cannot be told is not told.
            Err(Fault::Format(_)) => Ok(None),
        }
    }
}

fn inside(
    old: &Side,
    new: &Side,
    options: ViewOptions,
    session: &Session,
) -> Result<Option<View>, Fault> {
    let (mut from, mut to) = (old.model()?, new.model()?);
    if ![&from, &to].into_iter().flatten().any(has_structure) {
        // A pickle of something else than arrays, say: its size tells more than "0 tensors".
        (from, to) = (None, None);
    }
    let model = match (&old.bytes, &new.bytes) {
        (Some(a), Some(b)) => match (&from, &to) {
            (Some(from), Some(to)) => {
                Some(model::compare((a, from), (b, to), options.stats, session)?)
            }
            _ => None,
        },
        _ => model::one_sided(from.as_ref(), to.as_ref()),
    };
    match model {
        Some(model) => Ok(Some(View::Model(model))),
        None => Ok(table(old, new)?.map(View::Table)),
    }
}

fn has_structure(model: &Model) -> bool {
    !model.tensors.is_empty() || !model.ports.is_empty()
}

/// What differs between two tables of one format; one that is not there is an empty source.
fn table(old: &Side, new: &Side) -> Result<Option<TableDiff>, Fault> {
    let nothing: &dyn Source = &Vec::new();
    match (&old.bytes, &new.bytes) {
        (Some(a), Some(b)) => {
            let format = TableFormat::of_name(&new.name);
            if format.is_none() || TableFormat::of_name(&old.name) != format {
                return Ok(None);
            }
            b.told(compare_tables(&new.name, a, b, &shared::ranges(a, b)?))
        }
        (Some(a), None) => a.told(compare_tables(&old.name, a, nothing, &[])),
        (None, Some(b)) => b.told(compare_tables(&new.name, nothing, b, &[])),
        (None, None) => Ok(None),
    }
}
