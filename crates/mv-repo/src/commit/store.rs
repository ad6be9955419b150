//! Storing what changed: contents first, then the trees over them.

use mv_graph::diff::ListedFile;
use mv_graph::{Component, ComponentRef, FileEntry, Mode, build_trees};
use mv_store::{Effort, Hash, IoContext as _, Kind, StoreWriter, Task, Unit};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::outline::{Outlines, Pasts, Sighting, may_have_numbers};
use crate::repo::{PathArg, Repo, covered};
use crate::session::Session;
use crate::snapshot::{Content, Snapshot, content_of, empty_dir};
use crate::worktree::{read_link, read_stable};

/// Files below this size are gathered in blocks with their neighbours.
const SMALL: u64 = 64 << 10;
/// Files from this size on are stored one after the other, each on all cores.
const LARGE: u64 = 8 << 20;
/// The same for files of numbers.
const NUMBERS: u64 = 1 << 20;
/// So many files, at most: thousands of mid-sized ones would keep one core busy and leave the others idle.
const IN_TURN: usize = 64;
/// Small files are handed to threads in groups of about this many bytes.
const GROUP: u64 = 320 << 10;

/// Stores the content of every candidate and notes its id. Returns where tensors are now.
pub(super) fn store_candidates(
    repo: &Repo,
    snapshot: &mut Snapshot,
    paths: &[PathArg],
    pasts: Pasts,
    (writer, efforts): (&StoreWriter<'_>, [Effort; 4]),
    session: &Session,
) -> Result<Vec<Sighting>> {
    let task = session.progress.task("storing", Unit::Bytes);
    let (mut small, mut medium, mut large, mut total) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut stored: Vec<(usize, Content)> = Vec::with_capacity(snapshot.candidates.len());
    for (at, candidate) in snapshot.candidates.iter().enumerate() {
        let Some(now) = candidate.now.filter(|_| covered(paths, &candidate.path)) else { continue };
        total += now.stat.size;
        match now.stat.size {
            _ if now.mode == Mode::Dir => stored.push((at, content_of(&now, empty_dir()))),
            0..SMALL => small.push(at),
            LARGE.. => large.push(at),
            // In its turn, so that it finds the numbers of others in this version.
            NUMBERS..
                if large.len() < IN_TURN && may_have_numbers(&candidate.path, now.component) =>
            {
                large.push(at);
            }
            _ => medium.push(at),
        }
    }
    task.set_total(total);
    let from = &*snapshot;
    // What is not fetched is nothing to compare with: a commit asks no remote.
    let here = writer.store().here();
    let outlines = Outlines::new(&here, pasts, Some(&from.root), efforts);
    let outlines = outlines.with_seen(repo.layout().seen());
    let files = Files { snapshot: from, outlines: &outlines, writer, task: &task };
    let groups = group(&small, from);
    // Larger files first: a thread that is left with one at the end would keep the others waiting.
    let whole: Result<Vec<_>> = medium.par_iter().map(|&at| files.store(at)).collect();
    stored.extend(whole?);
    let together: Result<Vec<_>> =
        groups.par_iter().map(|group| store_group(from, group, writer, &task)).collect();
    stored.extend(together?.into_iter().flatten());
    // The largest first: what is rounded from another file's numbers is smaller than that one.
    let size = |at: &usize| from.candidates[*at].now.map_or(0, |now| now.stat.size);
    large.sort_by_key(|at| (std::cmp::Reverse(size(at)), *at));
    for at in large {
        stored.push(files.store(at)?);
    }
    let sightings = outlines.sightings();
    for (at, content) in stored {
        snapshot.candidates[at].content = Some(content);
    }
    Ok(sightings)
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

/// Larger files on their way into the store.
struct Files<'a> {
    snapshot: &'a Snapshot,
    outlines: &'a Outlines<'a>,
    writer: &'a StoreWriter<'a>,
    task: &'a Task,
}

impl Files<'_> {
    /// Stores one file.
    fn store(&self, at: usize) -> Result<(usize, Content)> {
        let candidate = &self.snapshot.candidates[at];
        let path = &candidate.path;
        let Some(found) = candidate.now else { return Err(Error::Changed { path: path.clone() }) };
        if found.mode == Mode::Symlink || found.mode == Mode::Dir {
            return Err(Error::Changed { path: path.clone() });
        }
        let root = &self.snapshot.root;
        let absolute = root.path().join(path.to_path());
        let before = candidate.base.as_ref().map(|(_, entry)| entry);
        let outlined = self.outlines.of_working(path, found.component, before);
        let ((id, bytes), mode, stat) = read_stable(root, path, &mut |file, size| {
            let outline = &outlined.outline;
            Ok(self.writer.put_file(&absolute, size, outline, file, self.task)?)
        })?;
        self.outlines.add(path, id, &outlined);
        let entry = FileEntry { mode, id, bytes };
        Ok((at, content_of(&crate::worktree::scan::Found { mode, stat, ..found }, entry)))
    }
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
