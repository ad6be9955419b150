//! The documents of `mv stage --json`.

use mv_repo::stage::{Move, StageOutcome};
use serde::Serialize;

/// Who plays a role.
#[derive(Serialize)]
pub(crate) struct HolderDocument<'a> {
    name: &'a str,
    target: Option<String>,
    version: Option<&'a str>,
    since: String,
    by: String,
    reason: &'a str,
}

impl<'a> From<&'a Move> for HolderDocument<'a> {
    fn from(one: &'a Move) -> HolderDocument<'a> {
        HolderDocument {
            name: &one.name,
            target: one.to.as_ref().map(|(id, _)| id.to_hex()),
            version: one.to.as_ref().map(|(_, version)| version.as_str()),
            since: one.at.to_rfc3339_utc(),
            by: one.by.to_string(),
            reason: &one.reason,
        }
    }
}

/// One move.
#[derive(Serialize)]
pub(crate) struct MoveDocument<'a> {
    name: &'a str,
    sequence: u64,
    at: String,
    by: String,
    kind: &'static str,
    from: Option<String>,
    to: Option<String>,
    from_version: Option<&'a str>,
    to_version: Option<&'a str>,
    reason: &'a str,
    id: String,
    /// Only after a command that may find nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved: Option<bool>,
}

impl<'a> From<&'a Move> for MoveDocument<'a> {
    fn from(one: &'a Move) -> MoveDocument<'a> {
        MoveDocument {
            name: &one.name,
            sequence: one.sequence,
            at: one.at.to_rfc3339_utc(),
            by: one.by.to_string(),
            kind: one.kind.as_str(),
            from: one.from.as_ref().map(|(id, _)| id.to_hex()),
            to: one.to.as_ref().map(|(id, _)| id.to_hex()),
            from_version: one.from.as_ref().map(|(_, version)| version.as_str()),
            to_version: one.to.as_ref().map(|(_, version)| version.as_str()),
            reason: &one.reason,
            id: one.id.to_hex(),
            moved: None,
        }
    }
}

impl<'a> From<&'a StageOutcome> for MoveDocument<'a> {
    fn from(outcome: &'a StageOutcome) -> MoveDocument<'a> {
        MoveDocument { moved: Some(outcome.moved), ..MoveDocument::from(&outcome.newest) }
    }
}
