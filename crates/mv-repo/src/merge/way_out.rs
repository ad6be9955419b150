//! The ways out of a merge with conflicts, beside solving them in the working tree: taking one side's
//! files, and going back.

use mv_graph::diff::{self, ListedFile};
use mv_graph::{Manifest, RepoPath};
use mv_store::{Hash, Kind, StoreWriter};

use super::cut_off;
use crate::checkout::{CheckoutOutcome, Fresh, Local, Switch, run};
use crate::commit::blank;
use crate::commit::store_trees;
use crate::error::{Error, Result};
use crate::mark::Mark;
use crate::repo::{PathArg, Repo, covered};
use crate::saved::Overlay;
use crate::session::Session;
use crate::text_merge::Favor;
use crate::unfinished::{Conflict, ConflictKind, Unfinished};

/// The name of [`abort`] in the reflog.
const ABORT: &str = "merge --abort";

/// Goes back to the version before an unfinished merge. What was edited meanwhile is saved for
/// `undo`; new files of the user's stay.
///
/// # Errors
/// `Policy` when there is no merge; `LostRace`, `Io`.
pub fn abort(repo: &Repo, session: &Session) -> Result<CheckoutOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    let head = repo.state().head_target();
    let under_way = Unfinished::of(repo)?.is_some() || cut_off(repo)?.is_some();
    let Some(target) = head.filter(|_| under_way) else {
        return Err(Error::Policy { what: "there is no unfinished merge".into() });
    };
    let switch = Switch {
        operation: ABORT.into(),
        target,
        whole: true,
        scope: &|_, _| true,
        local: Local::Overwrite,
        edit: &|state| match state.head_target() == head {
            true => Ok(()),
            false => Err(Error::LostRace { generation: state.generation }),
        },
        overlay: None,
        fresh: None,
        merge: None,
    };
    run(repo, &switch, session)
}

/// Takes one side for the conflicts at, or below, some paths.
///
/// # Errors
/// `Policy` when there is no merge, `Invalid` for a path that is no conflict, `LostRace`, `Io`.
pub fn decide(
    repo: &Repo,
    favor: Favor,
    paths: &[PathArg],
    session: &Session,
) -> Result<CheckoutOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    let Some(mut merge) = Unfinished::of(repo)? else {
        return Err(Error::Policy { what: "there is no unfinished merge".into() });
    };
    let operation = match favor {
        Favor::Theirs => "merge --theirs (some files)",
        Favor::Ours | Favor::Neither => "merge --ours (some files)",
    };
    if let Some(mark) = Mark::read(repo)?.filter(|m| !m.done && m.operation != operation) {
        return Err(Error::Unfinished { what: mark.operation });
    }
    for arg in paths {
        if let PathArg::Path(path) = arg
            && !merge.conflicts.iter().any(|c| arg.covers(&c.path))
        {
            return Err(Error::invalid("path", format!("`{path}` is no conflict of this merge")));
        }
    }
    let chosen = |conflict: &Conflict| covered(paths, &conflict.path);
    let side = if favor == Favor::Theirs { merge.theirs } else { merge.ours };
    let (put, drop) = side_of(repo, &merge, &chosen, favor, &side)?;
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    let listing = |files: &[ListedFile], parents: Vec<Hash>| {
        let (components, _) = store_trees(files, &writer)?;
        let manifest =
            Manifest { parents, components, ..blank(repo, operation.to_owned(), session) };
        Ok::<_, Error>((writer.put(Kind::Manifest, &manifest.encode()?)?, manifest))
    };
    let (dropped, drop) = listing(&drop, Vec::new())?;
    let (version, put) = listing(&put, vec![dropped])?;
    let fresh = Fresh { version, packs: writer.finish()?.packs };
    let repo = &repo.with_packs(&fresh.packs);
    let switch = Switch {
        operation: operation.into(),
        target: merge.ours,
        whole: false,
        scope: &|_, _| false,
        local: Local::Overwrite,
        edit: &|_| Ok(()),
        overlay: Some(Overlay { put, drop }),
        fresh: Some(&fresh),
        merge: None,
    };
    let done = run(repo, &switch, session)?;
    if done.failed.is_empty() {
        // Only now: cut off before, the conflicts are still open and the command can be repeated.
        merge.conflicts.iter_mut().filter(|c| chosen(c)).for_each(|c| c.decided = true);
        merge.set(repo, session)?;
    }
    Ok(done)
}

/// What a side has at the chosen conflicts, and what has to give way there.
fn side_of(
    repo: &Repo,
    merge: &Unfinished,
    chosen: &dyn Fn(&Conflict) -> bool,
    favor: Favor,
    side: &Hash,
) -> Result<(Vec<ListedFile>, Vec<ListedFile>)> {
    let (rules, _) = repo.rules_or_default()?;
    let (mut put, mut drop) = (Vec::new(), Vec::new());
    let mut dirs: Vec<&RepoPath> = Vec::new();
    for conflict in merge.conflicts.iter().filter(|c| chosen(c)) {
        let entry = if favor == Favor::Theirs { conflict.theirs } else { conflict.ours };
        let listed = |entry| ListedFile {
            path: conflict.path.clone(),
            component: rules.component_of(&conflict.path, false),
            entry,
        };
        if conflict.kind == ConflictKind::FileDirectory {
            dirs.push(&conflict.path);
        } else {
            let any = [entry, conflict.left, conflict.ours, conflict.theirs];
            drop.extend(any.into_iter().flatten().next().map(listed));
            put.extend(entry.map(listed));
        }
    }
    if !dirs.is_empty() {
        let inside = |file: &ListedFile| dirs.iter().any(|dir| file.path.starts_with(dir));
        let all = |id: &Hash| Ok::<_, Error>(diff::list(repo.store(), &repo.manifest(id)?)?);
        put.extend(all(side)?.into_iter().filter(inside));
        for id in [&merge.ours, &merge.left] {
            drop.extend(all(id)?.into_iter().filter(inside));
        }
    }
    for files in [&mut put, &mut drop] {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
    }
    Ok((put, drop))
}
