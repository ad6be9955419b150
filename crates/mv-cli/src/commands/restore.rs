//! `mv restore`: brings back files of a version.

use std::ffi::OsString;

use mv_repo::restore::{RestoreOptions, restore};

use crate::commands::shared;
use crate::context::Context;
use crate::failure::Result;

/// Bring files back as they are in a version
///
/// What is overwritten is kept: `mv undo` brings it back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv restore train.py\n  mv restore --from v1.0.0 models params.yaml\n  mv restore ."
)]
pub(crate) struct Args {
    /// The version; the current one when not given
    #[arg(long, value_name = "REV")]
    from: Option<String>,
    /// Files and folders
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let options = RestoreOptions { from: args.from, paths: context.paths(&repo, &args.paths)? };
    let done = restore(&repo, &options, &session)?;
    shared::checked_out(context, &done, None)
}
