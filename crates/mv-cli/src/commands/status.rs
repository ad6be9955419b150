//! `mv status`: what a commit would record.

use mv_graph::Component;
use mv_graph::diff::{Change, ChangeKind};
use mv_repo::status::{Status, StatusOptions, status};
use serde::Serialize;

use crate::commands::shared::{self, ConflictDocument};
use crate::context::Context;
use crate::failure::{NO, Result};
use crate::format;
use crate::json::{self, ChangeDocument, Skipped};
use crate::ui::Ui;

/// Show the branch, the version and what changed since
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv status\n  mv status --exit-code || mv commit -m \"nightly\"\n  mv status -z | xargs -0 ls -l"
)]
pub(crate) struct Args {
    /// Exit with 1 when something changed
    #[arg(long)]
    exit_code: bool,
    /// Print only the changed paths, each followed by a NUL byte
    #[arg(short = 'z')]
    nul: bool,
}

#[derive(Serialize)]
struct Document<'a, C> {
    branch: Option<&'a str>,
    head: Option<String>,
    version: Option<&'a str>,
    clean: bool,
    changes: C,
    unfinished: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflicts: Option<Vec<ConflictDocument>>,
    skipped: Vec<Skipped<'a>>,
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let found = status(&repo, &StatusOptions::default(), &session)?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&Document {
            branch: found.branch.as_deref(),
            head: found.head.map(|h| h.to_hex()),
            version: found.version.as_deref(),
            clean: found.changes.is_empty(),
            changes: json::array(found.changes.iter().map(ChangeDocument::from)),
            unfinished: found.unfinished.as_deref(),
            conflicts: found.conflicts.as_deref().map(shared::conflict_documents),
            skipped: found.skipped.iter().map(Skipped::from).collect(),
        })?;
    } else if args.nul {
        shared::raw_paths(ui, found.changes.iter().map(|c| &c.path));
    } else {
        print(ui, &found);
    }
    Ok(if args.exit_code && !found.changes.is_empty() { NO } else { 0 })
}

fn print(ui: &Ui<'_>, found: &Status) {
    ui.line(shared::position(
        ui,
        found.branch.as_deref(),
        found.head.as_ref(),
        found.version.as_deref(),
    ));
    if let Some(what) = &found.unfinished {
        ui.line(format!("unfinished: {}", format::text(what)));
    }
    let conflicts = found.conflicts.as_deref().unwrap_or_default();
    shared::conflicts(ui, conflicts);
    for component in Component::ALL {
        let changes: Vec<&Change> =
            found.changes.iter().filter(|c| c.component == component).collect();
        shared::changes(ui, component, &changes);
    }
    shared::skipped(ui, &found.skipped);
    if !conflicts.is_empty() {
        ui.hint(shared::conflict_hint(conflicts));
    } else if found.conflicts.is_some() {
        ui.hint("make the merged version with `mv commit`, or go back with `mv merge --abort`");
    } else if found.unfinished.is_some() {
        ui.hint("run that command again to finish it, or go back with `mv checkout --force HEAD`");
    } else if found.changes.is_empty() {
        ui.line(if found.head.is_some() {
            "nothing to commit, the working tree is clean"
        } else {
            "nothing here yet"
        });
    } else if found.changes.iter().any(|c| c.kind != ChangeKind::Added) {
        ui.hint("record it with `mv commit -m MESSAGE`, see it with `mv diff`, drop it with `mv restore PATH`");
    } else {
        ui.hint("record it with `mv commit -m MESSAGE`; what must stay out goes into `.mvignore`");
    }
}
