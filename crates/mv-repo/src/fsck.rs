//! Checking a repository, damaged or not, here or on a remote: every problem is listed, none ends the
//! check. What can be brought back is in `fsck/repair.rs`.

mod remote;
mod repair;
mod walk;
mod working;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use mv_graph::{State, chain};
use mv_store::{
    DirTransport, Hash, PackCheck, PackId, Share, Store, Transport, Unit, sample_pack,
    verify_indexes, verify_pack,
};

pub use remote::fsck_remote;
pub use repair::{RepairOutcome, Repaired, repair, repair_remote};

use crate::config::LocalConfig;
use crate::error::{Error, IoContext, Result};
use crate::layout::{Format, Layout};
use crate::session::Session;
use crate::worktree::StatCache;

/// What a record is called that retires damaged packs.
const OPERATION: &str = "fsck --repair";

/// How thorough to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct FsckOptions {
    /// Read and hash every object. Otherwise records, indexes, trees and the presence of every
    /// object that a version needs are checked.
    pub full: bool,
    /// Read and hash the objects of so many blocks, drawn by chance.
    pub sample: Option<Share>,
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
    /// Of a sample: the blocks that were read, and all.
    pub sampled_blocks: Option<(u64, u64)>,
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

    /// Counts what was checked before a repair, and not again after it.
    fn count_too(&mut self, before: &FsckReport) {
        self.checked_objects += before.checked_objects;
        self.checked_bytes += before.checked_bytes;
    }

    fn finish(mut self) -> FsckReport {
        self.problems.sort();
        self.problems.dedup();
        self
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
    Ok(examine_here(&layout, options, session)?.report)
}

/// What a check is about: a chain of records and the packs that it names.
struct Subject<'a> {
    transport: &'a dyn Transport,
    /// Opens some packs.
    open: &'a dyn Fn(&[PackId]) -> Store,
    /// Where chunks are that need not be read from these packs.
    nearer: Option<Store>,
    /// Whether older records count for what must be there. Those of a remote do not: its gc drops
    /// what only they name.
    past: bool,
    /// Whether not everything is meant to be there: then what is missing can be fetched.
    partial: bool,
    /// Packs that were checked before and are sound.
    sound: &'a HashSet<PackId>,
}

/// What a check found, for whoever repairs.
#[derive(Default)]
struct Findings {
    report: FsckReport,
    /// The newest state that can be read.
    state: Option<State>,
    /// Live packs of which something is damaged.
    damaged: Vec<PackId>,
    /// Live packs of which something cannot be read now, which is no damage.
    unreadable: Vec<PackId>,
    /// Live packs that seem to be a newer writer's.
    unknown: Vec<PackId>,
    /// Live packs that are sound.
    sound: HashSet<PackId>,
    /// Objects that are not whole: those whose bytes in some pack are not what their ids say, and
    /// those of which a version lacks something.
    bad: HashSet<Hash>,
}

impl Findings {
    fn take(&mut self, id: PackId, check: PackCheck) {
        self.report.checked_objects += check.objects;
        self.report.checked_bytes += check.bytes;
        for problem in check.problems {
            self.blame(id, &problem.error);
            if problem.objects.is_empty() {
                self.report.add("pack", id, problem.error);
                continue;
            }
            for object in problem.objects {
                self.report.add("object", object, &problem.error);
                self.bad.insert(object);
            }
        }
    }

    fn blame(&mut self, id: PackId, error: &mv_store::Error) {
        let packs = match error {
            mv_store::Error::Unsupported { .. } => &mut self.unknown,
            error if error.is_corruption() => &mut self.damaged,
            _ => &mut self.unreadable,
        };
        if !packs.contains(&id) {
            packs.push(id);
        }
    }
}

fn examine_here(layout: &Layout, options: &FsckOptions, session: &Session) -> Result<Findings> {
    examine_again(layout, options, &HashSet::new(), session)
}

/// Checks this repository, but for packs that were found sound before.
fn examine_again(
    layout: &Layout,
    options: &FsckOptions,
    sound: &HashSet<PackId>,
    session: &Session,
) -> Result<Findings> {
    let mut findings = Findings::default();
    check_caches(layout, &mut findings.report);
    check_names(layout, &mut findings.report)?;
    let subject = Subject {
        transport: &DirTransport::open(&layout.dot),
        open: &|packs| Store::open(&layout.dot, packs),
        nearer: None,
        past: true,
        partial: LocalConfig::read(&layout.dot).is_ok_and(|config| config.partial.is_some()),
        sound,
    };
    subject.examine(options, &mut findings, session)?;
    findings.report = findings.report.finish();
    Ok(findings)
}

impl Subject<'_> {
    fn examine(
        &self,
        options: &FsckOptions,
        findings: &mut Findings,
        session: &Session,
    ) -> Result<()> {
        if let Err(e) = Format::read(self.transport) {
            findings.report.add("format", "format", answered(e)?);
        }
        for problem in chain::verify(self.transport)? {
            findings.report.add("state", problem.name, problem.detail);
        }
        findings.state = newest_readable(self.transport);
        if let Some(state) = findings.state.clone() {
            let store = (self.open)(&state.packs);
            let unopened = self.check_packs(&state, &store, options, findings, session)?;
            // Far away, each look for an object would be another try to open them.
            let store = if self.nearer.is_some() { store.without(&unopened) } else { store };
            self.check_reachable(&state, &store, options, &mut findings.report, session)?;
            let objects = findings.report.problems.iter().filter(|p| p.kind == "object");
            findings.bad.extend(objects.filter_map(|p| Hash::from_hex(&p.object)));
        }
        Ok(())
    }

    /// Checks the packs, and gives those that do not open.
    fn check_packs(
        &self,
        state: &State,
        store: &Store,
        options: &FsckOptions,
        findings: &mut Findings,
        session: &Session,
    ) -> Result<Vec<PackId>> {
        let task = session.progress.task("checking packs", Unit::Bytes);
        let mut unopened = Vec::new();
        for (id, error) in verify_indexes(store, &state.packs, &task)? {
            findings.blame(id, &error);
            findings.report.add("pack", id, error);
            unopened.push(id);
        }
        let mut sampled = (0, 0);
        for id in state.packs.iter().copied() {
            session.progress.check()?;
            if unopened.contains(&id) || self.sound.contains(&id) {
                continue;
            }
            if options.full {
                findings.take(id, verify_pack(store, id, &task)?);
            } else if let Some(share) = options.sample {
                let [a, b, c, d, e, f, g, h, ..] = session.nonces.next();
                let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                let sample = sample_pack(store, id, share, seed, &task)?;
                sampled = (sampled.0 + sample.blocks, sampled.1 + sample.of);
                findings.take(id, sample.check);
            }
        }
        findings.report.sampled_blocks = options.sample.map(|_| sampled);
        // What is damaged as well only seems to be.
        let damaged = &findings.damaged;
        let unknown = findings.unknown.iter().filter(|id| !damaged.contains(id));
        findings.unreadable.extend(unknown);
        let fine =
            |id: &&PackId| !findings.damaged.contains(id) && !findings.unreadable.contains(id);
        findings.sound = state.packs.iter().filter(fine).copied().collect();
        self.check_condemned(state, options, findings, &task)?;
        Ok(unopened)
    }

    /// Checks the packs that readers who began earlier may still want; but not those that a repair
    /// has taken out of use.
    fn check_condemned(
        &self,
        state: &State,
        options: &FsckOptions,
        findings: &mut Findings,
        task: &mv_store::Task,
    ) -> Result<()> {
        if !self.past {
            return Ok(());
        }
        // What a pack is coded against is in other packs, on their way out as well or not.
        let mut present = Vec::new();
        for pack in state.condemned.iter().map(|r| r.pack).chain(state.packs.iter().copied()) {
            if self.transport.size(&pack.file_name())?.is_some() {
                present.push(pack);
            }
        }
        for retired in &state.condemned {
            let there = self.transport.size(&retired.pack.file_name());
            let record = chain::read(self.transport, retired.generation);
            if matches!(there, Ok(None)) || record.is_ok_and(|r| r.state.operation == OPERATION) {
                continue;
            }
            let store = (self.open)(&present);
            if options.full {
                let mut check = verify_pack(&store, retired.pack, task)?;
                // Whoever reads it still has what it is coded against, or needs it no more.
                check
                    .problems
                    .retain(|problem| !matches!(problem.error, mv_store::Error::Missing { .. }));
                let mut apart = Findings {
                    report: std::mem::take(&mut findings.report),
                    ..Findings::default()
                };
                apart.take(retired.pack, check);
                findings.report = apart.report;
            } else if let Err(e) = store.only(&[retired.pack]).packs() {
                findings.report.add("pack", retired.pack, e);
            }
        }
        Ok(())
    }
}

/// The newest state that can be read, so that a damaged last record does not hide the rest.
fn newest_readable(transport: &dyn Transport) -> Option<State> {
    if let Ok(record) = chain::newest(transport, None) {
        return Some(record.state);
    }
    let generations = chain::generations(transport).ok()?;
    generations
        .into_iter()
        .rev()
        .find_map(|generation| Some(chain::read(transport, generation).ok()?.state))
}

/// An error that tells of what is there, not that nobody could tell.
fn answered(error: Error) -> Result<Error> {
    match error {
        Error::Store(mv_store::Error::Remote { .. } | mv_store::Error::Cancelled) => Err(error),
        other => Ok(other),
    }
}

fn check_caches(layout: &Layout, report: &mut FsckReport) {
    if layout.stat_cache().exists()
        && let Err(detail) = StatCache::check(&layout.stat_cache())
    {
        report.add("cache", "worktree/stat", format!("{detail}; the next status builds it anew"));
    }
    if let Err(detail) = crate::outline::Seen::check(&layout.seen()) {
        report.add("cache", "worktree/seen", format!("{detail}; the next commit begins it anew"));
    }
    if let Err(e) = crate::mark::Mark::check(layout) {
        report.add("mark", "worktree/checkout", e);
    }
    if let Err(e) = crate::unfinished::Unfinished::check(layout) {
        report.add("mark", "worktree/merge", e);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use mv_store::PackProblem;

    #[test]
    fn an_error_of_the_system_is_told_and_is_no_damage() {
        let io = || mv_store::Error::Io {
            action: "read",
            path: "/x".into(),
            source: std::io::Error::other("the disk does not answer"),
        };
        let (first, second) = (PackId(Hash([1; 32])), PackId(Hash([2; 32])));
        let object = Hash([3; 32]);
        let mut findings = Findings::default();
        let check = |error, objects| PackCheck {
            problems: vec![PackProblem { objects, error }],
            ..PackCheck::default()
        };
        findings.take(first, check(io(), vec![object]));
        assert!(findings.damaged.is_empty());
        assert_eq!(findings.unreadable, [first]);
        assert_eq!(findings.report.problems.len(), 1);
        findings.take(second, check(mv_store::Error::corrupt("pack", "x", "y"), Vec::new()));
        findings.take(second, check(mv_store::Error::corrupt("pack", "x", "z"), Vec::new()));
        assert_eq!(findings.damaged, [second]);
        assert_eq!(findings.unreadable, [first]);
    }
}
