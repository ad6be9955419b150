//! `mv checkout`: makes the working tree equal to a version.

use std::ffi::OsString;

use mv_graph::Component;
use mv_repo::checkout::{CheckoutOptions, checkout};

use crate::commands::{env, shared};
use crate::context::{Context, parse_name};
use crate::failure::{Failure, Result};

/// Go to a version or branch, or bring back files of one
///
/// Work that is not committed is never overwritten without `--force`, and `mv undo` brings back
/// even that.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv checkout v1.0.0\n  mv checkout main\n  mv checkout -b smaller-model\n  mv checkout v1.0.0 --only model\n  mv checkout HEAD~2 -- params.yaml"
)]
pub(crate) struct Args {
    /// Where to go
    #[arg(value_name = "REV|BRANCH")]
    target: Option<String>,
    /// Make a branch there and go to it
    #[arg(short = 'b', value_name = "NEW")]
    branch: Option<String>,
    /// Only files of this component: code, data, model or env
    #[arg(long, value_name = "COMP", value_parser = shared::component, conflicts_with = "branch")]
    only: Vec<Component>,
    /// Overwrite work that is not committed
    #[arg(long, short)]
    force: bool,
    /// Only these files and folders
    #[arg(last = true, value_name = "PATH", conflicts_with = "branch")]
    paths: Vec<OsString>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    if args.target.is_none()
        && args.branch.is_none()
        && args.paths.is_empty()
        && args.only.is_empty()
    {
        return Err(
            Failure::usage("nowhere to go").hint("name a version or branch: `mv checkout main`")
        );
    }
    let create_branch = args.branch.as_deref().map(parse_name).transpose()?;
    let (repo, session) = context.open()?;
    let options = CheckoutOptions {
        paths: context.paths(&repo, &args.paths)?,
        target: args.target,
        create_branch,
        only: args.only,
        force: args.force,
    };
    let done = checkout(&repo, &options, &session)?;
    let whole = options.only.is_empty() && options.paths.is_empty() && done.failed.is_empty();
    let asked = whole && (context.ui.json || !context.ui.quiet);
    let environment = if asked { env::against_present(&repo, &done.id, &session) } else { None };
    let code = shared::checked_out(context, &done, environment.as_deref())?;
    if let Some(changes) = environment.filter(|changes| !changes.is_empty()) {
        let what = env::in_short(&changes);
        context.ui.note(format!(
            "environment differs from this version: {what}; see `{} env check`",
            context.host.program()
        ));
    }
    if done.branch.is_none() && options.only.is_empty() && options.paths.is_empty() {
        context.ui.hint("to commit on top of it make a branch first: `mv checkout -b NEW`");
    }
    Ok(code)
}
