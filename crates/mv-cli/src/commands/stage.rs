//! `mv stage`: which version plays which role, now and then.

use mv_graph::{DayEdge, RefName};
use mv_repo::stage::{self, Move, StageOutcome};
use mv_repo::{Repo, Session};

use crate::commands::stage_json::{HolderDocument, MoveDocument};
use crate::context::{Context, parse_name};
use crate::failure::{Failure, Result};
use crate::format;
use crate::suggest;
use crate::table::Table;
use crate::ui::{Role, Ui};

/// Say which version plays a role such as production, and who did when
///
/// A stage is a role that one version plays at a time. Every move is kept for ever with its author
/// and reason; undoing one is another move. Each version that ever played a role is kept by `gc`.
///
/// `set` obeys the rules of the stage in `mv.toml` as it is in the project folder:
/// `require_semver`, `require` (bounds of metrics) and `no_worse` (against the present version).
/// `rollback` is not held against them. It gives the role back to the version that played it before
/// the present one was set; repeated, it goes further back.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv stage set production v1.2.0 -m \"passed the load test\"\n  mv stage                          # who plays what now\n  mv stage at production 2026-06-01\n  mv stage rollback production -m \"too slow\"\n  mv stage history production\n  mv checkout production@{2026-06-01}"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Give the role NAME to a version
    Set {
        /// The role: production, staging, champion …
        #[arg(value_name = "NAME")]
        name: String,
        /// The version
        #[arg(value_name = "REV")]
        rev: String,
        /// Why
        #[arg(short, long, value_name = "WHY", default_value = "", hide_default_value = true)]
        message: String,
    },
    /// List the roles and the versions that play them; also what `mv stage` alone does
    List,
    /// List every move, oldest first
    History {
        /// Only of this role
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Give the role back to the version that played it before the present one was set
    Rollback {
        /// The role
        #[arg(value_name = "NAME")]
        name: String,
        /// Why
        #[arg(short, long, value_name = "WHY", default_value = "", hide_default_value = true)]
        message: String,
    },
    /// Say who played the role at a time; exit code 1 when nobody did
    At {
        /// The role
        #[arg(value_name = "NAME")]
        name: String,
        /// `2026-06-01` is the end of that day; `2026-06-01 12:00`, RFC 3339
        #[arg(value_name = "DATE")]
        date: String,
    },
    /// Take the role from the version that plays it; its history stays
    Unset {
        /// The role
        #[arg(value_name = "NAME")]
        name: String,
        /// Why
        #[arg(short, long, value_name = "WHY", default_value = "", hide_default_value = true)]
        message: String,
    },
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(context),
        Action::History { name } => history(context, name.as_deref()),
        Action::At { name, date } => at(context, &name, &date),
        Action::Set { name, rev, message } => {
            let shown = format::text(&name);
            let hint = format!(
                "see who plays what with `mv stage list`; rules are under `[stage.{shown}]` in `mv.toml`"
            );
            change(context, &name, &hint, |repo, name, session| {
                stage::set(repo, name, &rev, &message, session)
            })
        }
        Action::Rollback { name, message } => {
            let hint = see_history(&name);
            change(context, &name, &hint, |repo, name, session| {
                stage::rollback(repo, name, &message, session)
            })
        }
        Action::Unset { name, message } => {
            let hint = see_history(&name);
            change(context, &name, &hint, |repo, name, session| {
                stage::unset(repo, name, &message, session)
            })
        }
    }
}

/// For a name that means something else already.
const TAKEN: &str = "choose another name, such as `production`; `mv stage list` has those in use";

fn see_history(name: &str) -> String {
    format!("see every move with `mv stage history {}`", format::text(name))
}

/// Moves a stage and says so; the hint is for when a rule stands against it.
fn change(
    context: &Context<'_>,
    name: &str,
    hint: &str,
    action: impl FnOnce(&Repo, &RefName, &Session) -> mv_repo::Result<StageOutcome>,
) -> Result<u8> {
    let checked = parse_name(name)?;
    let (repo, session) = context.open()?;
    let outcome = action(&repo, &checked, &session).map_err(|e| {
        let failure = unknown(&repo, name, e);
        // What is said of a name begins with it, in backticks; what a rule says does not.
        let hint = if failure.message.starts_with('`') { TAKEN } else { hint };
        failure.policy_hint(hint)
    })?;
    let (ui, newest) = (&context.ui, &outcome.newest);
    if ui.json {
        ui.document(&MoveDocument::from(&outcome))?;
    } else if outcome.moved {
        ui.say(arrow(ui, newest));
    } else {
        let text =
            format!("{}: {} already", shown_name(ui, newest), holder(ui, newest.to.as_ref()));
        ui.note(text);
    }
    Ok(0)
}

fn list(context: &Context<'_>) -> Result<u8> {
    let (repo, _) = context.open()?;
    let stages = stage::list(&repo)?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&crate::json::array(stages.iter().map(HolderDocument::from)))?;
        return Ok(0);
    }
    let mut table = Table::new(&["stage", "version", "since", "by", "reason"]);
    for one in &stages {
        let version = one.to.as_ref().map(|(_, version)| format::text(version));
        table.row([
            format::text(&one.name),
            version.unwrap_or_default(),
            one.at.to_display().chars().take(16).collect(),
            format::text(&one.by.to_string()),
            format::subject(&one.reason),
        ]);
    }
    if table.is_empty() {
        ui.note("no version plays a role");
        ui.hint("give one to a version with `mv stage set production v1.0.0 -m WHY`");
        return Ok(0);
    }
    table.lines(ui.width()).iter().for_each(|l| ui.line(l));
    Ok(0)
}

fn history(context: &Context<'_>, name: Option<&str>) -> Result<u8> {
    let (repo, _) = context.open()?;
    let moves =
        stage::history(&repo, name).map_err(|e| unknown(&repo, name.unwrap_or_default(), e))?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&crate::json::array(moves.iter().map(MoveDocument::from)))?;
        return Ok(0);
    }
    if moves.is_empty() {
        ui.note("no stage was ever moved");
    }
    for one in &moves {
        let kind = one.kind.as_str();
        ui.line(format!("{}  {}  ({kind})", one.at.to_display(), arrow(ui, one)));
        ui.line(format!("    by {}", format::text(&one.by.to_string())));
        one.reason.lines().for_each(|line| ui.line(format::indented(line)));
    }
    Ok(0)
}

fn at(context: &Context<'_>, name: &str, date: &str) -> Result<u8> {
    let time = context.time(date, DayEdge::End)?;
    let (repo, _) = context.open()?;
    let found = stage::at(&repo, name, time).map_err(|e| unknown(&repo, name, e))?;
    let Some(one) = found else {
        let message = format!("nobody played `{name}` then");
        return Err(Failure::no("nobody", message).hint(see_history(name)));
    };
    let ui = &context.ui;
    if ui.json {
        ui.document(&HolderDocument::from(&one))?;
        return Ok(0);
    }
    if let Some((id, version)) = &one.to {
        ui.line(format!("version {}", ui.paint.paint(Role::Name, format::text(version))));
        ui.line(format!("Id:      {}", ui.paint.paint(Role::Id, id)));
    }
    ui.line(format!("Since:   {}", one.at.to_display()));
    ui.line(format!("By:      {}", format::text(&one.by.to_string())));
    if !one.reason.is_empty() {
        ui.line("");
        one.reason.lines().for_each(|line| ui.line(format::indented(line)));
    }
    Ok(0)
}

/// `production: v1.1.0 -> v1.2.0`.
fn arrow(ui: &Ui<'_>, one: &Move) -> String {
    let (mut from, mut to) = (holder(ui, one.from.as_ref()), holder(ui, one.to.as_ref()));
    // Versions without a number are called by the second in which they were made.
    if let (Some((old, called)), Some((new, also))) = (&one.from, &one.to)
        && called == also
        && old != new
    {
        let id = |id: &mv_store::Hash| format!(" ({})", ui.paint.paint(Role::Id, id.short()));
        from.push_str(&id(old));
        to.push_str(&id(new));
    }
    format!("{}: {from} -> {to}", shown_name(ui, one))
}

fn shown_name(ui: &Ui<'_>, one: &Move) -> String {
    ui.paint.paint(Role::Name, format::text(&one.name))
}

/// How the version that plays a role is called, or `nobody`.
fn holder(ui: &Ui<'_>, version: Option<&(mv_store::Hash, String)>) -> String {
    match version {
        Some((_, version)) => ui.paint.paint(Role::Name, format::text(version)),
        None => "nobody".to_owned(),
    }
}

/// A name that is no stage is told as such, with the near one. Other failures stay what they are.
fn unknown(repo: &Repo, name: &str, error: mv_repo::Error) -> Failure {
    let failure = Failure::from(error);
    if failure.unknown.as_deref() != Some(name) || repo.state().stage(name).is_some() {
        return failure;
    }
    let names: Vec<String> = repo.state().stages.iter().map(|s| s.name.to_string()).collect();
    let near = suggest::nearest(name, &names).map(|near| format!("did you mean `{near}`? "));
    let hint = format!("{}list stages with `mv stage list`", near.unwrap_or_default());
    Failure::usage(format!("unknown stage `{name}`")).hint(hint)
}
