//! What a forced operation overwrites is kept as a version of its own, which the state record
//! names, so that `undo` brings it back and gc keeps it as long as the reflog does.
//!
//! The last parent of that version is one that holds what was put in place instead: `redo` needs
//! it, and `undo` takes away what had not been there.

use std::collections::HashMap;

use mv_graph::diff::ListedFile;
use mv_graph::{FileEntry, Manifest, Mode, RepoPath};
use mv_store::{Hash, Kind, PackId, StoreWriter, Unit};

use crate::commit::{blank, store_trees};
use crate::error::{Error, Result};
use crate::outline::{Outlines, Past, Pasts};
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::{Snapshot, empty_dir};
use crate::worktree::{read_link, read_stable};

/// A version that holds what was overwritten.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) id: Hash,
    pub(crate) packs: Vec<PackId>,
}

/// A version in packs that no record names yet.
#[derive(Clone, Debug)]
pub(crate) struct Fresh {
    pub(crate) version: Hash,
    pub(crate) packs: Vec<PackId>,
}

/// Stores the working files at `overwritten`, and a listing of what is `placed` instead of them or
/// where nothing was. None when there are neither, and no version that only this record will name.
pub(crate) fn keep(
    repo: &Repo,
    snapshot: &Snapshot,
    overwritten: &[RepoPath],
    placed: &[ListedFile],
    fresh: Option<&Fresh>,
    operation: &str,
    session: &Session,
) -> Result<Option<Saved>> {
    if overwritten.is_empty() && placed.is_empty() && fresh.is_none() {
        return Ok(None);
    }
    let task = session.progress.task("saving what is overwritten", Unit::Bytes);
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    // Cut and coded as by a commit: it may be committed after it came back, and is not stored twice then.
    let here = writer.store().here();
    let head = snapshot.head.as_ref().map(|(_, manifest)| Past::new(manifest.clone()));
    let pasts = Pasts { head, ..Pasts::default() };
    let efforts = repo.config().unwrap_or_default().efforts;
    let outlines = Outlines::new(&here, pasts, Some(&snapshot.root), efforts);
    let outlines = outlines.with_seen(repo.layout().seen());
    let before: HashMap<&RepoPath, &FileEntry> = snapshot
        .candidates
        .iter()
        .filter_map(|candidate| Some((&candidate.path, &candidate.base.as_ref()?.1)))
        .collect();
    let mut files = Vec::with_capacity(overwritten.len());
    for path in overwritten {
        let Some((Some(mode), _)) = snapshot.root.stat(path)? else { continue };
        let component = snapshot.rules.component_of(path, mode == Mode::Dir);
        let absolute = repo.root().join(path.to_path());
        let (id, bytes) = match mode {
            Mode::Dir => (empty_dir().id, 0),
            Mode::Symlink => {
                let (target, _) = read_link(&snapshot.root, path)?;
                (writer.put(Kind::Blob, &target)?, target.len() as u64)
            }
            Mode::File | Mode::Exec => {
                let parent = before.get(path).copied();
                let outlined = outlines.of_working(path, component, parent);
                let stored = read_stable(&snapshot.root, path, &mut |file, size| {
                    Ok(writer.put_file(&absolute, size, &outlined.outline, file, &task)?)
                })?;
                outlines.add(path, stored.0.0, &outlined);
                stored.0
            }
        };
        files.push(ListedFile {
            path: path.clone(),
            component,
            entry: FileEntry { mode, id, bytes },
        });
    }
    let version = |files: &[ListedFile], parents: Vec<Hash>, message: String| {
        let (components, _) = store_trees(files, &writer)?;
        let manifest = Manifest { parents, components, ..blank(repo, message, session) };
        Ok::<Hash, Error>(writer.put(Kind::Manifest, &manifest.encode()?)?)
    };
    let placed = version(placed, Vec::new(), format!("what `{operation}` put in place"))?;
    let head = snapshot.head.iter().map(|(id, _)| *id);
    let parents = head.chain(fresh.map(|fresh| fresh.version)).chain([placed]).collect();
    let id = version(&files, parents, format!("what `{operation}` overwrote"))?;
    let mut packs = writer.finish()?.packs;
    packs.extend(fresh.iter().flat_map(|fresh| &fresh.packs));
    Ok(Some(Saved { id, packs }))
}

/// Files to put on top of a version's, and files to take away if they are not among those.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    pub(crate) put: Manifest,
    pub(crate) drop: Manifest,
}

impl Overlay {
    /// What brings back what an operation overwrote.
    pub(crate) fn undoing(repo: &Repo, saved: &Hash) -> Result<Overlay> {
        let put = repo.manifest(saved)?;
        let placed = put.parents.last().copied().unwrap_or(Hash::ZERO);
        Ok(Overlay { put, drop: repo.manifest(&placed)? })
    }

    /// What overwrites it again.
    pub(crate) fn redoing(repo: &Repo, saved: &Hash) -> Result<Overlay> {
        let Overlay { put, drop } = Overlay::undoing(repo, saved)?;
        Ok(Overlay { put: drop, drop: put })
    }
}
