//! `mv branch`: lists, makes, renames and deletes branches.

use mv_repo::branch;
use serde::Serialize;

use crate::context::{Context, parse_name};
use crate::failure::{Failure, Result};
use crate::format;
use crate::ui::Role;

/// List branches, or make, rename or delete one
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv branch\n  mv branch smaller-model v1.0.0\n  mv branch -m trunk            # rename the current branch\n  mv branch smaller-model -d"
)]
pub(crate) struct Args {
    /// The branch
    #[arg(value_name = "NAME", required_if_eq("delete", "true"))]
    name: Option<String>,
    /// Where the new branch begins; the current version when not given
    #[arg(value_name = "REV", conflicts_with_all = ["delete", "rename"])]
    rev: Option<String>,
    /// Delete the branch NAME
    #[arg(short, long, conflicts_with = "rename")]
    delete: bool,
    /// Rename the branch NAME, or the current one
    #[arg(short = 'm', long = "move", value_name = "NEW")]
    rename: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    target: String,
    current: bool,
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let name = args.name.as_deref();
    if let Some(new) = &args.rename {
        let (from, to) = (name.map(parse_name).transpose()?, parse_name(new)?);
        let (repo, session) = context.open()?;
        branch::rename(&repo, from.as_ref(), &to, &session).map_err(refused)?;
        let old = name.map_or_else(
            || "the current branch".to_owned(),
            |n| format!("branch {}", format::text(n)),
        );
        return done(context, &format!("renamed {old} to {}", format::text(new)));
    }
    match name {
        None => list(context),
        Some(name) if args.delete => {
            let (repo, session) = context.open()?;
            branch::delete(&repo, &parse_name(name)?, &session).map_err(refused)?;
            done(context, &format!("deleted branch {}", format::text(name)))
        }
        Some(name) => {
            let new = parse_name(name)?;
            let (repo, session) = context.open()?;
            branch::create(&repo, &new, args.rev.as_deref(), &session).map_err(refused)?;
            done(context, &format!("made branch {}", format::text(name)))?;
            context.ui.hint(&format!("go there with `mv checkout {}`", format::text(name)));
            Ok(0)
        }
    }
}

fn refused(error: mv_repo::Error) -> Failure {
    Failure::from(error).policy_hint("see all branches with `mv branch`")
}

/// Says what was done; programs get the list as it is now.
fn done(context: &Context<'_>, text: &str) -> Result<u8> {
    if context.ui.json {
        return list(context);
    }
    context.ui.say(text);
    Ok(0)
}

fn list(context: &Context<'_>) -> Result<u8> {
    let ui = &context.ui;
    let (repo, _) = context.open()?;
    let branches = branch::list(&repo);
    if ui.json {
        let document = |(name, target, current): &'_ (String, mv_store::Hash, bool)| {
            (name.clone(), target.to_hex(), *current)
        };
        let rows: Vec<_> = branches.iter().map(document).collect();
        let rows = rows.iter().map(|(name, target, current)| Document {
            name,
            target: target.clone(),
            current: *current,
        });
        ui.document(&crate::json::array(rows))?;
        return Ok(0);
    }
    for (name, target, current) in &branches {
        let mark = if *current { "*" } else { " " };
        let name = format::text(name);
        let name = if *current { ui.paint.paint(Role::Name, name) } else { name };
        ui.line(format!("{mark} {name} {}", ui.paint.paint(Role::Id, target.short())));
    }
    if branches.is_empty() {
        ui.note("no branch has a version yet");
    }
    Ok(0)
}
