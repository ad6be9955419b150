//! `mv commit`: records the working tree as a new version.

use std::ffi::OsString;

use mv_graph::{Person, Scalar};
use mv_repo::commit::{CommitOptions, CommitOutcome, commit};
use mv_repo::merge::is_merging;
use mv_store::Effort;
use serde::Serialize;

use crate::commands::env;
use crate::commands::shared::{self, Bump, BumpDocument};
use crate::context::{Context, parse_name};
use crate::failure::{Failure, Result};
use crate::format;
use crate::json::{ByEncoding, Skipped};
use crate::ui::{Role, Ui};

/// Record the working tree as a new version
///
/// There is no staging: what `mv.toml` and `.mvignore` describe is recorded. With PATH only those
/// files are taken from the working tree, all others from the current version. After `mv merge` has
/// left conflicts it makes the merged version, and needs no message.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv commit -m \"baseline, lr 1e-3\" --tag v1.0.0\n  mv commit -m \"retrained\" --param lr=3e-4 --metric auc=0.91 --bump auto\n  mv commit -m \"fine-tuned on reviews\" --base pretrained\n  mv commit --amend -m \"better words\"\n  mv commit -m \"only the code\" train.py src"
)]
pub(crate) struct Args {
    /// Why this version was made; more than one are paragraphs
    #[arg(short, long, value_name = "MSG")]
    message: Vec<String>,
    /// A parameter of the training
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = shared::scalar_pair)]
    params: Vec<(String, Scalar)>,
    /// A result of the training
    #[arg(long = "metric", value_name = "NAME=VALUE", value_parser = shared::scalar_pair)]
    metrics: Vec<(String, Scalar)>,
    /// A free note
    #[arg(long = "meta", value_name = "NAME=VALUE", value_parser = shared::text_pair)]
    metadata: Vec<(String, String)>,
    /// Tag the new version
    #[arg(long, value_name = "NAME")]
    tag: Option<String>,
    /// Tag the new version with the next number
    #[arg(long, value_name = "KIND", value_enum, conflicts_with = "tag")]
    bump: Option<Bump>,
    /// Commit as somebody else: "Name <address>"
    #[arg(long)]
    author: Option<String>,
    /// Record a version even when no file changed
    #[arg(long)]
    allow_empty: bool,
    /// Store it quickly: compare nothing with the version before
    #[arg(long)]
    fast: bool,
    /// Compare tensors with this version first: the model that this one was fine-tuned from
    #[arg(long, value_name = "REV", conflicts_with = "fast")]
    base: Option<String>,
    /// Replace the current version instead of following it
    #[arg(long)]
    amend: bool,
    /// Take only these from the working tree
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
}

#[derive(Serialize)]
struct Document<'a> {
    id: String,
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bump: Option<BumpDocument<'a>>,
    branch: Option<&'a str>,
    logical_bytes: u64,
    new_bytes: u64,
    stored_bytes: u64,
    files: u64,
    by_encoding: ByEncoding<'a>,
    skipped: Vec<Skipped<'a>>,
    notes: &'a [String],
    warnings: &'a [String],
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let message = message(&args.message)?;
    let tag = args.tag.as_deref().map(parse_name).transpose()?;
    let author = args.author.as_deref().map(|a| {
        Person::parse(a).map_err(|e| {
            Failure::usage(e.to_string()).hint("write it as `Ada Lovelace <ada@example.org>`")
        })
    });
    let author = author.transpose()?;
    let (repo, session) = context.open()?;
    if message.is_none() && !args.amend && !is_merging(&repo)? {
        return Err(Failure::usage("a version needs a message")
            .hint("say why it was made: `mv commit -m MESSAGE`"));
    }
    let options = CommitOptions {
        message,
        params: args.params,
        metrics: args.metrics,
        metadata: args.metadata,
        tag,
        bump: args.bump.map(Into::into),
        author,
        allow_empty: args.allow_empty,
        amend: args.amend,
        effort: args.fast.then_some(Effort::Fast),
        base: args.base,
        paths: context.paths(&repo, &args.paths)?,
    };
    let done = commit(&repo, &options, &session).map_err(|error| match error {
        mv_repo::Error::NothingToCommit => env::nothing_to_commit(&repo, &session),
        // The only rule that a commit can break is that of its tag's name.
        other => {
            Failure::from(other).policy_hint("choose another name; `mv tag` lists those taken")
        }
    })?;
    let ui = &context.ui;
    shared::skipped(ui, &done.skipped);
    done.warnings.iter().for_each(|warning| ui.warn(format::text(warning)));
    env::notes(ui, &done.notes);
    if ui.json {
        ui.document(&Document {
            id: done.id.to_hex(),
            version: &done.version,
            bump: done.bump.as_ref().map(Into::into),
            branch: done.branch.as_deref(),
            logical_bytes: done.logical_bytes,
            new_bytes: done.new_bytes,
            stored_bytes: done.stored_bytes,
            files: done.files,
            by_encoding: ByEncoding(&done.by_encoding),
            skipped: done.skipped.iter().map(Skipped::from).collect(),
            notes: &done.notes,
            warnings: &done.warnings,
        })?;
        return Ok(0);
    }
    let subject = match &options.message {
        Some(message) => format::subject(message),
        // An amended version keeps its message and a merge has one; only the repository knows it.
        None => repo
            .fresh(&session)?
            .manifest(&done.id)
            .map(|m| format::subject(&m.message))
            .unwrap_or_default(),
    };
    print(ui, &done, &subject);
    Ok(0)
}

/// The paragraphs as one message; none when the old one is kept.
fn message(parts: &[String]) -> Result<Option<String>> {
    if parts.is_empty() {
        return Ok(None);
    }
    let text = parts.join("\n\n");
    if text.trim().is_empty() {
        return Err(Failure::usage("the message is empty")
            .hint("say why this version was made: `mv commit -m MESSAGE`"));
    }
    Ok(Some(text))
}

fn print(ui: &Ui<'_>, done: &CommitOutcome, subject: &str) {
    let branch = done.branch.as_deref().map_or_else(|| "no branch".to_owned(), format::text);
    let version = format::text(&done.version);
    let id = ui.paint.paint(Role::Id, done.id.short());
    ui.say(format!("[{branch} {} {id}] {subject}", ui.paint.paint(Role::Name, version)));
    if let Some(bumped) = &done.bump {
        ui.say(shared::bumped(ui, bumped));
    }
    ui.say(format!(
        "{}, {} logical, {} new, {} stored{}",
        format::count(done.files, "file"),
        format::bytes(done.logical_bytes),
        format::bytes(done.new_bytes),
        format::bytes(done.stored_bytes),
        shared::saved(&done.by_encoding),
    ));
    if ui.verbose {
        for change in &done.changes {
            ui.say(format!(
                "  {} {}",
                ui.paint.paint(shared::role(change.kind), change.kind.as_str()),
                shared::shown(change)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_messages_are_paragraphs_and_a_blank_one_is_refused() {
        assert_eq!(message(&["a".into(), "b".into()]).unwrap(), Some("a\n\nb".into()));
        assert_eq!(message(&[]).unwrap(), None);
        assert_eq!(message(&[" \n".into()]).unwrap_err().exit, 2);
    }
}
