//! What a commit with `--bump` looks at before it stores anything.

use std::collections::BTreeMap;

use mv_graph::{Component, Manifest, Mode, RepoPath};
use mv_store::Hash;

use super::CommitOptions;
use crate::bump;
use crate::error::{Error, Result};
use crate::file_bytes::FileBytes;
use crate::repo::{Repo, covered};
use crate::session::Session;
use crate::snapshot::{Depth, Snapshot};

/// What a bump needs to know before anything is stored: what is counted from, and that the bytes
/// will be able to decide if they have to.
pub(super) fn bump_plan(
    repo: &Repo,
    options: &CommitOptions,
    snapshot: &mut Snapshot,
    merging: Option<&Manifest>,
    session: &Session,
) -> Result<Option<bump::Plan>> {
    let Some(choice) = options.bump else { return Ok(None) };
    if options.tag.is_some() {
        return Err(Error::invalid("option", "a version is given a tag or the next number"));
    }
    let parents = match (&snapshot.head, merging) {
        (_, Some(left)) => left.parents.clone(),
        (Some((_, manifest)), None) if options.amend => manifest.parents.clone(),
        (head, None) => head.iter().map(|(id, _)| *id).collect(),
    };
    let plan = bump::Plan::new(repo, choice, &parents)?;
    if let Some(base) = plan.compared_with() {
        refuse_opaque_models(repo, base, options, snapshot, session)?;
    }
    Ok(Some(plan))
}

/// Refuses changed model files in which no parser finds tensors, so that no large file is stored
/// for nothing. What was stored is looked at again.
fn refuse_opaque_models(
    repo: &Repo,
    base: &Manifest,
    options: &CommitOptions,
    snapshot: &mut Snapshot,
    session: &Session,
) -> Result<()> {
    let mut opaque: BTreeMap<RepoPath, Hash> = BTreeMap::new();
    for candidate in &snapshot.candidates {
        let Some(now) = candidate.now else { continue };
        let file = matches!(now.mode, Mode::File | Mode::Exec);
        if !file || now.component != Component::Model || !covered(&options.paths, &candidate.path) {
            continue;
        }
        let Some((_, before)) = mv_graph::diff::lookup(repo.store(), base, &candidate.path)? else {
            continue;
        };
        let source = FileBytes::working(&snapshot.root, &candidate.path)?;
        if bump::is_opaque(&candidate.path, &source)? {
            opaque.insert(candidate.path.clone(), before.id);
        }
    }
    if opaque.is_empty() {
        return Ok(());
    }
    // A file that was only touched did not change.
    snapshot.examine_some(Depth::Content, &|c| opaque.contains_key(&c.path), session)?;
    let same = |path: &RepoPath, id: &Hash| {
        let content = snapshot.candidates.iter().find(|c| c.path == *path).and_then(|c| c.content);
        content.is_some_and(|content| content.entry.id == *id)
    };
    let paths: Vec<_> =
        opaque.into_iter().filter(|(path, id)| !same(path, id)).map(|(path, _)| path).collect();
    if paths.is_empty() { Ok(()) } else { Err(Error::Undecided { paths }) }
}
