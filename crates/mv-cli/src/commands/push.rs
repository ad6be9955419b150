//! `mv push`: sends versions to a remote.

use mv_repo::push::{PushOptions, push};

use crate::commands::sharing::{self, Document};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::format;

/// Send versions to a remote, with all that they need
///
/// Only what the remote lacks travels. The tags and stages of the versions go along. A branch that
/// moved on there is not overwritten: pull first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv push\n  mv push origin main v1.2.0\n  mv push --all\n  mv push --dry-run\n  mv push origin --delete smaller-model"
)]
pub(crate) struct Args {
    /// The remote; origin or the only one when not given
    #[arg(value_name = "REMOTE")]
    remote: Option<String>,
    /// Branches, tags and stages; the current branch when not given
    #[arg(value_name = "REF")]
    refs: Vec<String>,
    /// Every branch, tag and stage
    #[arg(long, conflicts_with = "refs")]
    all: bool,
    /// Delete these refs there
    #[arg(long, short, requires = "refs", conflicts_with_all = ["all", "force_with_lease"])]
    delete: bool,
    /// Only say what would be sent
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Overwrite a branch there if it still is where it was last seen
    #[arg(long)]
    force_with_lease: bool,
    /// Take a remote that was set back or exchanged as it is now
    #[arg(long)]
    accept_rewind: bool,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let options = PushOptions {
        remote: args.remote,
        refs: args.refs,
        all: args.all,
        delete: args.delete,
        dry_run: args.dry_run,
        force_with_lease: args.force_with_lease,
        accept_rewind: args.accept_rewind,
    };
    let done = push(&repo, &options, &session).map_err(|e| failed(e, &options))?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&Document {
            remote: &done.remote,
            url: &done.url,
            refs: sharing::ref_documents(&done.refs),
            objects: done.objects,
            bytes: done.bytes,
            already_there_bytes: done.already_there_bytes,
            dry_run: options.dry_run,
            warnings: &[],
        })?;
        return Ok(0);
    }
    let place = format!("{} ({})", format::text(&done.remote), format::text(&done.url));
    if done.refs.is_empty() {
        ui.say(format!("{place} is up to date"));
        return Ok(0);
    }
    ui.say(format!("{} {place}", if options.dry_run { "would push to" } else { "pushed to" }));
    sharing::refs(ui, &done.refs);
    let amount = sharing::amount(done.objects, done.bytes, done.already_there_bytes, "were there");
    ui.say(format!("{}: {amount}", if options.dry_run { "would send" } else { "sent" }));
    Ok(0)
}

fn failed(error: mv_repo::Error, options: &PushOptions) -> Failure {
    let failure = sharing::failed(error, options.remote.as_deref());
    match failure.code {
        // The first word is the remote's name.
        "unknown_remote" if options.refs.is_empty() && options.remote.is_some() => failure
            .hint("list remotes with `mv remote list`; a ref comes after the remote: `mv push origin REF`"),
        "policy" if failure.message.contains("is another version") => failure.hint(
            "give yours another number: `mv tag -d NAME`, `mv fetch`, `mv tag NEW REV`, then push again",
        ),
        _ => failure,
    }
}
