//! `mv undo` and `mv redo`: takes the last command back, and does it again.

use mv_repo::undo::{self, UndoOutcome};
use serde::Serialize;

use crate::commands::shared::{self, FailedDocument};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::format;

/// Take the last command back
///
/// Covers commit, tag, branch, checkout, restore, reset and moves of stages. May be repeated.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv undo\n  mv undo && mv redo")]
pub(crate) struct UndoArgs {}

/// Do again what `undo` took back
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv redo")]
pub(crate) struct RedoArgs {}

#[derive(Serialize)]
struct Document<'a> {
    operation: &'a str,
    head: Option<String>,
    branch: Option<&'a str>,
    written: u64,
    removed: u64,
    failed: Vec<FailedDocument<'a>>,
}

pub(crate) fn undo(context: &Context<'_>) -> Result<u8> {
    let (repo, session) = context.open()?;
    let done = undo::undo(&repo, &session).map_err(refused)?;
    print(context, "took back", &done)?;
    context.ui.hint(if done.operation == "merge --abort" {
        "only what you had edited is back: keep a copy of it, then begin the merge again with `mv merge REV`"
    } else {
        "do it again with `mv redo`"
    });
    Ok(shared::failed(&context.ui, &done.failed))
}

pub(crate) fn redo(context: &Context<'_>) -> Result<u8> {
    let (repo, session) = context.open()?;
    let done = undo::redo(&repo, &session).map_err(refused)?;
    print(context, "did again", &done)?;
    Ok(shared::failed(&context.ui, &done.failed))
}

fn refused(error: mv_repo::Error) -> Failure {
    Failure::from(error).policy_hint("see what was done with `mv reflog`")
}

fn print(context: &Context<'_>, verb: &str, done: &UndoOutcome) -> Result<()> {
    let ui = &context.ui;
    let branch = done.branch.as_deref();
    if ui.json {
        return ui.document(&Document {
            operation: &done.operation,
            head: done.head.map(|id| id.to_hex()),
            branch,
            written: done.written,
            removed: done.removed,
            failed: shared::failed_documents(&done.failed),
        });
    }
    ui.say(format!("{verb}: {}", format::text(&done.operation)));
    ui.say(shared::position(ui, branch, done.head.as_ref(), None));
    ui.say(shared::moved(done.written, done.removed, None));
    Ok(())
}
