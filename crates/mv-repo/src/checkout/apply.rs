//! Carrying out a checkout's plan.

use mv_graph::diff::ListedFile;
use mv_graph::{Mode, RepoPath};
use mv_store::{Hash, Kind, Unit, nonce_hex};
use rayon::prelude::*;

use super::plan::{Plan, placed};
use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::worktree::{CacheUpdate, LARGE, Stat, Writer, stat_cache};

/// Files handed to a thread at once: neighbours share directories and blocks.
const RUN: usize = 64;

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) written: u64,
    pub(crate) removed: u64,
    pub(crate) bytes: u64,
    pub(crate) failed: Vec<(RepoPath, String)>,
    /// The stat of each written file, in the plan's order; none where nothing was written.
    pub(crate) stats: Vec<Option<Stat>>,
}

/// Removes, then makes directories, then writes files, and symlinks last. A file whose content is
/// damaged is noted and left as it was; any other failure ends the work.
pub(crate) fn apply(
    repo: &Repo,
    snapshot: &Snapshot,
    plan: &Plan,
    session: &Session,
) -> Result<Applied> {
    if plan.is_empty() {
        return Ok(Applied::default());
    }
    let task = session.progress.task("checking out", Unit::Bytes);
    task.set_total(plan.write.iter().map(|f| f.entry.bytes).sum());
    let tmp = repo.layout().tmp().join(nonce_hex(&session.nonces.next()));
    mv_store::fs::create_dir_durably(&tmp)?;
    let writer = Writer::new(repo.root(), &tmp, &session.nonces)?;
    let outcome = Work { repo, snapshot, writer: &writer, task: &task }.run(plan);
    mv_store::fs::sweep_dir(&tmp);
    outcome
}

struct Work<'a> {
    repo: &'a Repo,
    snapshot: &'a Snapshot,
    writer: &'a Writer<'a>,
    task: &'a mv_store::Task,
}

impl Work<'_> {
    fn run(&self, plan: &Plan) -> Result<Applied> {
        let mut applied = Applied { stats: vec![None; plan.write.len()], ..Applied::default() };
        for path in &plan.remove {
            self.task.check()?;
            self.last_look(plan, path)?;
            self.remove(path)?;
            applied.removed += 1;
        }
        self.remove_emptied(plan)?;
        for file in plan.write.iter().filter(|f| f.entry.mode == Mode::Dir) {
            self.make_dir(&file.path)?;
        }
        self.make_parents(plan)?;
        let of = |wanted: fn(&ListedFile) -> bool| {
            plan.write.iter().enumerate().filter(move |(_, f)| wanted(f)).collect::<Vec<_>>()
        };
        let small = of(|f| is_file(f) && f.entry.bytes < LARGE);
        let runs: Result<Vec<Vec<(usize, Placed)>>> = small
            .par_chunks(RUN)
            .map(|run| run.iter().map(|(at, file)| Ok((*at, self.place(plan, file)?))).collect())
            .collect();
        let mut placed: Vec<(usize, Placed)> = runs?.into_iter().flatten().collect();
        for (at, file) in of(|f| is_file(f) && f.entry.bytes >= LARGE) {
            placed.push((at, self.place(plan, file)?));
        }
        for (at, _) in of(|f| f.entry.mode == Mode::Dir) {
            placed.push((at, Ok(Stat::default())));
        }
        for (at, file) in of(|f| f.entry.mode == Mode::Symlink) {
            placed.push((at, self.place(plan, file)?));
        }
        for (at, outcome) in placed {
            let file = &plan.write[at];
            match outcome {
                Ok(stat) => {
                    applied.written += 1;
                    applied.bytes += file.entry.bytes;
                    applied.stats[at] = Some(stat);
                }
                Err(why) => applied.failed.push((file.path.clone(), why)),
            }
        }
        applied.failed.sort();
        Ok(applied)
    }

    /// Removes the directories that the removals left empty, deepest first.
    fn remove_emptied(&self, plan: &Plan) -> Result<()> {
        let mut dirs: Vec<RepoPath> =
            plan.remove.iter().flat_map(|path| path.ancestors()).collect();
        dirs.sort();
        dirs.dedup();
        for dir in dirs.iter().rev() {
            self.writer.remove_dir_if_empty(dir)?;
        }
        Ok(())
    }

    /// Removes a file, a symlink, or an empty directory of the version before.
    fn remove(&self, path: &RepoPath) -> Result<()> {
        match self.writer.root().stat(path)? {
            Some((Some(Mode::Dir), _)) => self.writer.remove_dir_if_empty(path).map(drop),
            _ => self.writer.remove_file(path).map(drop),
        }
    }

    /// Makes the directories that files are put in, each once.
    fn make_parents(&self, plan: &Plan) -> Result<()> {
        let mut last: Option<RepoPath> = None;
        for file in &plan.write {
            let Some(parent) = file.path.parent() else { continue };
            if last.as_ref() != Some(&parent) {
                self.writer.ensure_dir(&parent)?;
                last = Some(parent);
            }
        }
        Ok(())
    }

    /// Makes an empty directory in place of a file or symlink of the version before.
    fn make_dir(&self, path: &RepoPath) -> Result<()> {
        if let Some((mode, _)) = self.writer.root().stat(path)?
            && mode != Some(Mode::Dir)
        {
            self.writer.remove_file(path)?;
        }
        self.writer.ensure_dir(path)
    }

    /// Refuses to touch a file that somebody wrote to since the plan was made.
    fn last_look(&self, plan: &Plan, path: &RepoPath) -> Result<()> {
        match self.snapshot.scan.get(path) {
            Some(found) if found.mode != Mode::Dir => self.writer.expect(path, Some(&found.stat)),
            None if plan.overwritten.binary_search(path).is_err() => self.writer.expect(path, None),
            _ => Ok(()),
        }
    }

    /// Puts one file in place; damage to its content is the inner error.
    fn place(&self, plan: &Plan, file: &ListedFile) -> Result<Placed> {
        self.task.check()?;
        match self.place_whole(plan, file) {
            Ok(stat) => Ok(Ok(stat)),
            Err(e) if is_damage(&e) => Ok(Err(e.to_string())),
            Err(e) => Err(e),
        }
    }

    fn place_whole(&self, plan: &Plan, file: &ListedFile) -> Result<Stat> {
        let store = self.repo.store();
        let id = &file.entry.id;
        if file.entry.mode == Mode::Symlink {
            let target = store.get(Kind::Blob, id, mv_graph::MAX_SYMLINK)?;
            self.last_look(plan, &file.path)?;
            return self.writer.write_symlink(&file.path, &target);
        }
        // Before anything is written: the claim was held against the free space.
        let len = store.len_of(id)?;
        if len != file.entry.bytes {
            let detail = format!("it has {len} bytes, the tree says {}", file.entry.bytes);
            return Err(mv_store::Error::corrupt("blob", id, detail).into());
        }
        let exec = file.entry.mode == Mode::Exec;
        self.writer.write_file(&file.path, exec, &mut |out| {
            let absolute = self.repo.root().join(file.path.to_path());
            let written = store.copy_to(id, Some(self.task), &mut |piece| {
                use mv_store::IoContext as _;
                out.write_all(piece).at("write", &absolute)
            })?;
            if written != file.entry.bytes {
                let detail = format!("it has {written} bytes, the tree says {}", file.entry.bytes);
                return Err(mv_store::Error::corrupt("blob", id, detail).into());
            }
            // Only now: writing a large file takes long enough for somebody to save another.
            self.last_look(plan, &file.path)
        })
    }
}

type Placed = std::result::Result<Stat, String>;

fn is_file(file: &ListedFile) -> bool {
    matches!(file.entry.mode, Mode::File | Mode::Exec)
}

fn is_damage(error: &Error) -> bool {
    match error {
        Error::Store(e) => e.is_corruption() || matches!(e, mv_store::Error::Unsupported { .. }),
        Error::Graph(e) => e.is_corruption(),
        _ => false,
    }
}

/// Saves the stat cache after a checkout; best effort.
///
/// The stamp is taken after the last write: a file that somebody changed in the very clock tick in
/// which it was put in place would pass for unchanged, one changed later does not.
pub(crate) fn save_cache(
    repo: &Repo,
    snapshot: &Snapshot,
    plan: &Plan,
    stats: &[Option<Stat>],
    head: Option<Hash>,
    session: &Session,
) {
    let layout = repo.layout();
    let Ok(stamp_ns) = stat_cache::stamp(&layout.tmp(), &session.nonces.next()) else { return };
    let mut updates: Vec<CacheUpdate> = Vec::new();
    for candidate in &snapshot.candidates {
        // What was read and is HEAD's; whatever the plan says of the same path comes later and counts.
        updates.push(candidate.stored_update(snapshot.stamp_ns));
    }
    for path in &plan.remove {
        updates.push(CacheUpdate { path: path.clone(), entry: None, verified_ns: stamp_ns });
    }
    for (path, content) in &plan.settled {
        updates.push(CacheUpdate {
            path: path.clone(),
            entry: Some(content.cache),
            verified_ns: snapshot.stamp_ns,
        });
    }
    for (file, stat) in plan.write.iter().zip(stats) {
        let entry = stat.map(|stat| placed(file, stat).cache);
        updates.push(CacheUpdate { path: file.path.clone(), entry, verified_ns: stamp_ns });
    }
    let mut header = snapshot.header(head.filter(|_| plan.exact), session);
    header.stamp_ns = stamp_ns;
    // The target's components come from its manifest; if the rules would choose otherwise, the
    // next scan has to say so.
    if plan
        .write
        .iter()
        .any(|f| snapshot.rules.component_of(&f.path, f.entry.mode == Mode::Dir) != f.component)
    {
        header.rules = Hash::ZERO;
    }
    drop(snapshot.scan.save(
        &header,
        &updates,
        &layout.stat_cache(),
        &layout.tmp(),
        &session.nonces.next(),
    ));
}
