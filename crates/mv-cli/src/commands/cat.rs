//! `mv cat`: the bytes of one file of a version, or of one tensor in it.

use std::io::{self, Write};

use mv_repo::Session;
use mv_repo::cat::cat;
use mv_repo::tensor::{Found, StoredTensor, find};
use serde::Serialize;

use crate::commands::shared;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::json::TensorDocument;
use crate::suggest;

/// The largest file that is put into a JSON document.
const JSON_CAP: usize = 16 << 20;

/// Print a file of a version, or one tensor of it
///
/// The bytes are compared with their id while they are written; a damaged file ends in an error. Of a
/// tensor, the bytes of its elements are printed; with `--json`, its name, type and shape.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv cat HEAD~1:params.yaml\n  mv cat v1.0.0:models/churn.pkl > old.pkl\n  mv cat HEAD:models/net.safetensors#fc1.weight --npy > fc1.npy"
)]
pub(crate) struct Args {
    /// The version, the file in it, and a tensor of that
    #[arg(value_name = "REV:PATH[#TENSOR]")]
    spec: String,
    /// Write a tensor as a NumPy file
    #[arg(long)]
    npy: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    spec: &'a str,
    bytes: u64,
    /// The content when it is UTF-8.
    text: Option<String>,
    /// The content when it is not.
    hex: Option<String>,
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let ui = &context.ui;
    match find(&repo, &args.spec, &session).map_err(shared::not_in_version)? {
        Found::Tensor(found) => return tensor(context, &found, args, &session),
        Found::Unknown { name, names } => return Err(unknown(args, &name, &names)),
        Found::File if args.npy => {
            return Err(Failure::usage(format!("`{}` names no tensor", args.spec))
                .hint(format!("list the tensors of a file with `mv ls --tensors {}`", args.spec)));
        }
        Found::File => {}
    }
    if ui.json {
        let mut content = Capped(Vec::new());
        let read = cat(&repo, &args.spec, &mut content, &session);
        if content.0.len() > JSON_CAP {
            return Err(Failure::usage(format!(
                "`{}` is too large for one JSON document",
                args.spec
            ))
            .hint(format!("write it to a file: `mv cat {} > FILE`", args.spec)));
        }
        let bytes = read.map_err(shared::not_in_version)?;
        let (text, hex) = match String::from_utf8(content.0) {
            Ok(text) => (Some(text), None),
            Err(e) => (None, Some(e.as_bytes().iter().map(|b| format!("{b:02x}")).collect())),
        };
        ui.document(&Document { spec: &args.spec, bytes, text, hex })?;
        return Ok(0);
    }
    match cat(&repo, &args.spec, &mut ui.data(), &session) {
        // Stdout itself failed or was closed: the ui tells at the end.
        Err(_) if ui.ended() => Ok(0),
        Err(error) => Err(shared::not_in_version(error)),
        Ok(_) => Ok(0),
    }
}

fn tensor(
    context: &Context<'_>,
    found: &StoredTensor,
    args: &Args,
    session: &Session,
) -> Result<u8> {
    let ui = &context.ui;
    if ui.json {
        ui.document(&TensorDocument::from(&found.tensor))?;
        return Ok(0);
    }
    if ui.on_terminal() {
        let spec = &args.spec;
        return Err(Failure::usage(format!("`{spec}` is binary: it is not for a terminal"))
            .hint(format!("redirect it: `mv cat '{spec}' --npy > tensor.npy`")));
    }
    let written = match args.npy {
        true => found.write_npy(&mut ui.data(), session),
        false => found.write_to(&mut ui.data(), session),
    };
    match written {
        // Stdout itself failed or was closed: the ui tells at the end.
        Err(_) if ui.ended() => Ok(0),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(0),
    }
}

fn unknown(args: &Args, name: &str, names: &[String]) -> Failure {
    let file = args.spec.strip_suffix(name).and_then(|f| f.strip_suffix('#'));
    let file = file.unwrap_or(&args.spec);
    let failure = Failure::usage(format!("there is no tensor `{name}` in `{file}`"));
    match suggest::nearest(name, names) {
        Some(near) => failure.hint(format!("did you mean `mv cat '{file}#{near}'`?")),
        None => failure.hint(format!("list its tensors with `mv ls --tensors '{file}'`")),
    }
}

/// A buffer that refuses to grow beyond the cap.
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() > JSON_CAP {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
