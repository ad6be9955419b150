//! `mv pull`: fetches and merges.

use mv_repo::merge::Favor;
use mv_repo::pull::{PullOptions, pull};
use serde::Serialize;

use crate::commands::{fetch, merge, sharing};
use crate::context::Context;
use crate::failure::Result;

/// Fetch from a remote and merge its branch into the current one
///
/// The branch moves on where it can; where both sides have new versions they are merged as by
/// `mv merge`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv pull\n  mv pull origin main\n  mv pull --theirs")]
pub(crate) struct Args {
    /// The remote; origin or the only one when not given
    #[arg(value_name = "REMOTE")]
    remote: Option<String>,
    /// The branch there; the current one's name when not given
    #[arg(value_name = "BRANCH")]
    branch: Option<String>,
    /// Where both sides changed the same, take the current version
    #[arg(long, conflicts_with = "theirs")]
    ours: bool,
    /// Where both sides changed the same, take the other version
    #[arg(long)]
    theirs: bool,
    /// Take a remote that was set back or exchanged as it is now
    #[arg(long)]
    accept_rewind: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    fetched: sharing::Document<'a>,
    merged: merge::Document<'a>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let favor = match (args.ours, args.theirs) {
        (true, _) => Favor::Ours,
        (_, true) => Favor::Theirs,
        _ => Favor::Neither,
    };
    let options = PullOptions {
        remote: args.remote,
        branch: args.branch,
        favor,
        accept_rewind: args.accept_rewind,
    };
    let remote = options.remote.as_deref();
    let done = pull(&repo, &options, &session)
        .map_err(|e| merge::in_the_way(sharing::failed(e, remote)))?;
    if context.ui.json {
        let fetched = fetch::document(&done.fetched, false);
        context.ui.document(&Document { fetched, merged: merge::document(&done.merged) })?;
    }
    fetch::told(context, &done.fetched, false);
    Ok(merge::told(context, &done.merged))
}
