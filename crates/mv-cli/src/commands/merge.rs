//! `mv merge`: brings another version into the current one.

use std::ffi::OsString;

use mv_graph::RepoPath;
use mv_repo::merge::{Favor, MergeOptions, MergeOutcome, abort, decide, merge};
use mv_repo::{Repo, Session};
use serde::Serialize;

use crate::commands::shared::{self, ConflictDocument, FailedDocument};
use crate::context::Context;
use crate::failure::{Failure, NO, Result};
use crate::format;
use crate::json::PathDocument;
use crate::ui::Ui;

/// Merge another version into the current one
///
/// Moves the branch on where it can, and makes a version with two parents where both sides have new
/// versions. Text is merged by line, everything else by file. What both sides changed in different
/// ways is a conflict: decide it in the working tree, then commit.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv merge smaller-model\n  mv merge origin/main\n  mv merge smaller-model --theirs\n  mv merge --theirs -- models/net.safetensors\n  mv merge --abort"
)]
pub(crate) struct Args {
    /// The version or branch to merge
    #[arg(value_name = "REV", required_unless_present_any = ["abort", "paths"])]
    rev: Option<String>,
    /// Go back to where the merge began
    #[arg(long, conflicts_with_all = ["rev", "ours", "theirs", "paths"])]
    abort: bool,
    /// Where both sides changed the same, take the current version
    #[arg(long, conflicts_with = "theirs")]
    ours: bool,
    /// Where both sides changed the same, take the other version
    #[arg(long)]
    theirs: bool,
    /// Why; by default the name of what is merged
    #[arg(short, long, value_name = "MSG")]
    message: Option<String>,
    /// Make a version of its own even where the branch could just move on
    #[arg(long)]
    no_ff: bool,
    /// Merge a version that has no history in common
    #[arg(long)]
    allow_unrelated: bool,
    /// Conflicts of the unfinished merge to decide with --ours or --theirs
    #[arg(last = true, value_name = "PATH", conflicts_with = "rev")]
    paths: Vec<OsString>,
}

/// What a merge did, for `--json`.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    id: Option<String>,
    version: Option<&'a str>,
    branch: Option<&'a str>,
    fast_forward: bool,
    already_up_to_date: bool,
    merged: Vec<MergedDocument>,
    conflicts: Vec<ConflictDocument>,
    written: u64,
    removed: u64,
    failed: Vec<FailedDocument<'a>>,
}

/// `merged` holds plain paths, unless a name is no text.
#[derive(Serialize)]
#[serde(untagged)]
enum MergedDocument {
    Text(String),
    Bytes(PathDocument),
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let favor = match (args.ours, args.theirs) {
        (true, _) => Favor::Ours,
        (_, true) => Favor::Theirs,
        _ => Favor::Neither,
    };
    let (repo, session) = context.open()?;
    if args.abort {
        let done = abort(&repo, &session).map_err(|e| no_merge(e.into()))?;
        return shared::checked_out(context, &done, None);
    }
    let Some(rev) = args.rev else {
        return take_side(context, &repo, favor, &args.paths, &session);
    };
    if args.message.as_ref().is_some_and(|m| m.trim().is_empty()) {
        return Err(Failure::usage("the message is empty")
            .hint("leave `-m` out for the name of what is merged"));
    }
    let options = MergeOptions {
        rev,
        favor,
        no_ff: args.no_ff,
        allow_unrelated: args.allow_unrelated,
        message: args.message,
    };
    let done = merge(&repo, &options, &session).map_err(|e| in_the_way(e.into()))?;
    if context.ui.json {
        context.ui.document(&document(&done))?;
    }
    Ok(told(context, &done))
}

fn take_side(
    context: &Context<'_>,
    repo: &Repo,
    favor: Favor,
    paths: &[OsString],
    session: &Session,
) -> Result<u8> {
    if favor == Favor::Neither {
        return Err(Failure::usage("which side is to be taken for these paths?")
            .hint("say `mv merge --ours -- PATH` or `mv merge --theirs -- PATH`"));
    }
    let paths = context.paths(repo, paths)?;
    let done = decide(repo, favor, &paths, session).map_err(|e| {
        let failure = no_merge(e.into());
        match failure.code {
            "usage" => failure.hint("list the conflicts with `mv status`"),
            _ => failure,
        }
    })?;
    shared::checked_out(context, &done, None)
}

/// What to do about files that are in the way of a merge.
pub(crate) fn in_the_way(failure: Failure) -> Failure {
    match failure.code {
        "would_lose_work" => failure.hint(
            "keep it with `mv commit -m MESSAGE`, or put it back with `mv restore PATH`, which `mv undo` takes back",
        ),
        _ => failure.policy_hint("merge it all the same with `mv merge --allow-unrelated REV`"),
    }
}

/// Without a merge there is nothing to go back from or to decide.
fn no_merge(failure: Failure) -> Failure {
    failure.policy_hint("look at what is there with `mv status`")
}

/// What a merge did, for `--json`.
pub(crate) fn document(done: &MergeOutcome) -> Document<'_> {
    Document {
        id: done.id.map(|id| id.to_hex()),
        version: done.id.map(|_| done.version.as_str()),
        branch: done.branch.as_deref(),
        fast_forward: done.fast_forward,
        already_up_to_date: done.already_up_to_date,
        merged: done.merged.iter().map(merged_document).collect(),
        conflicts: shared::conflict_documents(&done.conflicts),
        written: done.written,
        removed: done.removed,
        failed: shared::failed_documents(&done.failed),
    }
}

/// What a merge did, for people; the number is the exit code.
pub(crate) fn told(context: &Context<'_>, done: &MergeOutcome) -> u8 {
    let ui = &context.ui;
    if !ui.json {
        print(ui, done);
    }
    let code = shared::failed(ui, &done.failed);
    if code == 0 && !done.conflicts.is_empty() { NO } else { code }
}

fn merged_document(path: &RepoPath) -> MergedDocument {
    match path.as_str() {
        Some(text) => MergedDocument::Text(text.to_owned()),
        None => MergedDocument::Bytes(path.into()),
    }
}

fn print(ui: &Ui<'_>, done: &MergeOutcome) {
    if done.already_up_to_date {
        return ui.say("already up to date");
    }
    if let Some(id) = &done.id {
        let place = shared::position(ui, done.branch.as_deref(), Some(id), Some(&done.version));
        let how = if done.fast_forward { "moved on" } else { "merged" };
        ui.say(format!("{how}: {place}"));
    }
    ui.say(shared::moved(done.written, done.removed, Some(done.bytes)));
    if !done.merged.is_empty() {
        let count = format::count(done.merged.len() as u64, "file");
        ui.say(format!("{count} with changes of both sides"));
    }
    if ui.verbose {
        for path in &done.merged {
            ui.say(format!("  {}", path.display_escaped()));
        }
    }
    if !done.conflicts.is_empty() {
        shared::conflicts(ui, &done.conflicts);
        ui.hint(shared::conflict_hint(&done.conflicts));
    }
}
