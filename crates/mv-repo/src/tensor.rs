//! Tensors of the model files of a version: listed, found by name, and their bytes.
//!
//! A tensor is named `REV:PATH#TENSOR`. A file whose own name has a `#` in it comes first.

use std::io::Write;
use std::path::Path;

use mv_formats::{Dtype, Location, Model, Tensor, TensorBytes, read_model};
use mv_graph::{Manifest, RepoPath, diff};
use mv_store::{IoContext as _, Unit};

use crate::error::{Error, Result};
use crate::file_bytes::{Fault, FileBytes, is_file};
use crate::ls::{no_such, parse_spec};
use crate::repo::Repo;
use crate::session::Session;

/// What `REV:PATH#TENSOR` stands for.
pub enum Found {
    /// A file, or nothing: not a tensor.
    File,
    /// A tensor.
    Tensor(StoredTensor),
    /// A model without a tensor of this name.
    Unknown {
        /// The name that was looked for.
        name: String,
        /// The names that there are, not escaped.
        names: Vec<String>,
    },
}

/// One tensor of a version.
pub struct StoredTensor {
    /// Its name, type and shape.
    pub tensor: Tensor,
    file: FileBytes,
}

/// Finds what a spec stands for. Reads the header of one file.
///
/// # Errors
/// `UnknownRevision`; `Invalid` when the file before the `#` is there and is no model; `Missing`,
/// `Corrupt`, `Io`.
pub fn find(repo: &Repo, spec: &str, session: &Session) -> Result<Found> {
    let Some((rev, rest)) = spec.split_once(':') else { return Ok(Found::File) };
    if !rest.contains('#') {
        return Ok(Found::File);
    }
    let (_, manifest, _) = parse_spec(repo, rev, session)?;
    let there = |path: &str| match RepoPath::from_bytes(path.as_bytes()) {
        Ok(path) => Ok(open(repo, &manifest, &path)?.map(|file| (path, file))),
        Err(_) => Ok::<_, Error>(None),
    };
    if there(rest)?.is_some() {
        return Ok(Found::File);
    }
    for (at, _) in rest.match_indices('#') {
        let Some((path, file)) = there(&rest[..at])? else { continue };
        let name = &rest[at + 1..];
        let mut model = model_of(&path, &file)?;
        return Ok(match model.tensors.iter().position(|t| t.name == name) {
            Some(at) => Found::Tensor(StoredTensor { tensor: model.tensors.swap_remove(at), file }),
            None => Found::Unknown {
                name: name.to_owned(),
                names: model.tensors.into_iter().map(|t| t.name).collect(),
            },
        });
    }
    Ok(Found::File)
}

/// The tensors of the model file `REV:PATH`.
///
/// # Errors
/// `UnknownRevision`; `Invalid` when no file is there or it is no model; `Missing`, `Corrupt`, `Io`.
pub fn list(repo: &Repo, spec: &str, session: &Session) -> Result<Model> {
    let (_, manifest, path) = parse_spec(repo, spec, session)?;
    let path =
        path.ok_or_else(|| Error::invalid("argument", "a model file is named as `REV:PATH`"))?;
    let file = open(repo, &manifest, &path)?.ok_or_else(|| no_such(&path, spec))?;
    model_of(&path, &file)
}

/// The regular file of a version at this path.
fn open(repo: &Repo, manifest: &Manifest, path: &RepoPath) -> Result<Option<FileBytes>> {
    match diff::lookup(repo.store(), manifest, path)? {
        Some((_, entry)) if is_file(&entry) => FileBytes::stored(repo.store(), &entry).map(Some),
        _ => Ok(None),
    }
}

fn model_of(path: &RepoPath, file: &FileBytes) -> Result<Model> {
    let name = String::from_utf8_lossy(path.as_bytes());
    let refuse = |why: String| Error::invalid("path", format!("`{path}` {why}"));
    match file.told(read_model(&name, file)) {
        Ok(Some(model)) => Ok(model),
        Ok(None) => Err(refuse("is no model file".to_owned())),
        Err(Fault::Bytes(error)) => Err(error),
        Err(Fault::Format(error)) => Err(refuse(format!("cannot be read: {error}"))),
    }
}

impl StoredTensor {
    /// Writes the bytes of the elements, as the file has them, and returns how many.
    ///
    /// # Errors
    /// `Invalid` when the elements do not lie in the file one after the other; `Missing`, `Corrupt`;
    /// `Io` of the output.
    pub fn write_to(&self, out: &mut (dyn Write + Send), session: &Session) -> Result<u64> {
        self.stream(out, session, &|piece| piece.to_vec())
    }

    /// Writes a NumPy file: a header, and the elements. `bf16` becomes `f32`, which holds it exactly.
    ///
    /// # Errors
    /// As [`StoredTensor::write_to`]; `Invalid` for types that NumPy does not have.
    pub fn write_npy(&self, out: &mut (dyn Write + Send), session: &Session) -> Result<u64> {
        let Some(descr) = npy_type(&self.tensor.dtype) else {
            let detail = format!("a .npy file has no type `{}`", self.tensor.dtype);
            return Err(Error::invalid("tensor", detail));
        };
        self.check_order()?;
        let header = npy_header(descr, &self.tensor.shape);
        out.write_all(&header).at("write", Path::new(STDOUT))?;
        let widen = self.tensor.dtype == Dtype::Bf16;
        let written = self.stream(out, session, &|piece| match widen {
            true => piece.chunks_exact(2).flat_map(|b| [0, 0, b[0], b[1]]).collect(),
            false => piece.to_vec(),
        })?;
        Ok(header.len() as u64 + written)
    }

    fn check_order(&self) -> Result<()> {
        match self.tensor.location {
            Location::Scattered { .. } => {
                let detail = format!("the elements of `{}` are in another order", self.tensor.name);
                Err(Error::invalid("tensor", detail))
            }
            _ => Ok(()),
        }
    }

    fn stream(
        &self,
        out: &mut (dyn Write + Send),
        session: &Session,
        convert: &dyn Fn(&[u8]) -> Vec<u8>,
    ) -> Result<u64> {
        self.check_order()?;
        let task = session.progress.task("reading", Unit::Bytes);
        let mut bytes = self.told(TensorBytes::open(&self.file, &self.tensor))?;
        let mut written = 0;
        while let Some(piece) = self.told(bytes.piece())? {
            task.check()?;
            task.add(piece.len() as u64);
            let converted = convert(piece);
            out.write_all(&converted).at("write", Path::new(STDOUT))?;
            written += converted.len() as u64;
        }
        Ok(written)
    }

    fn told<T>(&self, read: mv_formats::Result<T>) -> Result<T> {
        self.file.told(read).map_err(|fault| match fault {
            Fault::Bytes(error) => error,
            Fault::Format(error) => Error::invalid("tensor", error),
        })
    }
}

const STDOUT: &str = "standard output";

/// NumPy's name of a type; of `bf16`, that of `f32`.
fn npy_type(dtype: &Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::Bool => "|b1",
        Dtype::U8 => "|u1",
        Dtype::I8 => "|i1",
        Dtype::U16 => "<u2",
        Dtype::I16 => "<i2",
        Dtype::U32 => "<u4",
        Dtype::I32 => "<i4",
        Dtype::U64 => "<u8",
        Dtype::I64 => "<i8",
        Dtype::F16 => "<f2",
        Dtype::F32 | Dtype::Bf16 => "<f4",
        Dtype::F64 => "<f8",
        Dtype::C64 => "<c8",
        Dtype::C128 => "<c16",
        _ => return None,
    })
}

/// The header of version 1.0: magic, version, length, a Python literal padded to a multiple of 64.
fn npy_header(descr: &str, shape: &[u64]) -> Vec<u8> {
    let shape: String = shape.iter().map(|n| format!("{n},")).collect();
    let mut literal =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let padding = 64 - (10 + literal.len() + 1) % 64;
    literal.push_str(&" ".repeat(padding % 64));
    literal.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    // At most 32 dimensions of 20 digits.
    header.extend(u16::try_from(literal.len()).unwrap_or(u16::MAX).to_le_bytes());
    header.extend(literal.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_npy_header_is_a_padded_literal() {
        let header = npy_header("<f4", &[2, 3]);
        assert_eq!(header.len() % 64, 0);
        let text = String::from_utf8_lossy(&header[10..]).into_owned();
        assert!(text.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2,3,), }"));
        assert!(text.ends_with(" \n"), "{text:?}");
        assert_eq!(usize::from(header[8]) + 256 * usize::from(header[9]), text.len());
        let scalar = npy_header("|b1", &[]);
        assert!(String::from_utf8_lossy(&scalar).contains("'shape': (), }"));
    }
}
