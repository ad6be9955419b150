//! `mv tag`: lists, makes and deletes tags.

use mv_graph::Tag;
use mv_repo::Repo;
use mv_repo::tag::{self, BumpOptions, TagOptions};
use serde::Serialize;

use crate::commands::shared::{self, Bump, BumpDocument};
use crate::context::{Context, parse_name};
use crate::failure::{Failure, Result};
use crate::format;
use crate::suggest;
use crate::table::Table;
use crate::ui::Role;

/// List tags in semver order, or name a version
///
/// A tag that is a semantic version is never moved and its number is never used again. With --bump
/// the name is the next number after the highest one among the version's ancestors: `mv tag --bump
/// minor [REV]`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv tag\n  mv tag v1.0.0 -m \"first model in production\"\n  mv tag --bump auto\n  mv tag baseline HEAD~3\n  mv tag -d baseline"
)]
pub(crate) struct Args {
    /// The new tag
    #[arg(value_name = "NAME", required_if_eq("delete", "true"))]
    name: Option<String>,
    /// The version to name; the current one when not given
    #[arg(value_name = "REV", conflicts_with_all = ["delete", "bump"])]
    rev: Option<String>,
    /// Why
    #[arg(short, long, value_name = "MSG", conflicts_with = "delete")]
    message: Option<String>,
    /// Use the next number as the name
    #[arg(long, value_name = "KIND", value_enum, conflicts_with = "delete")]
    bump: Option<Bump>,
    /// Delete the tag NAME
    #[arg(short, long)]
    delete: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    version: String,
    target: String,
    message: &'a str,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bump: Option<BumpDocument<'a>>,
}

#[derive(Serialize)]
struct Deleted<'a> {
    deleted: &'a str,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let ui = &context.ui;
    if let Some(kind) = args.bump {
        return bump(context, kind, args.name, args.message.unwrap_or_default());
    }
    let Some(name) = args.name else {
        if args.message.is_some() {
            return Err(Failure::usage("a message needs a tag")
                .hint("name the version: `mv tag v1.0.0 -m MESSAGE`"));
        }
        return list(context);
    };
    if args.delete {
        let (repo, session) = context.open()?;
        tag::delete(&repo, &parse_name(&name)?, &session).map_err(|e| unknown(&repo, &name, e))?;
        if ui.json {
            ui.document(&Deleted { deleted: &name })?;
        } else {
            ui.say(format!("deleted tag {}", format::text(&name)));
        }
        return Ok(0);
    }
    let options = TagOptions {
        name: parse_name(&name)?,
        rev: args.rev,
        message: args.message.unwrap_or_default(),
    };
    let (repo, session) = context.open()?;
    let made = tag::create(&repo, &options, &session).map_err(|e| {
        Failure::from(e).policy_hint("choose another name; `mv tag` lists those taken")
    })?;
    if ui.json {
        ui.document(&[document(&repo, &made)?])?;
    } else {
        let id = made.target.map(|id| id.short()).unwrap_or_default();
        let name = ui.paint.paint(Role::Name, format::text(made.name.as_str()));
        ui.say(format!("tagged {} as {name}", ui.paint.paint(Role::Id, id)));
    }
    Ok(0)
}

fn bump(context: &Context<'_>, kind: Bump, rev: Option<String>, message: String) -> Result<u8> {
    let ui = &context.ui;
    let (repo, session) = context.open()?;
    let options = BumpOptions { choice: kind.into(), rev, message };
    let (made, bumped) = tag::bump(&repo, &options, &session).map_err(|e| {
        Failure::from(e).policy_hint("a version has one number; `mv tag` lists them")
    })?;
    if ui.json {
        // The repository was opened before the version had this number.
        let version = made.name.to_string();
        let bump = Some((&bumped).into());
        ui.document(&[Document { version, bump, ..document(&repo, &made)? }])?;
    } else {
        let id = made.target.map(|id| id.short()).unwrap_or_default();
        let id = ui.paint.paint(Role::Id, id);
        ui.say(format!("tagged {id} as {}", shared::bumped(ui, &bumped)));
    }
    Ok(0)
}

/// A name that is no tag is told as such, with the near one. Other failures stay what they are.
fn unknown(repo: &Repo, name: &str, error: mv_repo::Error) -> Failure {
    let failure = Failure::from(error);
    if failure.unknown.as_deref() != Some(name) {
        return failure;
    }
    let names: Vec<String> = tag::list(repo).iter().map(|t| t.name.to_string()).collect();
    let near = suggest::nearest(name, &names).map(|near| format!("did you mean `{near}`? "));
    let hint = format!("{}list tags with `mv tag`", near.unwrap_or_default());
    Failure::usage(format!("unknown tag `{}`", format::text(name))).hint(hint)
}

fn list(context: &Context<'_>) -> Result<u8> {
    let ui = &context.ui;
    let (repo, _) = context.open()?;
    let tags: Vec<Tag> = tag::list(&repo).into_iter().filter(|t| t.target.is_some()).collect();
    if ui.json {
        let documents: Vec<Document<'_>> =
            tags.iter().map(|t| document(&repo, t)).collect::<Result<_>>()?;
        ui.document(&documents)?;
        return Ok(0);
    }
    let mut table = Table::new(&["", "", "", ""]);
    for tag in &tags {
        let id = tag.target.map(|id| id.short()).unwrap_or_default();
        let day: String = tag.created.to_display().chars().take(10).collect();
        table.row([format::text(tag.name.as_str()), id, day, format::subject(&tag.message)]);
    }
    table.lines(ui.width()).iter().for_each(|l| ui.line(l));
    if tags.is_empty() {
        ui.note("no tags yet");
        ui.hint("name the current version with `mv tag v1.0.0`");
    }
    Ok(0)
}

fn document<'a>(repo: &Repo, tag: &'a Tag) -> Result<Document<'a>> {
    let target = tag.target.ok_or_else(|| Failure::integrity("the new tag has no target"))?;
    let version = repo.version_of(&target, &repo.manifest(&target)?);
    Ok(Document {
        name: tag.name.as_str(),
        version,
        target: target.to_hex(),
        message: &tag.message,
        created: tag.created.to_rfc3339_utc(),
        bump: None,
    })
}
