//! The parallel walk behind `scan`: lists every directory that is not ignored, stats every file
//! in it and compares with the stat cache.
//!
//! Threads share two stacks, of directories to open and of parts of huge directories. Parts are
//! taken first, and a directory is opened by its path from the root only when its turn comes, so
//! that open descriptors are bounded by twice the number of threads whatever the tree looks like.
//! Rayon is not used because a task that waits there may begin another one below it on the stack,
//! with its own directory open.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use mv_graph::{Component, Mode, RepoPath};
use mv_store::{Progress, Task};
use rustix::fs::{AtFlags, FileType, Mode as Bits, OFlags, openat, statat};
use rustix::io::Errno;

use super::beneath::{Root, list_dir};
use super::components::{Inherited, Rules};
use super::ignore::{Chain, IGNORE_FILE, MAX_IGNORE_FILE, is_repository};
use super::order::{compare, join};
use super::scan::Skipped;
use super::scanned::{Entry, OwnFiles, ScannedDir};
use super::stat::{Stat, mode_of};
use super::stat_cache::StatCache;
use crate::error::{Error, Result};

/// A directory with more entries is cut into parts of this many.
const PART: usize = 4096;

/// A directory to be listed.
struct DirJob {
    path: Vec<u8>,
    cached: Option<usize>,
    chain: Arc<Chain>,
    inherited: Inherited,
}

/// A directory that was listed.
struct Listed {
    job: DirJob,
    fd: OwnedFd,
    /// The cache's decisions what to ignore hold here.
    trusted: bool,
    names: Vec<u8>,
    list: Vec<Name>,
}

#[derive(Clone, Copy)]
struct Name {
    begin: u32,
    length: u16,
    kind: FileType,
}

impl Listed {
    fn name(&self, name: Name) -> &[u8] {
        let begin = name.begin as usize;
        &self.names[begin..begin + usize::from(name.length)]
    }
}

/// A huge directory, worked on by several threads.
struct Huge {
    listed: Listed,
    /// Protects the finished parts; held only to put one in.
    parts: Mutex<Vec<OwnFiles>>,
    left: AtomicUsize,
}

enum Job {
    Dir(DirJob),
    Part(Arc<Huge>, usize),
}

#[derive(Default)]
struct Queue {
    dirs: Vec<DirJob>,
    parts: Vec<(Arc<Huge>, usize)>,
    active: usize,
    stop: bool,
}

/// What one thread found, and its buffers.
#[derive(Default)]
pub(super) struct Found {
    pub(super) dirs: Vec<ScannedDir>,
    pub(super) skipped: Vec<Skipped>,
    jobs: Vec<Job>,
    files: OwnFiles,
    names: Vec<u8>,
    list: Vec<Name>,
    path: Vec<u8>,
}

/// One walk.
pub(super) struct Walk<'a> {
    root: &'a Root,
    rules: &'a Rules,
    cache: &'a StatCache,
    progress: &'a Progress,
    task: &'a Task,
    /// The cache's components were chosen by these rules.
    same_rules: bool,
    /// Protects the stacks; held only to push and pop. No other lock is taken under it.
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl<'a> Walk<'a> {
    /// Prepares a walk from the root.
    pub(super) fn new(
        root: &'a Root,
        rules: &'a Rules,
        cache: &'a StatCache,
        progress: &'a Progress,
        task: &'a Task,
    ) -> Walk<'a> {
        let first = DirJob {
            path: Vec::new(),
            cached: cache.find(b""),
            chain: Chain::root(),
            inherited: Inherited::ROOT,
        };
        let queue = Mutex::new(Queue { dirs: vec![first], ..Queue::default() });
        let same_rules = cache.header().rules == rules.fingerprint();
        Walk { root, rules, cache, progress, task, same_rules, queue, wake: Condvar::new() }
    }

    /// Walks with that many threads; directories come back in path order.
    pub(super) fn run(&self, threads: usize) -> Result<(Vec<ScannedDir>, Vec<Skipped>)> {
        let mut all: Vec<Result<Found>> = Vec::new();
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| self.work())).collect();
            all.push(self.work());
            for other in others {
                match other.join() {
                    Ok(found) => all.push(found),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        let (mut dirs, mut skipped) = (Vec::new(), Vec::new());
        for found in all {
            let found = found?;
            dirs.extend(found.dirs);
            skipped.extend(found.skipped);
        }
        dirs.sort_unstable_by(|a: &ScannedDir, b| compare(&a.path, &b.path));
        skipped.sort_unstable_by(|a: &Skipped, b| a.path.cmp(&b.path));
        Ok((dirs, skipped))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> Result<Found> {
        let _guard = StopOnPanic(self);
        let mut found = Found::default();
        while let Some(job) = self.next() {
            let done = self.progress.check().map_err(Error::from).and_then(|()| match job {
                Job::Dir(job) => self.dir(job, &mut found),
                Job::Part(huge, part) => self.part(&huge, part, &mut found),
            });
            let mut queue = self.lock();
            queue.active -= 1;
            queue.stop |= done.is_err();
            for job in found.jobs.drain(..) {
                match job {
                    Job::Dir(job) => queue.dirs.push(job),
                    Job::Part(huge, part) => queue.parts.push((huge, part)),
                }
            }
            drop(queue);
            self.wake.notify_all();
            done?;
        }
        Ok(found)
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.stop {
                return None;
            }
            let part = queue.parts.pop().map(|(huge, part)| Job::Part(huge, part));
            let job = part.or_else(|| queue.dirs.pop().map(Job::Dir));
            if job.is_some() {
                queue.active += 1;
                return job;
            }
            if queue.active == 0 {
                return None;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lists one directory and either looks at its files or leaves that to parts.
    fn dir(&self, mut job: DirJob, found: &mut Found) -> Result<()> {
        let fd = match self.root.open_dir(&job.path) {
            Ok(fd) => fd,
            // Race: it was removed or replaced since its name was read.
            Err(Errno::NOENT) if !job.path.is_empty() => return Ok(()),
            Err(Errno::LOOP | Errno::NOTDIR) if !job.path.is_empty() => {
                return Err(Error::Changed { path: repo_path(&job.path)? });
            }
            Err(e) => return Err(self.root.explain("open the directory", &job.path, e)),
        };
        let (mut names, mut list) =
            (std::mem::take(&mut found.names), std::mem::take(&mut found.list));
        names.clear();
        list.clear();
        let (mut nested, mut ignore_file) = (false, false);
        list_dir(fd.as_fd(), &mut |name, kind| {
            nested |= name == b".mv" && kind != FileType::RegularFile && kind != FileType::Symlink;
            ignore_file |= name == IGNORE_FILE && kind != FileType::Directory;
            let (begin, length) = (names.len() as u32, name.len() as u16);
            names.extend_from_slice(name);
            list.push(Name { begin, length, kind });
        })
        .map_err(|e| self.root.explain("list the directory", &job.path, e))?;
        self.task.add(list.len() as u64);

        if nested && !job.path.is_empty() && is_dir(&fd, b".mv") {
            let path = repo_path(&job.path)?;
            found.skipped.push(Skipped { path, why: "it is a repository of its own".into() });
            return Ok(());
        }
        if ignore_file {
            self.read_ignore_file(&mut job, &fd, found)?;
        }
        if list.is_empty() && !job.path.is_empty() {
            let empty = self.rules.component_in(job.inherited, &job.path, true);
            self.close(&job, Some(empty), &OwnFiles::default(), found);
            (found.names, found.list) = (names, list);
            return Ok(());
        }
        list.sort_unstable_by(|a, b| {
            let name =
                |n: &Name| &names[n.begin as usize..n.begin as usize + usize::from(n.length)];
            name(a).cmp(name(b))
        });
        let chain = job.chain.fingerprint();
        let trusted = job.cached.is_some_and(|index| self.cache.view(index).chain == chain);
        let listed = Listed { job, fd, trusted, names, list };
        if listed.list.len() > 2 * PART {
            let parts = listed.list.len().div_ceil(PART);
            let empty = (0..parts).map(|_| OwnFiles::default()).collect();
            let left = AtomicUsize::new(parts);
            let huge = Arc::new(Huge { listed, parts: Mutex::new(empty), left });
            found.jobs.extend((0..parts).map(|part| Job::Part(Arc::clone(&huge), part)));
            return Ok(());
        }
        let mut files = std::mem::take(&mut found.files);
        files.clear();
        self.files(&listed, 0..listed.list.len(), &mut files, found)?;
        self.close(&listed.job, None, &files, found);
        found.files = files;
        (found.names, found.list) = (listed.names, listed.list);
        Ok(())
    }

    fn part(&self, huge: &Arc<Huge>, part: usize, found: &mut Found) -> Result<()> {
        let end = huge.listed.list.len().min((part + 1) * PART);
        let mut files = OwnFiles::default();
        self.files(&huge.listed, part * PART..end, &mut files, found)?;
        let mut parts = huge.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts[part] = files;
        if huge.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let mut whole = OwnFiles::default();
            for part in parts.drain(..) {
                whole.append(&part);
            }
            self.close(&huge.listed.job, None, &whole, found);
        }
        Ok(())
    }

    /// Looks at a range of a directory's names and merges them with the cache's.
    fn files(
        &self,
        listed: &Listed,
        range: Range<usize>,
        files: &mut OwnFiles,
        found: &mut Found,
    ) -> Result<()> {
        let dir = &listed.job;
        let view = dir.cached.map(|index| self.cache.view(index));
        let count = view.map_or(0, |v| v.len());
        let Some(&first) = listed.list.get(range.start) else { return Ok(()) };
        let mut at = view.map_or(0, |v| v.search(listed.name(first)).unwrap_or_else(|place| place));
        for &entry in &listed.list[range] {
            let name = listed.name(entry);
            if is_repository(name) {
                continue;
            }
            if entry.kind == FileType::Directory {
                self.child(listed, name, found)?;
                continue;
            }
            let mut hit = None;
            if let Some(view) = &view {
                while at < count && view.name(at) < name {
                    at += 1;
                }
                if at < count && view.name(at) == name {
                    hit = view.get(at).map(|cached| (at as u32, cached));
                }
            }
            let decided = listed.trusted && hit.is_some();
            if !decided {
                set_path(&mut found.path, &dir.path, name);
                if dir.chain.ignores(&found.path, false) {
                    continue;
                }
            }
            let raw = match statat(&listed.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(raw) => raw,
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(self.root.explain("stat", &join(&dir.path, name), e)),
            };
            let mode = match mode_of(&raw) {
                Some(Mode::Dir) => {
                    self.child(listed, name, found)?;
                    continue;
                }
                Some(mode) => mode,
                None => {
                    let path = repo_path(&join(&dir.path, name))?;
                    found.skipped.push(Skipped { path, why: special(raw.st_mode).into() });
                    continue;
                }
            };
            let stat = Stat::of(&raw);
            let component = match hit {
                Some((_, cached)) if self.same_rules => cached.entry.component,
                _ => {
                    set_path(&mut found.path, &dir.path, name);
                    self.rules.component_in(dir.inherited, &found.path, false)
                }
            };
            if hit.is_none() {
                repo_path(&found.path)?;
            }
            let known = hit.is_some_and(|(_, cached)| {
                !cached.racy && cached.entry.stat == stat && cached.entry.mode == mode
            });
            let same = known && hit.is_some_and(|(_, cached)| cached.entry.component == component);
            let cached = hit.map_or(u32::MAX, |(index, _)| index);
            files.names.extend_from_slice(name);
            let name_end = files.names.len() as u32;
            files.entries.push(Entry { name_end, cached, mode, component, known, same, stat });
        }
        Ok(())
    }

    /// Queues a directory inside the listed one, unless it is ignored.
    fn child(&self, listed: &Listed, name: &[u8], found: &mut Found) -> Result<()> {
        let path = join(&listed.job.path, name);
        let cached = self.cache.find(&path);
        let decided = listed.trusted && cached.is_some();
        if !decided && listed.job.chain.ignores(&path, true) {
            return Ok(());
        }
        repo_path(&path)?;
        let inherited = self.rules.enter(listed.job.inherited, &path);
        let chain = Arc::clone(&listed.job.chain);
        found.jobs.push(Job::Dir(DirJob { path, cached, chain, inherited }));
        Ok(())
    }

    /// Ends a directory: keeps its files only if they differ from the cache's.
    fn close(&self, job: &DirJob, empty: Option<Component>, files: &OwnFiles, found: &mut Found) {
        let count = job.cached.map(|index| self.cache.view(index).len());
        let same = count == Some(files.entries.len()) && files.entries.iter().all(|e| e.same);
        let own = (!same)
            .then(|| OwnFiles { entries: files.entries.clone(), names: files.names.clone() });
        let (path, chain, cached) = (job.path.clone(), job.chain.fingerprint(), job.cached);
        found.dirs.push(ScannedDir { path, chain, cached, empty, own });
    }

    /// Adds the directory's ignore file to its chain, or reports why it is not read.
    fn read_ignore_file(&self, job: &mut DirJob, dir: &OwnedFd, found: &mut Found) -> Result<()> {
        let path = join(&job.path, IGNORE_FILE);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(dir, IGNORE_FILE, flags, Bits::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::LOOP) => {
                let why = "a symlink is not read as an ignore file".into();
                found.skipped.push(Skipped { path: repo_path(&path)?, why });
                return Ok(());
            }
            Err(e) => return Err(self.root.explain("open", &path, e)),
        };
        let fail = |e| Error::io("read", self.root.absolute(&path), e);
        if !file.metadata().map_err(fail)?.is_file() {
            return Ok(());
        }
        let mut text = Vec::new();
        file.take(MAX_IGNORE_FILE + 1).read_to_end(&mut text).map_err(fail)?;
        if text.len() as u64 > MAX_IGNORE_FILE {
            let why = "an ignore file of more than 1 MiB is not read".into();
            found.skipped.push(Skipped { path: repo_path(&path)?, why });
            return Ok(());
        }
        let (chain, problems) = job.chain.extend(&job.path, &text);
        job.chain = chain;
        for why in problems {
            found.skipped.push(Skipped { path: repo_path(&path)?, why });
        }
        Ok(())
    }
}

/// Lets the other threads go when one panics, instead of waiting for it forever.
struct StopOnPanic<'a, 'b>(&'a Walk<'b>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().stop = true;
            self.0.wake.notify_all();
        }
    }
}

fn set_path(path: &mut Vec<u8>, dir: &[u8], name: &[u8]) {
    path.clear();
    path.extend_from_slice(dir);
    if !dir.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

fn is_dir(parent: &OwnedFd, name: &[u8]) -> bool {
    statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|raw| mode_of(&raw) == Some(Mode::Dir))
}

fn special(mode: rustix::fs::RawMode) -> &'static str {
    match FileType::from_raw_mode(mode) {
        FileType::Fifo => "a pipe is not stored",
        FileType::Socket => "a socket is not stored",
        _ => "a device is not stored",
    }
}

/// The path as one that can be stored.
pub(super) fn repo_path(path: &[u8]) -> Result<RepoPath> {
    RepoPath::from_bytes(path).map_err(|why| Error::BadName {
        name: OsStr::from_bytes(path).into(),
        why: why.to_string(),
    })
}
