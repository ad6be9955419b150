//! What a forced operation overwrites is kept as a version of its own, which the state record
//! names, so that `undo` brings it back and gc keeps it as long as the reflog does.

use mv_graph::diff::ListedFile;
use mv_graph::{Manifest, Mode, RepoPath};
use mv_store::{Hash, Kind, PackId, StoreWriter, Unit};

use crate::commit::store_trees;
use crate::error::Result;
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::worktree::{read_link, read_stable};

/// A version that holds what was overwritten.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) id: Hash,
    pub(crate) packs: Vec<PackId>,
}

/// Stores the given working files; none when there are none.
pub(crate) fn keep(
    repo: &Repo,
    snapshot: &Snapshot,
    paths: &[RepoPath],
    operation: &str,
    session: &Session,
) -> Result<Option<Saved>> {
    if paths.is_empty() {
        return Ok(None);
    }
    let task = session.progress.task("saving what is overwritten", Unit::Bytes);
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let Some((Some(mode), stat)) = snapshot.root.stat(path)? else { continue };
        let component = snapshot.rules.component_of(path, mode == Mode::Dir);
        let absolute = repo.root().join(path.to_path());
        let (id, bytes) = match mode {
            Mode::Dir => continue,
            Mode::Symlink => {
                let (target, _) = read_link(&snapshot.root, path)?;
                (writer.put(Kind::Blob, &target)?, target.len() as u64)
            }
            Mode::File | Mode::Exec => {
                let stored = read_stable(&snapshot.root, path, &mut |file, _| {
                    Ok(writer.put_file(&absolute, stat.size, file, &task)?)
                });
                stored?.0
            }
        };
        files.push(ListedFile {
            path: path.clone(),
            component,
            entry: mv_graph::FileEntry { mode, id, bytes },
        });
    }
    let (components, _) = store_trees(&files, &writer)?;
    let manifest = Manifest {
        parents: snapshot.head.iter().map(|(id, _)| *id).collect(),
        components,
        environment: None,
        model_name: repo.config().name.clone(),
        params: Vec::new(),
        metrics: Vec::new(),
        metadata: Vec::new(),
        message: format!("what `{operation}` overwrote"),
        author: session.author.clone(),
        created: session.now,
        source: None,
    };
    let id = writer.put(Kind::Manifest, &manifest.encode()?)?;
    let written = writer.finish()?;
    Ok(Some(Saved { id, packs: written.packs }))
}
