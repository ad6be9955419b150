//! Writing everything anew into an empty store.

use std::path::Path;

use mv_graph::{FileEntry, Mode};
use mv_store::{Effort, Hash, Kind, Store, StoreWriter, Unit, Written, copy_rest};
use rayon::prelude::*;

use super::history::{Content, History, PathHistory};
use crate::error::Result;
use crate::file_bytes::FileBytes;
use crate::outline::{OUTLINED, Outlines, Pasts};
use crate::repo::Repo;
use crate::session::Session;

/// Small files are stored in groups of about this many bytes.
const GROUP: u64 = 900 << 10;
/// How deep what is named by a branch, a tag or a stage may lie.
const QUICK: u32 = 1;
/// Of so many versions of a file one that is named may be whole.
const WHOLE: usize = 8;

/// Stores everything that a repository has in new packs, which no record names yet.
pub(super) fn store(repo: &Repo, history: &History, session: &Session) -> Result<Written> {
    let old = repo.store().here();
    let empty = Store::open(old.root(), &[]);
    let writer =
        StoreWriter::begin(&empty, &session.nonces)?.with_effort(Effort::Best).anew_from(&old);
    let task = session.progress.task("repacking", Unit::Bytes);
    let contents = || history.paths.iter().flat_map(|path| &path.contents);
    task.set_total(contents().map(|content| content.bytes).sum());
    let anew = Anew { old: &old, writer: &writer, quick: &history.quick, task: &task };
    anew.small_files(&history.paths)?;
    let mut paths: Vec<&PathHistory> = history.paths.iter().collect();
    // The largest first: what is rounded from another file's numbers is smaller than that one.
    let size = |path: &PathHistory| path.contents.first().map_or(0, |content| content.bytes);
    paths.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.path.cmp(&b.path)));
    let outlines = Outlines::new(&old, Pasts::default(), None, [Effort::Best; 4]);
    for path in paths {
        anew.path(path, &outlines)?;
    }
    // Trees, versions, environments, ledgers, and whatever else there is.
    copy_rest(&writer, &old, &|id| !history.parts.contains(id), &task)?;
    Ok(writer.finish()?)
}

struct Anew<'a> {
    old: &'a Store,
    writer: &'a StoreWriter<'a>,
    quick: &'a std::collections::HashSet<Hash>,
    task: &'a mv_store::Task,
}

impl Anew<'_> {
    /// Stores small files so that those that are read together lie together: first what branches, tags and
    /// stages name; and like beside like, by the ending of the name.
    fn small_files(&self, paths: &[PathHistory]) -> Result<()> {
        let mut contents: Vec<(&PathHistory, &Content)> = paths
            .iter()
            .flat_map(|path| path.contents.iter().map(move |content| (path, content)))
            .filter(|(_, content)| content.bytes < OUTLINED && self.old.holds(&content.id))
            .collect();
        contents.sort_by_cached_key(|(path, content)| {
            let path = path.path.as_bytes();
            let ending = path.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
            (!self.quick.contains(&content.id), ending.to_vec(), path.to_vec())
        });
        let mut groups: Vec<Vec<&Content>> = vec![Vec::new()];
        let mut bytes = 0;
        for (_, content) in contents {
            if bytes > 0 && bytes + content.bytes > GROUP {
                groups.push(Vec::new());
                bytes = 0;
            }
            bytes += content.bytes;
            groups.last_mut().into_iter().for_each(|group| group.push(content));
        }
        groups.par_iter().try_for_each(|group| -> Result<()> {
            let read = |content: &&Content| {
                self.task.check()?;
                self.task.add(content.bytes);
                self.old.get(Kind::Blob, &content.id, OUTLINED)
            };
            self.writer.put_together(group.iter().map(read))?;
            Ok(())
        })
    }

    /// Stores what a path was: the newest whole; what is named somewhere whole as well, or one step from
    /// what is; the others each against the next newer one. Where most versions are tagged, storing all
    /// of them whole would take more than it is worth.
    fn path(&self, history: &PathHistory, outlines: &Outlines<'_>) -> Result<()> {
        let large = history.contents.iter().filter(|content| content.bytes >= OUTLINED);
        let (mut whole, mut newer): (Option<FileEntry>, Option<FileEntry>) = (None, None);
        let mut left = history.contents.len() / WHOLE;
        for content in large.filter(|content| self.old.holds(&content.id)) {
            let entry = FileEntry { mode: Mode::File, id: content.id, bytes: content.bytes };
            let quick = self.quick.contains(&content.id);
            let alone = whole.is_none() || (quick && left > 0);
            let parent = if quick { &whole } else { &newer };
            let source = FileBytes::stored(self.old, &entry)?;
            let component = history.component;
            let mut outlined =
                outlines.of(&history.path, component, Some(&source), parent.as_ref());
            outlined.outline.depth = match (alone, quick) {
                (true, _) => Some(0),
                (false, true) => Some(QUICK),
                (false, false) => None,
            };
            let mut read = self.old.stream(&content.id)?;
            let name = Path::new("a stored file");
            let (id, _) = self.writer.put_file(
                name,
                content.bytes,
                &outlined.outline,
                &mut read,
                self.task,
            )?;
            if id != content.id {
                let detail = "its bytes do not match its id";
                return Err(mv_store::Error::corrupt("blob", content.id, detail).into());
            }
            outlines.add(&history.path, id, &outlined);
            if alone {
                left = left.saturating_sub(usize::from(whole.is_some()));
                whole = Some(entry);
            }
            newer = Some(entry);
        }
        Ok(())
    }
}
