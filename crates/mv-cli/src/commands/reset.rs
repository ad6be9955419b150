//! `mv reset`: moves the current branch to another version.

use mv_repo::reset::{ResetOptions, reset};
use serde::Serialize;

use crate::commands::shared::{self, FailedDocument};
use crate::context::Context;
use crate::failure::Result;

/// Move the current branch to another version
///
/// The working tree stays as it is, except with `--hard`. `mv undo` takes either back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv reset HEAD~1\n  mv reset --hard v1.0.0")]
pub(crate) struct Args {
    /// Make the working tree equal to it as well
    #[arg(long)]
    hard: bool,
    /// The version
    #[arg(value_name = "REV")]
    rev: String,
}

#[derive(Serialize)]
struct Document<'a> {
    branch: Option<&'a str>,
    id: String,
    version: &'a str,
    written: u64,
    removed: u64,
    failed: Vec<FailedDocument<'a>>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let done = reset(&repo, &ResetOptions { rev: args.rev, hard: args.hard }, &session)?;
    let ui = &context.ui;
    let branch = done.branch.as_deref();
    let (written, removed) = done.checkout.as_ref().map_or((0, 0), |c| (c.written, c.removed));
    let failed = done.checkout.as_ref().map_or(&[][..], |c| &c.failed);
    if ui.json {
        let (id, version) = (done.id.to_hex(), &done.version);
        let failed = shared::failed_documents(failed);
        ui.document(&Document { branch, id, version, written, removed, failed })?;
    } else {
        ui.say(shared::position(ui, branch, Some(&done.id), Some(&done.version)));
        if args.hard {
            ui.say(shared::moved(written, removed, None));
        }
        ui.hint("this can be taken back with `mv undo`");
    }
    Ok(shared::failed(ui, failed))
}
