//! Checking a repository, damaged or not: every problem is listed, none ends the check.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use mv_graph::reach::{self, Ledgers, Place, Visitor};
use mv_graph::{State, chain};
use mv_store::{DirTransport, Hash, Kind, PackId, Store, Unit, verify_pack};

use crate::config::LocalConfig;
use crate::error::{Error, IoContext, Result};
use crate::layout::{Format, Layout};
use crate::session::Session;
use crate::worktree::StatCache;

/// How thorough to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct FsckOptions {
    /// Read and hash every object. Otherwise records, indexes, trees and the presence of every
    /// object that a version needs are checked.
    pub full: bool,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// `format`, `state`, `pack`, `object`, `ledger`, `cache` or `mark`.
    pub kind: String,
    /// The object's id, the file's name, or for a ledger the stage's name.
    pub object: String,
    /// The versions' paths that it damages, as `version:path`.
    pub paths: Vec<String>,
    /// What is wrong.
    pub detail: String,
}

/// What was checked and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// Objects looked at.
    pub checked_objects: u64,
    /// Bytes hashed.
    pub checked_bytes: u64,
    /// What is wrong, sorted.
    pub problems: Vec<Problem>,
}

impl FsckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, kind: &str, object: impl ToString, detail: impl ToString) {
        let problem = Problem {
            kind: kind.into(),
            object: object.to_string(),
            paths: Vec::new(),
            detail: detail.to_string(),
        };
        self.problems.push(problem);
    }
}

/// Checks the repository whose project root is `root`.
///
/// # Errors
/// `NotARepository`, `Cancelled`. Damage is in the report.
pub fn fsck(root: &Path, options: &FsckOptions, session: &Session) -> Result<FsckReport> {
    let layout = Layout::of(root);
    if !layout.dot.is_dir() {
        return Err(Error::NotARepository { path: root.to_path_buf() });
    }
    let transport = DirTransport::open(&layout.dot);
    let mut report = FsckReport::default();
    if let Err(e) = Format::read(&transport) {
        report.add("format", "format", e);
    }
    for problem in chain::verify(&transport) {
        report.add("state", problem.name, problem.detail);
    }
    check_caches(&layout, &mut report)?;
    check_names(&layout, &mut report)?;
    if let Some(state) = newest_readable(&transport) {
        check_packs(&layout, &state, options, session, &mut report)?;
        check_reachable(&layout, &transport, &state, options, session, &mut report)?;
    }
    report.problems.sort();
    report.problems.dedup();
    Ok(report)
}

/// The newest state that can be read, so that a damaged last record does not hide the rest.
fn newest_readable(transport: &DirTransport) -> Option<State> {
    if let Ok(record) = chain::newest(transport, None) {
        return Some(record.state);
    }
    let generations = chain::generations(transport).ok()?;
    generations
        .into_iter()
        .rev()
        .find_map(|generation| Some(chain::read(transport, generation).ok()?.state))
}

fn check_caches(layout: &Layout, report: &mut FsckReport) -> Result<()> {
    if layout.stat_cache().exists()
        && let Err(detail) = StatCache::check(&layout.stat_cache())
    {
        report.add("cache", "worktree/stat", format!("{detail}; the next status builds it anew"));
    }
    if let Err(e) = crate::mark::Mark::check(layout) {
        report.add("mark", "worktree/checkout", e);
    }
    if let Err(e) = crate::unfinished::Unfinished::check(layout) {
        report.add("mark", "worktree/merge", e);
    }
    Ok(())
}

/// Files in the repository folder that have no business there.
fn check_names(layout: &Layout, report: &mut FsckReport) -> Result<()> {
    // The last is a remote's, of which a repository may be a copy.
    let known =
        ["format", "packs", "state", "tmp", "worktree", "config.toml", "remotes", mv_store::NEWEST];
    for entry in fs::read_dir(&layout.dot).at("list", &layout.dot)? {
        let name = entry.at("list", &layout.dot)?.file_name();
        if !known.iter().any(|k| name == *k) {
            report.add("format", name.to_string_lossy(), "it is no part of a repository");
        }
    }
    Ok(())
}

fn check_packs(
    layout: &Layout,
    state: &State,
    options: &FsckOptions,
    session: &Session,
    report: &mut FsckReport,
) -> Result<()> {
    let task = session.progress.task("checking packs", Unit::Bytes);
    let condemned = state.condemned.iter().map(|retired| retired.pack);
    let there = |id: &PackId| layout.dot.join(id.file_name()).exists();
    for id in state.packs.iter().copied().chain(condemned.filter(there)) {
        session.progress.check()?;
        if !options.full {
            if let Err(e) = Store::open(&layout.dot, &[id]).packs() {
                report.add("pack", id, e);
            }
            continue;
        }
        let check = verify_pack(&layout.dot, id, &task)?;
        report.checked_objects += check.objects;
        report.checked_bytes += check.bytes;
        for problem in check.problems {
            if problem.objects.is_empty() {
                report.add("pack", id, problem.error);
            } else {
                problem
                    .objects
                    .iter()
                    .for_each(|object| report.add("object", object, &problem.error));
            }
        }
    }
    Ok(())
}

/// Walks everything that any kept record names, and notes what is missing or damaged and which
/// paths suffer from it.
fn check_reachable(
    layout: &Layout,
    transport: &DirTransport,
    state: &State,
    options: &FsckOptions,
    session: &Session,
    report: &mut FsckReport,
) -> Result<()> {
    let packs: Vec<PackId> = state.packs.clone();
    let store = Store::open(&layout.dot, &packs);
    // What is current comes first, so that damage is told of the paths that matter most.
    let mut order: Vec<Hash> = state.targets();
    let mut seen: HashSet<Hash> = order.iter().copied().collect();
    let mut ledgers = Ledgers::default();
    check_ledgers(&store, state, &mut ledgers, report);
    for record in chain::history(transport, state).flatten() {
        order.extend(record.state.targets().into_iter().filter(|id| seen.insert(*id)));
        check_ledgers(&store, &record.state, &mut ledgers, report);
    }
    order.extend(ledgers.versions.into_iter().filter(|id| seen.insert(*id)));
    let damaged: BTreeSet<String> =
        report.problems.iter().filter(|p| p.kind == "object").map(|p| p.object.clone()).collect();
    let task = session.progress.task("checking versions", Unit::Items);
    let mut walk = Walk {
        store: &store,
        task: &task,
        full: options.full,
        partial: LocalConfig::read(&layout.dot).is_ok_and(|config| config.partial.is_some()),
        damaged,
        found: BTreeMap::new(),
        objects: 0,
        bytes: 0,
    };
    reach::visit(&store, &order, &mut walk)?;
    if !options.full {
        report.checked_objects += walk.objects + ledgers.entries.len() as u64;
    }
    report.checked_bytes += walk.bytes;
    for (object, (detail, paths)) in walk.found {
        match report.problems.iter_mut().find(|p| p.kind == "object" && p.object == object) {
            Some(problem) => problem.paths = paths,
            None => report.problems.push(Problem { kind: "object".into(), object, paths, detail }),
        }
    }
    Ok(())
}

/// Follows the ledger of each stage to its first entry. What a broken one still names is gathered.
fn check_ledgers(store: &Store, state: &State, ledgers: &mut Ledgers, report: &mut FsckReport) {
    for stage in &state.stages {
        if let Err(e) = ledgers.add(store, stage) {
            report.add("ledger", &stage.name, e);
        }
    }
}

struct Walk<'a> {
    store: &'a Store,
    task: &'a mv_store::Task,
    full: bool,
    /// Whether not everything is meant to be here: then what is missing can be fetched.
    partial: bool,
    /// Objects that the check of the packs found bad.
    damaged: BTreeSet<String>,
    /// By object: what is wrong, and the paths.
    found: BTreeMap<String, (String, Vec<String>)>,
    objects: u64,
    bytes: u64,
}

impl Walk<'_> {
    fn note(&mut self, id: &Hash, place: &Place<'_>, detail: String) {
        let path = place.path.map(|path| format!("{}:{path}", place.manifest.short()));
        let entry = self.found.entry(id.to_hex()).or_insert((detail, Vec::new()));
        entry.1.extend(path);
    }
}

impl Visitor for Walk<'_> {
    fn enter(
        &mut self,
        kind: Kind,
        id: &Hash,
        bytes: Option<u64>,
        place: &Place<'_>,
    ) -> mv_graph::Result<bool> {
        self.task.add(1);
        self.task.check()?;
        self.objects += 1;
        if self.damaged.contains(&id.to_hex()) {
            self.note(id, place, "its bytes do not match its id".into());
        }
        if kind == Kind::Blob {
            self.blob(id, bytes, place)?;
        }
        Ok(true)
    }

    fn problem(
        &mut self,
        _: Kind,
        id: &Hash,
        place: &Place<'_>,
        error: mv_graph::Error,
    ) -> mv_graph::Result<()> {
        if matches!(error, mv_graph::Error::Store(mv_store::Error::Cancelled)) {
            return Err(error);
        }
        if self.partial && matches!(error, mv_graph::Error::Store(mv_store::Error::Missing { .. }))
        {
            return Ok(());
        }
        self.note(id, place, error.to_string());
        Ok(())
    }
}

impl Walk<'_> {
    /// Checks a file's length, and in a full check that a list of chunks adds up to the file.
    fn blob(&mut self, id: &Hash, bytes: Option<u64>, place: &Place<'_>) -> mv_graph::Result<()> {
        let Ok(len) = self.store.len_of(id) else { return Ok(()) };
        if bytes.is_some_and(|claimed| claimed != len) {
            self.note(
                id,
                place,
                format!("it has {len} bytes, the tree says {}", bytes.unwrap_or(0)),
            );
        }
        let listed = self.store.children(id).is_ok_and(|children| children.is_some());
        if self.full && listed {
            match self.store.copy_to(id, None, &mut |_| self.task.check()) {
                Ok(read) => self.bytes += read,
                Err(mv_store::Error::Cancelled) => return Err(mv_store::Error::Cancelled.into()),
                Err(e) => self.note(id, place, e.to_string()),
            }
        }
        Ok(())
    }
}
