//! What several commands print in the same words.

use std::io::Write;
use std::str::FromStr;

use mv_graph::diff::{Change, ChangeKind};
use mv_graph::{Component, Mode, RefName, RepoPath, Scalar};
use mv_repo::bump::{BumpChoice, BumpKind, Bumped};
use mv_repo::checkout::CheckoutOutcome;
use mv_repo::environment::EnvironmentChange;
use mv_repo::merge::{Conflict, ConflictKind};
use mv_store::{Encoding, Encodings, Hash};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::format;
use crate::json::PathDocument;
use crate::suggest;
use crate::ui::{Role, Ui};

/// Where HEAD is: `on branch main at v1.0.0 (3f2a9c…)`.
pub(crate) fn position(
    ui: &Ui<'_>,
    branch: Option<&str>,
    head: Option<&Hash>,
    version: Option<&str>,
) -> String {
    let place = match branch {
        Some(name) => format!("on branch {}", ui.paint.paint(Role::Name, format::text(name))),
        None => "not on a branch".to_owned(),
    };
    match (head, version) {
        (None, _) => format!("{place}, no versions yet"),
        (Some(id), None) => format!("{place} at {}", ui.paint.paint(Role::Id, id.short())),
        (Some(id), Some(version)) => {
            let version = ui.paint.paint(Role::Name, format::text(version));
            format!("{place} at {version} ({})", ui.paint.paint(Role::Id, id.short()))
        }
    }
}

/// The changes of one component under its name, or nothing.
pub(crate) fn changes(ui: &Ui<'_>, component: Component, changes: &[&Change]) {
    if changes.is_empty() {
        return;
    }
    ui.line(ui.paint.paint(Role::Heading, component));
    for change in changes {
        let word = format!("{:<10}", change.kind.as_str());
        ui.line(format!("  {} {}", ui.paint.paint(role(change.kind), word), shown(change)));
    }
}

/// The path of a change; an empty directory ends in a slash.
pub(crate) fn shown(change: &Change) -> String {
    let entry = change.to.as_ref().or(change.from.as_ref());
    let slash = if entry.is_some_and(|e| e.mode == Mode::Dir) { "/" } else { "" };
    format!("{}{slash}", change.path.display_escaped())
}

/// The colour of a kind of change.
pub(crate) fn role(kind: ChangeKind) -> Role {
    match kind {
        ChangeKind::Added => Role::Added,
        ChangeKind::Deleted => Role::Removed,
        ChangeKind::Modified | ChangeKind::TypeChange => Role::Changed,
    }
}

/// A path that a merge could not decide.
#[derive(Serialize)]
pub(crate) struct ConflictDocument {
    #[serde(flatten)]
    path: PathDocument,
    kind: &'static str,
}

/// Conflicts for `--json`.
pub(crate) fn conflict_documents(conflicts: &[Conflict]) -> Vec<ConflictDocument> {
    let of = |c: &Conflict| ConflictDocument { path: (&c.path).into(), kind: c.kind.as_str() };
    conflicts.iter().map(of).collect()
}

/// Conflicts, one a line, with what there is to decide.
pub(crate) fn conflicts(ui: &Ui<'_>, conflicts: &[Conflict]) {
    if conflicts.is_empty() {
        return;
    }
    ui.line(ui.paint.paint(Role::Heading, "conflicts"));
    for conflict in conflicts {
        let what = match (conflict.kind, conflict.marked) {
            (ConflictKind::BothAdded, true) => "both added it; solve it between the markers",
            (_, true) => "both changed the same lines; solve it between the markers",
            (ConflictKind::Text, false) => "both changed the same lines; ours is there",
            (ConflictKind::Binary, _) => "both changed it; ours is there",
            (ConflictKind::Symlink, _) => "both changed where it points; ours is there",
            (ConflictKind::BothAdded, false) => "both added it; ours is there",
            (ConflictKind::DeletedByOurs, _) => "ours deleted it; theirs, changed, is there",
            (ConflictKind::DeletedByTheirs, _) => "theirs deleted it; ours, changed, is there",
            (ConflictKind::Type, _) => "it is a file on one side only; ours is there",
            (ConflictKind::Mode, _) => "it is executable on one side only; ours is there",
            (ConflictKind::FileDirectory, _) => {
                "a file on one side, a directory on the other; ours is there"
            }
            (ConflictKind::RenameDelete, _) => "one side renamed it to this, the other deleted it",
            (ConflictKind::RenameRename, _) => {
                "both renamed the same file, theirs to this; our name is there"
            }
        };
        let path = ui.paint.paint(Role::Changed, conflict.path.display_escaped());
        ui.line(format!("  {path}: {what}"));
    }
}

/// How to go on.
pub(crate) fn conflict_hint(conflicts: &[Conflict]) -> &'static str {
    if conflicts.iter().all(|c| c.marked) {
        "edit them, or take a side with `mv merge --ours -- PATH`, then `mv commit`; go back with `mv merge --abort`"
    } else {
        "edit them, or take a side with `mv merge --theirs -- PATH`, then `mv commit`; go back with `mv merge --abort`"
    }
}

/// Warns of what could not be recorded, and why.
pub(crate) fn skipped(ui: &Ui<'_>, skipped: &[(String, String)]) {
    for (path, reason) in skipped {
        ui.warn(format!("left out `{}`: {}", format::text(path), format::text(reason)));
    }
}

/// The failure of `ls` and `cat`, with a way to find the file that is not there.
pub(crate) fn not_in_version(error: mv_repo::Error) -> Failure {
    let failure = Failure::from(error);
    match failure.code {
        "usage" => failure.hint("list the files of a version with `mv ls HEAD`"),
        _ => failure,
    }
}

/// Paths as they are, each followed by a NUL byte.
pub(crate) fn raw_paths<'a>(ui: &Ui<'_>, paths: impl Iterator<Item = &'a RepoPath>) {
    let mut data = ui.data();
    for path in paths {
        if data.write_all(path.as_bytes()).and_then(|()| data.write_all(&[0])).is_err() {
            // The failure is kept by the ui and told at the end.
            return;
        }
    }
}

/// Hints at the name that was meant, when one is near.
pub(crate) fn near_name(ui: &Ui<'_>, name: &str, known: &[String]) {
    if let Some(near) = suggest::nearest(name, known) {
        ui.hint(&format!("did you mean `{near}`?"));
    }
}

/// `KEY=VALUE` with a scalar.
pub(crate) fn scalar_pair(text: &str) -> std::result::Result<(String, Scalar), String> {
    text_pair(text).map(|(name, value)| (name, Scalar::parse(&value)))
}

/// `KEY=VALUE`.
pub(crate) fn text_pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// A component's name.
pub(crate) fn component(text: &str) -> std::result::Result<Component, String> {
    Component::from_str(text).map_err(|_| "it is one of code, data, model and env".to_owned())
}

/// The value of `--bump`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Bump {
    /// The model's interface changed
    Major,
    /// Retrained or extended
    Minor,
    /// The weights are the same
    Patch,
    /// Look at the bytes and say why
    Auto,
}

impl From<Bump> for BumpChoice {
    fn from(bump: Bump) -> BumpChoice {
        match bump {
            Bump::Major => BumpChoice::Kind(BumpKind::Major),
            Bump::Minor => BumpChoice::Kind(BumpKind::Minor),
            Bump::Patch => BumpChoice::Kind(BumpKind::Patch),
            Bump::Auto => BumpChoice::Auto,
        }
    }
}

/// A number that was given, for `--json`.
#[derive(Serialize)]
pub(crate) struct BumpDocument<'a> {
    kind: &'static str,
    reason: &'a str,
    base: Option<&'a str>,
}

impl<'a> From<&'a Bumped> for BumpDocument<'a> {
    fn from(bumped: &'a Bumped) -> BumpDocument<'a> {
        BumpDocument {
            kind: bumped.kind.as_str(),
            reason: &bumped.reason,
            base: bumped.base.as_ref().map(RefName::as_str),
        }
    }
}

/// `v1.3.0 (minor: retrained, 12 of 14 tensors differ since v1.2.0)`.
pub(crate) fn bumped(ui: &Ui<'_>, bumped: &Bumped) -> String {
    let name = ui.paint.paint(Role::Name, format::text(bumped.name.as_str()));
    format!("{name} ({}: {})", bumped.kind, format::text(&bumped.reason))
}

#[derive(Serialize)]
struct CheckoutDocument<'a> {
    branch: Option<&'a str>,
    id: Option<String>,
    version: Option<&'a str>,
    written: u64,
    removed: u64,
    bytes: u64,
    failed: Vec<FailedDocument<'a>>,
    saved: Option<String>,
    /// Whether Python or packages are others now; not there when it was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment_differs: Option<bool>,
}

/// A file that could not be written.
#[derive(Serialize)]
pub(crate) struct FailedDocument<'a> {
    #[serde(flatten)]
    path: PathDocument,
    detail: &'a str,
}

/// The files that could not be written, for `--json`.
pub(crate) fn failed_documents(failed: &[(RepoPath, String)]) -> Vec<FailedDocument<'_>> {
    failed.iter().map(|(path, detail)| FailedDocument { path: path.into(), detail }).collect()
}

/// Tells how `checkout` or `restore` ended; files that could not be written make it a failure.
/// `environment` is how the present one differs from the version's, if that was looked at.
pub(crate) fn checked_out(
    context: &Context<'_>,
    done: &CheckoutOutcome,
    environment: Option<&[EnvironmentChange]>,
) -> Result<u8> {
    let ui = &context.ui;
    // Before the first commit there is a branch to be on and no version.
    let version = Some(done.version.as_str()).filter(|version| !version.is_empty());
    let id = version.map(|_| &done.id);
    if ui.json {
        ui.document(&CheckoutDocument {
            branch: done.branch.as_deref(),
            id: id.map(Hash::to_hex),
            version,
            written: done.written,
            removed: done.removed,
            bytes: done.bytes,
            failed: failed_documents(&done.failed),
            saved: done.saved.map(|id| id.to_hex()),
            environment_differs: environment.map(|changes| !changes.is_empty()),
        })?;
    } else {
        ui.say(position(ui, done.branch.as_deref(), id, version));
        ui.say(moved(done.written, done.removed, Some(done.bytes)));
    }
    let code = failed(ui, &done.failed);
    if done.saved.is_some() && !ui.json {
        ui.hint("what was overwritten is kept: `mv undo` brings it back");
    }
    Ok(code)
}

/// Tells of files that could not be written; gives the exit code.
pub(crate) fn failed(ui: &Ui<'_>, failed: &[(RepoPath, String)]) -> u8 {
    if failed.is_empty() {
        return 0;
    }
    let count = format::count(failed.len() as u64, "file");
    let first = failed.first().map(|(path, _)| path.display_escaped()).unwrap_or_default();
    let more = if failed.len() > 1 { " and others" } else { "" };
    let failure = Failure::integrity(format!("{count} could not be written: `{first}`{more}"));
    let code = ui.complain(&failure.hint("see what is damaged with `mv fsck --full`"));
    for (path, detail) in failed {
        ui.warn(format!("could not write `{}`: {}", path.display_escaped(), format::text(detail)));
    }
    code
}

/// `12 files written, 1 file removed, 34 MB`.
pub(crate) fn moved(written: u64, removed: u64, bytes: Option<u64>) -> String {
    if written == 0 && removed == 0 {
        return "no file had to change".to_owned();
    }
    let mut text = format!("{} written", format::count(written, "file"));
    if removed > 0 {
        text.push_str(&format!(", {} removed", format::count(removed, "file")));
    }
    if let Some(bytes) = bytes {
        text.push_str(&format!(", {}", format::bytes(bytes)));
    }
    text
}

/// What encodings saved that know what the bytes mean, the most first: ` (delta saved 81 MB)`; nothing
/// when there was little.
pub(crate) fn saved(encodings: &[Encodings]) -> String {
    let mut saved: Vec<(Encoding, u64)> = encodings
        .iter()
        .filter(|e| !matches!(e.encoding, Encoding::Raw | Encoding::List))
        .map(|e| (e.encoding, e.raw_bytes.saturating_sub(e.stored_bytes)))
        .filter(|(_, bytes)| *bytes >= 1 << 20)
        .collect();
    saved.sort_by_key(|(encoding, bytes)| (std::cmp::Reverse(*bytes), *encoding));
    if saved.is_empty() {
        return String::new();
    }
    let words: Vec<String> = saved
        .iter()
        .map(|(encoding, bytes)| format!("{encoding} {}", format::bytes(*bytes)))
        .collect();
    format!(" (saved: {})", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_split_at_the_first_equals_sign() {
        assert_eq!(text_pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(text_pair("a="), Ok(("a".into(), String::new())));
        assert!(text_pair("=b").is_err());
        assert!(text_pair("a").is_err());
        assert_eq!(scalar_pair("lr=1e-3"), Ok(("lr".into(), Scalar::parse("1e-3"))));
    }

    #[test]
    fn what_moved_is_told_in_one_line() {
        assert_eq!(moved(1, 0, None), "1 file written");
        assert_eq!(moved(12, 1, Some(34_000_000)), "12 files written, 1 file removed, 34 MB");
        assert_eq!(moved(0, 0, Some(0)), "no file had to change");
    }
}
