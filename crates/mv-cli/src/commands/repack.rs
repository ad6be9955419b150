//! `mv repack`: stores everything anew, or gathers small packs.

use mv_repo::repack::{gather_packs, repack, repack_remote};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Result;
use crate::format;

/// Store everything anew, as small and as quick to read as possible
///
/// What branches, tags and stages name is stored whole or nearly so, older versions as differences to newer
/// ones, all else with more work than a commit takes. Takes about as long as committing every version
/// again, and until the next `mv gc` the room of both. Nothing is dropped, and no id changes. On a remote
/// nothing is stored anew: small packs are gathered into large ones, while others push and clone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv repack\n  mv repack --gather\n  mv repack --remote origin")]
pub(crate) struct Args {
    /// Only gather small packs into large ones, as they are: a matter of moments
    #[arg(long, conflicts_with = "remote")]
    gather: bool,
    /// Gather the packs of this remote instead
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
        None if args.gather => gather_packs(&repo, &session)?,
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
        ui.say("there is nothing to repack");
    } else {
        ui.say(format!(
            "{} of {} became {} of {}",
            format::count(done.packs_before, "pack"),
            format::bytes(done.bytes_before),
            format::count(done.packs_after, "pack"),
            format::bytes(done.bytes_after)
        ));
        let on = args.remote.as_deref().map(|name| format!(" --remote {}", format::text(name)));
        ui.hint(&format!(
            "the {} of replaced packs go with `mv gc{} --apply` in an hour",
            format::bytes(done.bytes_before),
            on.unwrap_or_default()
        ));
    }
    Ok(0)
}
