//! `mv remote`: the places that versions are shared through.

use mv_repo::remotes::{self, AddOptions, RemoteEntry};
use mv_repo::{Address, Repo};
use serde::Serialize;

use crate::context::{Context, parse_name};
use crate::failure::{Failure, Result};
use crate::format;
use crate::ui::Role;

/// List remotes, or add or remove one
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv remote add origin /mnt/team/churn\n  mv remote add bucket s3://models/churn\n  mv remote list\n  mv remote remove bucket"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a remote: a shared directory or a bucket, which is tried at once
    Add {
        /// What to call it; `origin` is the one that commands mean when none is named
        #[arg(value_name = "NAME")]
        name: String,
        /// Where it is: a directory, s3://bucket/prefix, gs://…, az://…, or https://… to read from
        #[arg(value_name = "URL")]
        url: String,
        /// Take a place that does not keep two writers apart; only safe if there is one
        #[arg(long)]
        unsafe_single_writer: bool,
    },
    /// List remotes
    List,
    /// Forget a remote; nothing there changes
    Remove {
        /// The remote
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Serialize)]
struct Document {
    name: String,
    url: String,
    branches: Vec<BranchDocument>,
}

#[derive(Serialize)]
struct BranchDocument {
    name: String,
    target: String,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    match args.action {
        None | Some(Action::List) => list(context, &repo),
        Some(Action::Add { name, url, unsafe_single_writer }) => {
            let options = AddOptions {
                name: parse_name(&name)?,
                address: Address::parse(&url, &context.cwd()?)?,
                single_writer: unsafe_single_writer,
            };
            let added = remotes::add(&repo, &options, &session).map_err(|e| refused(e, &name))?;
            if context.ui.json {
                return list(context, &repo.fresh(&session)?);
            }
            let shown = format::text(&added.name);
            context.ui.say(format!("added {shown}: {}", format::text(&added.url)));
            context.ui.hint(&format!("share the current branch with `mv push {shown}`"));
            Ok(0)
        }
        Some(Action::Remove { name }) => {
            let name = parse_name(&name)?;
            remotes::remove(&repo, &name, &session).map_err(|e| refused(e, name.as_str()))?;
            if context.ui.json {
                return list(context, &repo.fresh(&session)?);
            }
            context.ui.say(format!("removed {}", format::text(name.as_str())));
            Ok(0)
        }
    }
}

fn refused(error: mv_repo::Error, name: &str) -> Failure {
    let failure = Failure::from(error);
    match failure.code {
        "remote_unfit" => failure.hint(
            "nothing was added: choose another place, or `--unsafe-single-writer` if nobody else will ever write there",
        ),
        "policy" => failure.hint(format!("see all remotes with `mv remote list`, or choose another name than `{}`", format::text(name))),
        _ => failure,
    }
}

fn list(context: &Context<'_>, repo: &Repo) -> Result<u8> {
    let ui = &context.ui;
    let remotes = remotes::list(repo);
    if ui.json {
        let document = |entry: &RemoteEntry| Document {
            name: entry.name.clone(),
            url: entry.url.clone(),
            branches: entry
                .branches
                .iter()
                .map(|(name, target)| BranchDocument {
                    name: name.clone(),
                    target: target.to_hex(),
                })
                .collect(),
        };
        ui.document(&crate::json::array(remotes.iter().map(document)))?;
        return Ok(0);
    }
    for entry in &remotes {
        let name = ui.paint.paint(Role::Name, format::text(&entry.name));
        ui.line(format!("{name}  {}", format::text(&entry.url)));
        for (branch, target) in &entry.branches {
            let id = ui.paint.paint(Role::Id, target.short());
            ui.line(format!("  {} {id}", format::text(branch)));
        }
    }
    if remotes.is_empty() {
        ui.note("there is no remote");
        ui.hint("add one with `mv remote add origin /path/to/shared/directory`");
    }
    Ok(0)
}
