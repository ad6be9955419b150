//! `mv repack`: gathers small packs.

use mv_repo::repack::{repack, repack_remote};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Result;
use crate::format;

/// Gather small packs into large ones, here or on a remote
///
/// Makes a long history as quick to read, and to clone, as a short one. Nothing is dropped: see `mv gc`.
/// Others may push and clone meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv repack\n  mv repack --remote origin")]
pub(crate) struct Args {
    /// The packs of this remote instead
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
}

#[derive(Serialize)]
struct Document {
    packs_before: u64,
    packs_after: u64,
    bytes_before: u64,
    bytes_after: u64,
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let done = match &args.remote {
        Some(name) => repack_remote(&repo, Some(name), &session)?,
        None => repack(&repo, &session)?,
    };
    let ui = &context.ui;
    if ui.json {
        ui.document(&Document {
            packs_before: done.packs_before,
            packs_after: done.packs_after,
            bytes_before: done.bytes_before,
            bytes_after: done.bytes_after,
        })?;
    } else if done.packs_before == 0 {
        ui.say("there is nothing to gather");
    } else {
        ui.say(format!(
            "{} of {} became {} of {}",
            format::count(done.packs_before, "pack"),
            format::bytes(done.bytes_before),
            format::count(done.packs_after, "pack"),
            format::bytes(done.bytes_after)
        ));
    }
    Ok(0)
}
