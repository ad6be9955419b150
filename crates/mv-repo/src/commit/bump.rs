//! What a commit with `--bump` looks at before it stores anything.

use std::collections::{BTreeMap, HashMap};

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
    // One listing: a look-up for each file would decode its directory's tree as often.
    let base: HashMap<RepoPath, Hash> = mv_graph::diff::list(repo.store(), base)?
        .into_iter()
        .map(|file| (file.path, file.entry.id))
        .collect();
    let mut opaque: BTreeMap<RepoPath, Hash> = BTreeMap::new();
    for candidate in &snapshot.candidates {
        let Some(now) = candidate.now else { continue };
        let file = matches!(now.mode, Mode::File | Mode::Exec);
        if !file || now.component != Component::Model || !covered(&options.paths, &candidate.path) {
            continue;
        }
        let Some(before) = base.get(&candidate.path) else { continue };
        session.progress.check()?;
        let source = FileBytes::working(&snapshot.root, &candidate.path)?;
        if bump::is_opaque(&candidate.path, &source)? {
            opaque.insert(candidate.path.clone(), *before);
        }
    }
    if opaque.is_empty() {
        return Ok(());
    }
    // A file that was only touched did not change.
    snapshot.examine_some(Depth::Content, &|c| opaque.contains_key(&c.path), session)?;
    let same = |path: &RepoPath, id: &Hash| {
        let at = snapshot.candidates.binary_search_by(|c| c.path.cmp(path)).ok();
        let content = at.and_then(|at| snapshot.candidates.get(at)).and_then(|c| c.content);
        content.is_some_and(|content| content.entry.id == *id)
    };
    let paths: Vec<_> =
        opaque.into_iter().filter(|(path, id)| !same(path, id)).map(|(path, _)| path).collect();
    if paths.is_empty() { Ok(()) } else { Err(Error::Undecided { paths }) }
}
