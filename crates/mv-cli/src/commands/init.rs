//! `mv init`: makes a repository.

use std::path::PathBuf;

use mv_repo::{InitOptions, Repo};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Result;
use crate::format;

/// Make a repository here or in DIR
///
/// Writes `.mv/` and, when there is none, a commented `mv.toml`. Running it again changes nothing.
/// Inside a git repository `.mv/` is added to `.git/info/exclude`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv init\n  mv init churn --name churn-model")]
pub(crate) struct Args {
    /// The project's folder; made when it does not exist
    dir: Option<PathBuf>,
    /// The model's name; the folder's name when not given
    #[arg(long)]
    name: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    root: &'a str,
    created: bool,
    name: &'a str,
    git_excluded: bool,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let dir = match args.dir {
        Some(dir) => context.cwd()?.join(dir),
        None => context.cwd()?,
    };
    let session = context.session()?;
    let made = Repo::init(&dir, &InitOptions { name: args.name }, &session)?;
    let root = made.root.to_string_lossy();
    let ui = &context.ui;
    if ui.json {
        let (created, git_excluded) = (made.created, made.git_excluded);
        ui.document(&Document { root: &root, created, name: &made.name, git_excluded })?;
        return Ok(0);
    }
    let root = format::text(&root);
    if made.created {
        ui.say(format!("made a repository for `{}` in {root}", format::text(&made.name)));
        if made.git_excluded {
            ui.note("added `.mv/` to `.git/info/exclude`, so that git does not see it");
        }
        ui.hint(
            "say what is code, data and model in `mv.toml`, then `mv commit -m \"first version\"`",
        );
    } else {
        ui.say(format!("{root} is a repository already"));
    }
    Ok(0)
}
