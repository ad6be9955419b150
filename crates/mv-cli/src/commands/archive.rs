//! `mv archive`: a version as one file.

use std::path::PathBuf;

use mv_repo::archive::{ArchiveOptions, archive};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Result;
use crate::format;

/// Write a version into a .tar, .tar.zst or .zip file
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv archive v1.0.0 -o churn-v1.0.0.tar.zst\n  mv archive HEAD -o /tmp/now.zip"
)]
pub(crate) struct Args {
    /// The version
    #[arg(value_name = "REV")]
    rev: String,
    /// The file to write; its ending chooses the format
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Serialize)]
struct Document<'a> {
    output: &'a str,
    files: u64,
    bytes: u64,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let output = context.cwd()?.join(&args.output);
    let done = archive(&repo, &ArchiveOptions { rev: args.rev, output }, &session)?;
    let ui = &context.ui;
    let output = args.output.to_string_lossy();
    if ui.json {
        ui.document(&Document { output: &output, files: done.files, bytes: done.bytes })?;
    } else {
        let files = format::count(done.files, "file");
        ui.say(format!(
            "wrote {files}, {} into {}",
            format::bytes(done.bytes),
            format::text(&output)
        ));
    }
    Ok(0)
}
