//! Storing what changed: contents first, then the trees over them.

use std::path::Path;

use mv_graph::diff::ListedFile;
use mv_graph::{Component, ComponentRef, FileEntry, Mode, build_trees};
use mv_store::{Hash, IoContext as _, Kind, StoreWriter, Task, Unit};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::repo::{PathArg, covered};
use crate::session::Session;
use crate::snapshot::{Content, Snapshot, content_of, empty_dir};
use crate::worktree::{read_link, read_stable};

/// Files below this size are gathered in blocks with their neighbours.
const SMALL: u64 = 64 << 10;
/// Files from this size on are stored one after the other, each on all cores.
const LARGE: u64 = 8 << 20;
/// Small files are handed to threads in groups of about this many bytes.
const GROUP: u64 = 256 << 10;

/// Stores the content of every candidate and notes its id.
pub(super) fn store_candidates(
    snapshot: &mut Snapshot,
    paths: &[PathArg],
    writer: &StoreWriter<'_>,
    session: &Session,
) -> Result<()> {
    let task = session.progress.task("storing", Unit::Bytes);
    let (mut small, mut medium, mut large, mut total) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut stored: Vec<(usize, Content)> = Vec::with_capacity(snapshot.candidates.len());
    for (at, candidate) in snapshot.candidates.iter().enumerate() {
        let Some(now) = candidate.now.filter(|_| covered(paths, &candidate.path)) else { continue };
        total += now.stat.size;
        match now.stat.size {
            _ if now.mode == Mode::Dir => stored.push((at, content_of(&now, empty_dir()))),
            0..SMALL => small.push(at),
            SMALL..LARGE => medium.push(at),
            LARGE.. => large.push(at),
        }
    }
    task.set_total(total);
    let from = &*snapshot;
    let groups = group(&small, from);
    // Larger files first: a thread that is left with one at the end would keep the others waiting.
    let whole: Result<Vec<_>> =
        medium.par_iter().map(|&at| store_one(from, at, writer, &task)).collect();
    stored.extend(whole?);
    let together: Result<Vec<_>> =
        groups.par_iter().map(|group| store_group(from, group, writer, &task)).collect();
    stored.extend(together?.into_iter().flatten());
    for at in large {
        stored.push(store_one(from, at, writer, &task)?);
    }
    for (at, content) in stored {
        snapshot.candidates[at].content = Some(content);
    }
    Ok(())
}

/// Divides small files, in path order, into runs that fill a block.
fn group(small: &[usize], snapshot: &Snapshot) -> Vec<Vec<usize>> {
    let mut groups = vec![Vec::new()];
    let mut bytes = 0;
    for &at in small {
        if bytes >= GROUP {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += snapshot.candidates[at].now.map_or(0, |now| now.stat.size);
        if let Some(last) = groups.last_mut() {
            last.push(at);
        }
    }
    groups
}

fn store_group(
    snapshot: &Snapshot,
    group: &[usize],
    writer: &StoreWriter<'_>,
    task: &Task,
) -> Result<Vec<(usize, Content)>> {
    let mut contents: Vec<(usize, Content)> = Vec::with_capacity(group.len());
    let mut failed = None;
    let blobs = group.iter().map_while(|&at| match read_small(snapshot, at) {
        Ok((bytes, content)) => {
            task.add(bytes.len() as u64);
            contents.push((at, content));
            Some(task.check().map(|()| bytes))
        }
        Err(e) => {
            failed = Some(e);
            None
        }
    });
    let ids = writer.put_together(blobs)?;
    if let Some(error) = failed {
        return Err(error);
    }
    for ((_, content), (id, len)) in contents.iter_mut().zip(ids) {
        content.entry = FileEntry { id, bytes: len, ..content.entry };
        content.cache.id = id;
    }
    Ok(contents)
}

/// Reads a small file or a symlink's target.
fn read_small(snapshot: &Snapshot, at: usize) -> Result<(Vec<u8>, Content)> {
    let candidate = &snapshot.candidates[at];
    let path = &candidate.path;
    let Some(found) = candidate.now else { return Err(Error::Changed { path: path.clone() }) };
    let unnamed =
        |mode, bytes: &[u8]| FileEntry { mode, id: Hash::ZERO, bytes: bytes.len() as u64 };
    match found.mode {
        Mode::Dir => Err(Error::Changed { path: path.clone() }),
        Mode::Symlink => {
            let (target, stat) = read_link(&snapshot.root, path)?;
            let content = content_of(
                &crate::worktree::scan::Found { stat, ..found },
                unnamed(Mode::Symlink, &target),
            );
            Ok((target, content))
        }
        Mode::File | Mode::Exec => {
            let absolute = snapshot.root.path().join(path.to_path());
            let (bytes, mode, stat) = read_stable(&snapshot.root, path, &mut |file, size| {
                let mut bytes =
                    Vec::with_capacity(usize::try_from(size.min(LARGE)).unwrap_or(0) + 1);
                file.read_to_end(&mut bytes).at("read", &absolute)?;
                Ok(bytes)
            })?;
            let content = content_of(
                &crate::worktree::scan::Found { mode, stat, ..found },
                unnamed(mode, &bytes),
            );
            Ok((bytes, content))
        }
    }
}

/// Stores one larger file.
fn store_one(
    snapshot: &Snapshot,
    at: usize,
    writer: &StoreWriter<'_>,
    task: &Task,
) -> Result<(usize, Content)> {
    let candidate = &snapshot.candidates[at];
    let path = &candidate.path;
    let Some(found) = candidate.now else { return Err(Error::Changed { path: path.clone() }) };
    if found.mode == Mode::Symlink || found.mode == Mode::Dir {
        return Err(Error::Changed { path: path.clone() });
    }
    let absolute = snapshot.root.path().join(path.to_path());
    let ((id, bytes), mode, stat) = read_stable(&snapshot.root, path, &mut |file, size| {
        put_file(writer, &absolute, size, file, task)
    })?;
    let entry = FileEntry { mode, id, bytes };
    Ok((at, content_of(&crate::worktree::scan::Found { mode, stat, ..found }, entry)))
}

fn put_file(
    writer: &StoreWriter<'_>,
    path: &Path,
    size: u64,
    file: &mut (dyn std::io::Read + Send),
    task: &Task,
) -> Result<(Hash, u64)> {
    Ok(writer.put_file(path, size, file, task)?)
}

/// Builds the component trees of a listing in path order; returns them with files and bytes in all.
pub(crate) fn store_trees(
    files: &[ListedFile],
    writer: &StoreWriter<'_>,
) -> Result<([ComponentRef; 4], (u64, u64))> {
    let mut components = Vec::with_capacity(4);
    let (mut count, mut bytes) = (0, 0);
    for component in Component::ALL {
        let entries =
            files.iter().filter(|f| f.component == component).map(|f| (f.path.clone(), f.entry));
        let built = build_trees(entries, |tree| Ok(writer.put(Kind::Tree, &tree.encode()?)?))?;
        count += built.files;
        bytes += built.bytes;
        components.push(built);
    }
    let components =
        components.try_into().map_err(|_| Error::invalid("components", "there are four"))?;
    Ok((components, (count, bytes)))
}
