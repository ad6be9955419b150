//! `mv fetch`: brings what a remote has.

use mv_repo::fetch::{FetchOptions, FetchOutcome, fetch};

use crate::commands::sharing::{self, Document};
use crate::context::Context;
use crate::failure::Result;
use crate::format;

/// Fetch versions from a remote, without touching the working tree
///
/// Branches appear as `origin/main`; tags and stages come along. Merge with `mv merge`, or do both
/// with `mv pull`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv fetch\n  mv fetch origin main\n  mv diff main origin/main")]
pub(crate) struct Args {
    /// The remote; origin or the only one when not given
    #[arg(value_name = "REMOTE")]
    remote: Option<String>,
    /// Branches; all when not given
    #[arg(value_name = "BRANCH")]
    branches: Vec<String>,
    /// Only say what would be fetched
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Forget branches that are not there any more
    #[arg(long, short)]
    prune: bool,
    /// Take a remote that was set back or exchanged as it is now
    #[arg(long)]
    accept_rewind: bool,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let options = FetchOptions {
        remote: args.remote,
        branches: args.branches,
        dry_run: args.dry_run,
        prune: args.prune,
        accept_rewind: args.accept_rewind,
    };
    let remote = options.remote.as_deref();
    let done = fetch(&repo, &options, &session).map_err(|e| sharing::failed(e, remote))?;
    if context.ui.json {
        context.ui.document(&document(&done, options.dry_run))?;
    }
    told(context, &done, options.dry_run);
    Ok(0)
}

/// What a fetch brought, for `--json`.
pub(crate) fn document(done: &FetchOutcome, dry_run: bool) -> Document<'_> {
    Document {
        remote: &done.remote,
        url: &done.url,
        refs: sharing::ref_documents(&done.refs),
        objects: done.objects,
        bytes: done.bytes,
        already_there_bytes: done.already_there_bytes,
        dry_run,
        warnings: &done.warnings,
    }
}

/// What a fetch brought, for people.
pub(crate) fn told(context: &Context<'_>, done: &FetchOutcome, dry_run: bool) {
    let ui = &context.ui;
    if !ui.json {
        let place = format!("{} ({})", format::text(&done.remote), format::text(&done.url));
        if done.refs.is_empty() && done.objects == 0 {
            ui.say(format!("nothing new on {place}"));
        } else {
            ui.say(format!(
                "{} {place}",
                if dry_run { "would fetch from" } else { "fetched from" }
            ));
            sharing::refs(ui, &done.refs);
            let amount =
                sharing::amount(done.objects, done.bytes, done.already_there_bytes, "were here");
            ui.say(format!("{}: {amount}", if dry_run { "would receive" } else { "received" }));
        }
    }
    for warning in &done.warnings {
        ui.warn(format::text(warning));
    }
}
