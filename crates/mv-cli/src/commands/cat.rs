//! `mv cat`: the bytes of one file of a version.

use std::io::{self, Write};

use mv_repo::cat::cat;
use serde::Serialize;

use crate::commands::shared;
use crate::context::Context;
use crate::failure::{Failure, Result};

/// The largest file that is put into a JSON document.
const JSON_CAP: usize = 16 << 20;

/// Print a file of a version
///
/// The bytes are compared with their id while they are written; a damaged file ends in an error.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv cat HEAD~1:params.yaml\n  mv cat v1.0.0:models/churn.pkl > old.pkl"
)]
pub(crate) struct Args {
    /// The version and the file in it
    #[arg(value_name = "REV:PATH")]
    spec: String,
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
