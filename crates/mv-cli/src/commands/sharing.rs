//! What the commands that talk to a remote print and say in the same words.

use mv_repo::RefChange;
use serde::Serialize;

use crate::failure::Failure;
use crate::format;
use crate::ui::{Role, Ui};

/// A ref that moved.
#[derive(Serialize)]
pub(crate) struct RefDocument {
    name: String,
    from: Option<String>,
    to: Option<String>,
}

/// The document of `push` and `fetch`.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    pub(crate) remote: &'a str,
    pub(crate) url: &'a str,
    pub(crate) refs: Vec<RefDocument>,
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) already_there_bytes: u64,
    pub(crate) dry_run: bool,
    pub(crate) warnings: &'a [String],
}

/// Refs for `--json`.
pub(crate) fn ref_documents(refs: &[RefChange]) -> Vec<RefDocument> {
    let document = |change: &RefChange| RefDocument {
        name: change.name.clone(),
        from: change.from.map(|id| id.to_hex()),
        to: change.to.map(|id| id.to_hex()),
    };
    refs.iter().map(document).collect()
}

/// One line for each ref that moved.
pub(crate) fn refs(ui: &Ui<'_>, refs: &[RefChange]) {
    let width = refs.iter().map(|change| change.name.chars().count()).max().unwrap_or(0).min(40);
    for change in refs {
        let id = |id: mv_store::Hash| ui.paint.paint(Role::Id, id.short());
        let moved = match (change.from, change.to) {
            (None, Some(to)) => format!("new at {}", id(to)),
            (Some(from), Some(to)) => format!("{} -> {}", id(from), id(to)),
            (Some(from), None) => format!("deleted, was {}", id(from)),
            (None, None) => "a number that is used up".to_owned(),
        };
        let name = format!("{:<width$}", format::text(&change.name));
        ui.say(format!("  {}  {moved}", ui.paint.paint(Role::Name, name)));
    }
}

/// `34 objects, 1.2 MB`, with what did not have to travel.
pub(crate) fn amount(objects: u64, bytes: u64, already: u64, place: &str) -> String {
    let mut text = format!("{}, {}", format::count(objects, "object"), format::bytes(bytes));
    if already > 0 {
        text.push_str(&format!("; {} of their files {place} already", format::bytes(already)));
    }
    text
}

/// Hints that fit what is done with a remote.
pub(crate) fn failed(error: mv_repo::Error, remote: Option<&str>) -> Failure {
    let failure = Failure::from(error);
    let name = remote.map(|name| format!(" {}", format::text(name))).unwrap_or_default();
    match failure.code {
        "corrupt" | "missing" => {
            failure.hint("nothing was taken over: look at the remote with `mv fsck --remote NAME`, at what is here with `mv fsck --full`")
        }
        "behind" => failure.hint(format!("`mv pull{name}`, then push again")),
        _ => failure,
    }
}
