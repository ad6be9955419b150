//! The working tree held against a version: what differs, and what is known of it.
//!
//! Usually the stat cache equals HEAD and only the paths at which it cannot vouch for the working
//! tree are looked at. When it does not (after a checkout that was cut off, a partial commit, a
//! lost cache), HEAD's trees are listed and joined with the scan.

use std::collections::{HashMap, HashSet};

use mv_graph::diff::{self, Change, ChangeKind, ListedFile};
use mv_graph::{Component, FileEntry, Manifest, Mode, RepoPath};
use mv_store::{BlobHasher, Hash, IoContext as _, Kind, Unit, id_of};
use rayon::prelude::*;

use crate::error::Result;
use crate::partial::Partial;
use crate::repo::Repo;
use crate::session::Session;
use crate::worktree::scan::Found;
use crate::worktree::{
    CacheEntry, CacheHeader, CacheUpdate, Root, Rules, Scan, ScanOptions, Stat, StatCache,
    read_link, read_stable, scan, stat_cache,
};

/// A path at which the working tree may differ from the version.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) path: RepoPath,
    /// What the version has.
    pub(crate) base: Option<(Component, FileEntry)>,
    /// What is there.
    pub(crate) now: Option<Found>,
    /// The content of what is there, once known.
    pub(crate) content: Option<Content>,
}

/// What was read of a working file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    pub(crate) entry: FileEntry,
    pub(crate) cache: CacheEntry,
}

/// The working tree as one scan found it.
pub(crate) struct Snapshot {
    pub(crate) root: Root,
    pub(crate) scan: Scan,
    pub(crate) rules: Rules,
    /// False when they only stand in for those of a broken `mv.toml`.
    rules_are_sound: bool,
    pub(crate) head: Option<(Hash, Manifest)>,
    pub(crate) stamp_ns: i64,
    /// By path.
    pub(crate) candidates: Vec<Candidate>,
    /// HEAD's files, if they had to be listed.
    listed: Option<Vec<ListedFile>>,
    /// Which files are meant to be here, in a part of a repository.
    partial: Option<Partial>,
}

/// How much to find out about files that differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Only whether they differ: a file of another size is not read.
    Differs,
    /// The content of each.
    Content,
}

impl Snapshot {
    /// Scans the working tree and holds it against HEAD.
    pub(crate) fn take(repo: &Repo, session: &Session) -> Result<Snapshot> {
        Snapshot::take_against(repo, repo.head_manifest()?, session)
    }

    /// The same for a checkout, which may be the way back from a broken `mv.toml`.
    pub(crate) fn take_leniently(repo: &Repo, session: &Session) -> Result<Snapshot> {
        let (rules, sound) = repo.rules_or_default()?;
        Snapshot::take_with(repo, repo.head_manifest()?, rules, sound, session)
    }

    /// Scans the working tree and holds it against any version, called HEAD here.
    pub(crate) fn take_against(
        repo: &Repo,
        head: Option<(Hash, Manifest)>,
        session: &Session,
    ) -> Result<Snapshot> {
        Snapshot::take_with(repo, head, repo.rules()?, true, session)
    }

    fn take_with(
        repo: &Repo,
        head: Option<(Hash, Manifest)>,
        rules: Rules,
        rules_are_sound: bool,
        session: &Session,
    ) -> Result<Snapshot> {
        let cache = repo.stat_cache();
        let usable =
            cache.header().boot_id == session.boot_id || !repo.layout().checkout_mark().exists();
        let cache = if usable { cache } else { StatCache::empty() };
        let root = repo.root_dir()?;
        // A repository on a read-only disk can still be looked at: without a stamp every file that
        // the cache does not know stays unknown to it.
        let stamp_ns = stat_cache::stamp(&repo.layout().tmp(), &session.nonces.next()).unwrap_or(0);
        let scan = scan(&root, &rules, &cache, &ScanOptions::default(), &session.progress)?;
        // The cache knows nothing of files that are not fetched.
        let cache_is_head = repo.partial().is_none()
            && cache.header().head.is_some()
            && cache.header().head == head.as_ref().map(|(id, _)| *id);
        let mut snapshot = Snapshot {
            root,
            scan,
            rules,
            rules_are_sound,
            head,
            stamp_ns,
            candidates: Vec::new(),
            listed: None,
            partial: repo.partial().cloned(),
        };
        if cache_is_head {
            snapshot.compare_with_cache()?;
        } else {
            snapshot.compare_with_trees(repo)?;
        }
        Ok(snapshot)
    }

    fn compare_with_cache(&mut self) -> Result<()> {
        let differences = self.scan.differences()?;
        self.candidates = differences
            .into_iter()
            .map(|d| {
                let base = d.before.map(|b| {
                    (b.component, FileEntry { mode: b.mode, id: base_id(&b), bytes: b.stat.size })
                });
                Candidate { path: d.path, base, now: d.now, content: None }
            })
            .collect();
        Ok(())
    }

    fn compare_with_trees(&mut self, repo: &Repo) -> Result<()> {
        let listed = match &self.head {
            Some((_, manifest)) => diff::list(repo.store(), manifest)?,
            None => Vec::new(),
        };
        let mut base = listed.iter().peekable();
        let mut candidates = Vec::new();
        for file in self.scan.files() {
            let path = file.path()?;
            while let Some(gone) = base.next_if(|b| b.path < path) {
                candidates.push(Candidate {
                    path: gone.path.clone(),
                    base: Some((gone.component, gone.entry)),
                    now: None,
                    content: None,
                });
            }
            let before = base.next_if(|b| b.path == path).map(|b| (b.component, b.entry));
            let same = before.is_some_and(|(component, entry)| {
                let found = &file.found;
                let content = entry.mode == Mode::Dir || found.known == Some(entry.id);
                component == found.component && entry.mode == found.mode && content
            });
            if !same {
                candidates.push(Candidate {
                    path,
                    base: before,
                    now: Some(file.found),
                    content: None,
                });
            }
        }
        candidates.extend(base.map(|gone| Candidate {
            path: gone.path.clone(),
            base: Some((gone.component, gone.entry)),
            now: None,
            content: None,
        }));
        candidates.retain(|c| !self.is_not_fetched(c));
        self.candidates = candidates;
        self.listed = Some(listed);
        Ok(())
    }

    /// A file that is not in the working tree and was never meant to be here: no deletion.
    fn is_not_fetched(&self, candidate: &Candidate) -> bool {
        match (&self.partial, &candidate.base, &candidate.now) {
            (Some(partial), Some((component, _)), None) => {
                !partial.covers(*component, &candidate.path)
            }
            _ => false,
        }
    }

    /// Whether what HEAD or a target has at a path is left where it is, on the remote.
    pub(crate) fn leaves(&self, component: Component, path: &RepoPath) -> bool {
        self.partial.as_ref().is_some_and(|partial| !partial.covers(component, path))
            && self.scan.get(path).is_none()
    }

    /// Reads what must be read to tell whether the candidates differ.
    pub(crate) fn examine(&mut self, depth: Depth, session: &Session) -> Result<()> {
        self.examine_some(depth, &|_| true, session)
    }

    /// The same for some candidates only.
    pub(crate) fn examine_some(
        &mut self,
        depth: Depth,
        wanted: &dyn Fn(&Candidate) -> bool,
        session: &Session,
    ) -> Result<()> {
        let task = session.progress.task("hashing", Unit::Bytes);
        for candidate in &mut self.candidates {
            candidate.take_known();
        }
        let needed = |c: &Candidate| {
            let (Some(now), None) = (&c.now, &c.content) else { return false };
            if !wanted(c) {
                return false;
            }
            if now.mode == Mode::Dir || depth == Depth::Content {
                return true;
            }
            // Another size or kind of file is another content, whatever is in it.
            c.base.is_some_and(|(_, b)| b.mode.same_type(now.mode) && b.bytes == now.stat.size)
        };
        let root = &self.root;
        let chosen: Vec<(usize, &Candidate)> =
            self.candidates.iter().enumerate().filter(|(_, c)| needed(c)).collect();
        let read: Result<Vec<(usize, Content)>> =
            chosen.into_par_iter().map(|(at, c)| Ok((at, read_content(root, c, &task)?))).collect();
        for (at, content) in read? {
            self.candidates[at].content = Some(content);
        }
        Ok(())
    }

    /// The differences that are left, by path. Content that was not read has the id zero.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.candidates.iter().filter_map(Candidate::change).collect()
    }

    /// What is in the working tree, by path, with the content of every file: HEAD's where nothing
    /// differs, what was read elsewhere. All candidates must have been read.
    ///
    /// Files that are not fetched are as HEAD has them.
    pub(crate) fn files(&mut self, repo: &Repo) -> Result<Vec<ListedFile>> {
        let mut files = self.working_files()?;
        if self.partial.is_none() {
            return Ok(files);
        }
        let head = self.head_files(repo)?;
        let here: HashSet<&RepoPath> = files.iter().map(|file| &file.path).collect();
        let below_a_file = |path: &RepoPath| path.ancestors().any(|dir| here.contains(&dir));
        let absent: Vec<ListedFile> = head
            .into_iter()
            .filter(|file| self.leaves(file.component, &file.path) && !below_a_file(&file.path))
            .collect();
        let filled: HashSet<RepoPath> = absent.iter().flat_map(|f| f.path.ancestors()).collect();
        files.retain(|file| file.entry.mode != Mode::Dir || !filled.contains(&file.path));
        files.extend(absent);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn working_files(&self) -> Result<Vec<ListedFile>> {
        let read: HashMap<&RepoPath, &Candidate> =
            self.candidates.iter().map(|c| (&c.path, c)).collect();
        let mut files = Vec::new();
        for file in self.scan.files() {
            let path = file.path()?;
            let found = file.found;
            let entry = match read.get(&path).and_then(|c| c.content) {
                Some(content) => content.entry,
                None if found.mode == Mode::Dir => empty_dir(),
                None => FileEntry {
                    mode: found.mode,
                    id: found.known.unwrap_or(Hash::ZERO),
                    bytes: found.stat.size,
                },
            };
            files.push(ListedFile { path, component: found.component, entry });
        }
        Ok(files)
    }

    /// HEAD's files, by path.
    pub(crate) fn head_files(&mut self, repo: &Repo) -> Result<Vec<ListedFile>> {
        match (self.listed.take(), &self.head) {
            (Some(listed), _) => Ok(listed),
            (None, Some((_, manifest))) => Ok(diff::list(repo.store(), manifest)?),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// The header of a cache in which all entries together equal `head`.
    pub(crate) fn header(&self, head: Option<Hash>, session: &Session) -> CacheHeader {
        CacheHeader {
            boot_id: session.boot_id.clone(),
            head,
            rules: if self.rules_are_sound { self.rules.fingerprint() } else { Hash::ZERO },
            stamp_ns: self.stamp_ns,
        }
    }

    /// Remembers the files that were read and found to be HEAD's, so that they need no reading
    /// again. Best effort: without a cache everything still works.
    pub(crate) fn remember(&self, repo: &Repo, session: &Session) {
        let Some((head, _)) = &self.head else { return };
        let updates: Vec<_> =
            self.candidates.iter().map(|c| c.head_update(self.stamp_ns)).collect();
        let learned = self.candidates.iter().any(|c| c.kind().is_none());
        let stale =
            self.listed.is_some() || (self.candidates.is_empty() && !self.scan.is_current());
        if self.stamp_ns == 0 || !(learned || stale) {
            return;
        }
        let header = self.header(Some(*head), session);
        let layout = repo.layout();
        drop(self.scan.save(
            &header,
            &updates,
            &layout.stat_cache(),
            &layout.tmp(),
            &session.nonces.next(),
        ));
    }
}

fn base_id(entry: &CacheEntry) -> Hash {
    if entry.mode == Mode::Dir { empty_dir().id } else { entry.id }
}

/// The entry of a directory with nothing in it.
pub(crate) fn empty_dir() -> FileEntry {
    FileEntry {
        mode: Mode::Dir,
        id: mv_graph::Tree::default().id().unwrap_or(Hash::ZERO),
        bytes: 0,
    }
}

impl Candidate {
    /// Takes the content from the stat cache, where that vouches for it.
    fn take_known(&mut self) {
        if let (Some(found), None) = (&self.now, &self.content)
            && let Some(id) = found.known
        {
            let entry = FileEntry { mode: found.mode, id, bytes: found.stat.size };
            self.content = Some(content_of(found, entry));
        }
    }

    fn kind(&self) -> Option<ChangeKind> {
        match (&self.base, &self.now) {
            (None, None) => None,
            (None, Some(_)) => Some(ChangeKind::Added),
            (Some(_), None) => Some(ChangeKind::Deleted),
            (Some((_, base)), Some(now)) if !base.mode.same_type(now.mode) => {
                Some(ChangeKind::TypeChange)
            }
            (Some((component, base)), Some(now)) => {
                let known = self.content.map(|c| c.entry);
                let same = known.is_some_and(|e| e == *base) && *component == now.component;
                if same { None } else { Some(ChangeKind::Modified) }
            }
        }
    }

    pub(crate) fn change(&self) -> Option<Change> {
        let kind = self.kind()?;
        let to = self.now.map(|now| {
            let unread = FileEntry { mode: now.mode, id: Hash::ZERO, bytes: now.stat.size };
            self.content.map_or(unread, |c| c.entry)
        });
        let component = self.now.map(|n| n.component).or(self.base.map(|(c, _)| c))?;
        Some(Change {
            path: self.path.clone(),
            component,
            kind,
            from: self.base.map(|(_, e)| e),
            to,
        })
    }

    /// For the cache, which holds what HEAD has: this file's stat if it was read and is HEAD's;
    /// else HEAD's content with a stat that no file has, so that the path stays a candidate.
    fn head_update(&self, stamp_ns: i64) -> CacheUpdate {
        let path = self.path.clone();
        if let Some(content) = self.content.filter(|_| self.kind().is_none()) {
            return CacheUpdate { path, entry: Some(content.cache), verified_ns: stamp_ns };
        }
        let entry = self.base.map(|(component, entry)| {
            let id = if entry.mode == Mode::Dir { Hash::ZERO } else { entry.id };
            CacheEntry {
                component,
                mode: entry.mode,
                stat: Stat { size: entry.bytes, ..Stat::default() },
                id,
            }
        });
        CacheUpdate { path, entry, verified_ns: i64::MIN }
    }

    /// For the cache: this is what was stored.
    pub(crate) fn stored_update(&self, stamp_ns: i64) -> CacheUpdate {
        let entry = self.now.and(self.content).map(|c| c.cache);
        CacheUpdate { path: self.path.clone(), entry, verified_ns: stamp_ns }
    }
}

/// Hashes a working file.
fn read_content(root: &Root, candidate: &Candidate, task: &mv_store::Task) -> Result<Content> {
    let path = &candidate.path;
    let Some(found) = candidate.now else { return Ok(content_of(&missing(), empty_dir())) };
    match found.mode {
        Mode::Dir => Ok(content_of(&found, empty_dir())),
        Mode::Symlink => {
            let (target, stat) = read_link(root, path)?;
            let entry = FileEntry {
                mode: Mode::Symlink,
                id: id_of(Kind::Blob, &target),
                bytes: target.len() as u64,
            };
            Ok(content_of(&Found { stat, ..found }, entry))
        }
        Mode::File | Mode::Exec => {
            let absolute = root.path().join(path.to_path());
            let (id_and_len, mode, stat) = read_stable(root, path, &mut |file, size| {
                let mut hasher = BlobHasher::new();
                let mut buffer =
                    vec![0; usize::try_from(size).unwrap_or(usize::MAX).clamp(1, 1 << 20)];
                let mut total = 0;
                loop {
                    task.check()?;
                    let n = file.read(&mut buffer).at("read", &absolute)?;
                    if n == 0 {
                        return Ok((hasher.finish(), total));
                    }
                    hasher.update(&buffer[..n]);
                    total += n as u64;
                    task.add(n as u64);
                }
            })?;
            let entry = FileEntry { mode, id: id_and_len.0, bytes: id_and_len.1 };
            Ok(content_of(&Found { mode, stat, ..found }, entry))
        }
    }
}

fn missing() -> Found {
    Found { component: Component::Code, mode: Mode::Dir, stat: Default::default(), known: None }
}

/// What is known of a working file once its content is.
pub(crate) fn content_of(found: &Found, entry: FileEntry) -> Content {
    let id = if entry.mode == Mode::Dir { Hash::ZERO } else { entry.id };
    let cache = CacheEntry { component: found.component, mode: entry.mode, stat: found.stat, id };
    Content { entry, cache }
}
