//! Freeing what nothing refers to any more: a plan that can be printed, and its apply.
//!
//! Kept is everything below branches, tags, tracked remotes and HEAD, below all that ever played the
//! role of a stage, below the refs of the kept operations of the reflog, and every pack younger than
//! the grace period. The ledgers of stages are kept themselves. Packs of which
//! little is kept are rewritten. Replaced packs are first condemned, and deleted by a later gc when
//! readers have had time to finish.

mod records;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use mv_graph::reach::{self, Visitor};
use mv_graph::{Manifest, RepoPath, Retired, State};
use mv_store::{Hash, Kind, PackId, Store, Unit, Written};

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::maintain::{self, KEEP_RECORDS, READERS_GRACE, expired};
use crate::remote::Remote;
use crate::remotes;
use crate::repo::Repo;
use crate::session::Session;

/// A pack is rewritten when less than this share of it is kept, in percent.
const REWRITE_BELOW: u64 = 80;
/// How often a lost race on a remote is tried again.
const TURNS: u32 = 32;
/// Paths listed in a plan, at most.
const MAX_PATHS: usize = 10_000;

/// What to keep beyond what refs name.
#[derive(Clone, Copy, Debug)]
pub struct GcOptions {
    /// Versions that one of the last so many operations could reach; 64 when not given.
    pub keep_last: Option<usize>,
    /// Versions that an operation of this age could reach; 30 days when not given.
    pub keep_within: Option<Duration>,
    /// Packs younger than this are kept whatever they hold.
    pub grace: Duration,
}

impl Default for GcOptions {
    fn default() -> GcOptions {
        GcOptions { keep_last: None, keep_within: None, grace: Duration::from_secs(24 * 60 * 60) }
    }
}

/// What a gc would do.
#[derive(Clone, Debug, Default)]
pub struct GcPlan {
    /// Versions that go, with their first line.
    pub drop_versions: Vec<(Hash, String)>,
    /// Packs that go, with their bytes.
    pub drop_packs: Vec<(PackId, u64)>,
    /// Packs that are rewritten without what goes, with their bytes.
    pub rewrite_packs: Vec<(PackId, u64)>,
    /// Packs that were retired earlier and can be deleted now, with their bytes.
    pub expired_packs: Vec<(PackId, u64)>,
    /// Bytes that become free, about.
    pub free_bytes: u64,
    /// Bytes of packs that stay.
    pub kept_bytes: u64,
    /// Files of the dropped versions that are in no kept one, with their bytes.
    pub paths: Vec<(String, u64)>,
    /// State records that are deleted, by their generation.
    pub drop_records: Vec<u64>,
    /// The operation that undo goes no further back than, when records of this repository are deleted.
    pub undo_ends: Option<String>,
    /// Packs that were retired lately and wait for their readers.
    pub retired_packs: u64,
    /// Their bytes.
    pub retired_bytes: u64,
    /// Objects that must survive.
    live: HashSet<Hash>,
    /// Pack files that no record names, left by operations that were cut off.
    orphans: Vec<PackId>,
    generation: u64,
    grace: Duration,
}

impl GcPlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.drop_records.is_empty() && !self.changes_packs()
    }

    fn changes_packs(&self) -> bool {
        let lists = [&self.drop_packs, &self.rewrite_packs, &self.expired_packs];
        lists.iter().any(|packs| !packs.is_empty())
    }
}

/// What a gc did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcOutcome {
    /// Bytes of the packs that were deleted, less those written anew.
    pub freed_bytes: u64,
    /// Packs that were deleted.
    pub packs_removed: u64,
    /// Packs that are condemned and go with a later gc.
    pub packs_condemned: u64,
    /// Old state records that were deleted.
    pub records_pruned: u64,
}

/// Makes the plan for this repository. Touches nothing.
///
/// # Errors
/// `Missing` or `Corrupt` when something reachable cannot be read: gc then does nothing at all.
pub fn plan(repo: &Repo, options: &GcOptions, session: &Session) -> Result<GcPlan> {
    plan_for(&Depot::Here(repo), options, session)
}

/// A remote that is to be cleaned up, as it was when it was asked.
#[derive(Debug)]
pub struct RemoteGc {
    remote: Remote,
    options: GcOptions,
    /// What would be done.
    pub plan: GcPlan,
}

/// Makes the plan for a remote. Touches nothing. Anybody may do this, while others push and clone.
///
/// # Errors
/// As [`plan`]; `UnknownRemote`, `Remote`; `Policy` while there is nothing there.
pub fn plan_remote(
    repo: &Repo,
    name: Option<&str>,
    options: &GcOptions,
    session: &Session,
) -> Result<RemoteGc> {
    let remote = remotes::connect(repo, name, false, session)?;
    remote.state()?;
    remote.store.open_indexes()?;
    let mut plan = plan_for(&Depot::There(&remote, repo), options, session)?;
    plan.drop_records = records::expired_on(&remote, session)?;
    Ok(RemoteGc { remote, options: *options, plan })
}

fn plan_for(depot: &Depot<'_>, options: &GcOptions, session: &Session) -> Result<GcPlan> {
    let task = session.progress.task("finding what is in use", Unit::Items);
    let keep_last = options.keep_last.unwrap_or(64);
    let within = options.keep_within.unwrap_or(KEEP_RECORDS);
    let explicit = (options.keep_last.is_some(), options.keep_within.is_some());
    let objects = depot.nearest();
    let roots = maintain::roots(depot, &objects, &|turn, state| {
        let recent = turn < keep_last;
        let young = !expired(state.time, session.now, within);
        match explicit {
            (true, false) => recent,
            (false, true) => young,
            _ => recent || young,
        }
    })?;
    let partial = depot.is_partial();
    objects.read_ahead_lists()?;
    let mut marked = Mark { live: roots.ledger_entries, objects: &objects, task: &task, partial };
    reach::visit(&objects, &roots.versions, &mut marked)?;
    let mut plan = GcPlan {
        generation: depot.state().generation,
        grace: options.grace,
        live: marked.live,
        ..GcPlan::default()
    };
    packs(depot, &mut plan, session)?;
    dead_versions(depot, &objects, &mut plan, session)?;
    if let Depot::Here(repo) = depot {
        records::before(repo, roots.oldest, &mut plan)?;
    }
    Ok(plan)
}

/// Notes every object that is reached.
struct Mark<'a> {
    live: HashSet<Hash>,
    /// A blob may be cut otherwise there than where it is read.
    objects: &'a Store,
    task: &'a mv_store::Task,
    /// Whether not everything is meant to be here.
    partial: bool,
}

impl Visitor for Mark<'_> {
    fn enter(
        &mut self,
        kind: Kind,
        id: &Hash,
        bytes: Option<u64>,
        _: &reach::Place<'_>,
    ) -> mv_graph::Result<bool> {
        self.task.add(1);
        self.task.check()?;
        self.live.insert(*id);
        // A file, not one of its parts.
        if kind == Kind::Blob && bytes.is_some() {
            self.live.extend(self.objects.parts_in_use(id)?);
        }
        Ok(true)
    }

    fn problem(
        &mut self,
        _: Kind,
        _: &Hash,
        _: &reach::Place<'_>,
        error: mv_graph::Error,
    ) -> mv_graph::Result<()> {
        match error {
            mv_graph::Error::Store(mv_store::Error::Missing { .. }) if self.partial => Ok(()),
            other => Err(other),
        }
    }
}

/// Lists the versions that go with their packs, and the files that only they have. What lies in a pack
/// that stays, stays; and what an earlier gc freed is not there to go.
fn dead_versions(
    depot: &Depot<'_>,
    objects: &Store,
    plan: &mut GcPlan,
    session: &Session,
) -> Result<()> {
    let mut paths: HashMap<RepoPath, (Hash, u64)> = HashMap::new();
    let going = plan.drop_packs.iter().chain(&plan.rewrite_packs).map(|(id, _)| *id);
    let going: Vec<PackId> = going.collect();
    let (going, staying) = (depot.store().only(&going), depot.store().without(&going));
    let goes = |live: &HashSet<Hash>, id: &Hash| {
        !live.contains(id) && going.stored_as(id).is_ok() && staying.stored_as(id).is_err()
    };
    for id in going.ids_of(Kind::Manifest)? {
        session.progress.check()?;
        if !goes(&plan.live, &id) {
            continue;
        }
        // What cannot be read is of no use to anybody, and goes.
        let Ok(manifest) = Manifest::read(objects, &id) else { continue };
        plan.drop_versions.push((id, manifest.subject().to_owned()));
        if paths.len() >= MAX_PATHS {
            continue;
        }
        let files = mv_graph::diff::list(objects, &manifest).unwrap_or_default();
        let lost = files.into_iter().filter(|f| goes(&plan.live, &f.entry.id));
        for file in lost.take(MAX_PATHS.saturating_sub(paths.len())) {
            paths.insert(file.path, (file.entry.id, file.entry.bytes));
        }
    }
    plan.drop_versions.sort();
    plan.paths = paths.into_iter().map(|(path, (_, bytes))| (path.to_string(), bytes)).collect();
    plan.paths.sort();
    Ok(())
}

/// Decides for each pack whether it stays, goes, or is rewritten.
fn packs(depot: &Depot<'_>, plan: &mut GcPlan, session: &Session) -> Result<()> {
    let store = depot.store();
    let reached = plan.live.iter().copied().collect();
    store.add_with_bases(&mut plan.live, reached)?;
    let infos = store.packs()?;
    let mut young = HashSet::new();
    for pack in &infos {
        if is_young(depot, pack.id, plan.grace, session)? {
            young.insert(pack.id);
        }
    }
    // What a pack that stays is coded against has to stay, even for objects in it that nobody needs:
    // a pack in which something cannot be decoded could never be copied again.
    let mut staying = HashSet::new();
    loop {
        let before = staying.len();
        let mut needed = HashSet::new();
        for pack in &infos {
            if staying.contains(&pack.id) {
                continue;
            }
            let (live, all) = store.live_bytes(pack.id, &|id| plan.live.contains(id))?;
            let worth = live.saturating_mul(100) >= all.saturating_mul(REWRITE_BELOW);
            if young.contains(&pack.id) || (live > 0 && worth) || live == all {
                staying.insert(pack.id);
                needed.extend(store.bases_in(pack.id)?);
            }
        }
        if staying.len() == before {
            break;
        }
        let more = needed.difference(&plan.live).copied().collect();
        store.add_with_bases(&mut plan.live, more)?;
    }
    for pack in infos {
        let (live, _) = store.live_bytes(pack.id, &|id| plan.live.contains(id))?;
        if staying.contains(&pack.id) {
            plan.kept_bytes += pack.bytes;
        } else if live == 0 {
            plan.drop_packs.push((pack.id, pack.bytes));
            plan.free_bytes += pack.bytes;
        } else {
            plan.rewrite_packs.push((pack.id, pack.bytes));
            plan.free_bytes += pack.bytes - pack.bytes.min(live);
            plan.kept_bytes += live;
        }
    }
    let state = depot.state();
    let grace = plan.grace.min(READERS_GRACE);
    let waits = |r: &&Retired| !expired(r.since, session.now, grace);
    let ready = state.condemned.iter().filter(|r| !waits(r)).chain(&state.deleting);
    plan.retired_packs = state.condemned.iter().filter(waits).count() as u64;
    plan.retired_bytes =
        maintain::bytes_of(depot.transport(), state.condemned.iter().filter(waits))?;
    let named: HashSet<PackId> = state
        .packs
        .iter()
        .copied()
        .chain(state.condemned.iter().chain(&state.deleting).map(|r| r.pack))
        .collect();
    for retired in ready {
        if let Some(bytes) = depot.transport().size(&retired.pack.file_name())? {
            plan.expired_packs.push((retired.pack, bytes));
            plan.free_bytes += bytes;
        }
    }
    for id in files_in_packs(depot)? {
        if !named.contains(&id) && !is_young(depot, id, plan.grace, session)? {
            let bytes = depot.transport().size(&id.file_name())?.unwrap_or(0);
            plan.drop_packs.push((id, bytes));
            plan.free_bytes += bytes;
            plan.orphans.push(id);
        }
    }
    Ok(())
}

/// Whether a pack was written lately; one from the future (two clocks) was.
fn is_young(depot: &Depot<'_>, id: PackId, grace: Duration, session: &Session) -> Result<bool> {
    if grace.is_zero() {
        return Ok(false);
    }
    let Some(stat) = depot.transport().stat(&id.file_name())? else { return Ok(false) };
    let written = mv_graph::Time { ns: stat.modified_ns, offset_minutes: 0 };
    Ok(!expired(written, session.now, grace))
}

/// The packs that are there, named by a record or not.
fn files_in_packs(depot: &Depot<'_>) -> Result<Vec<PackId>> {
    let mut found = Vec::new();
    for folder in depot.transport().list("packs")? {
        for name in depot.transport().list(&folder)? {
            let id = name.rsplit('/').next().and_then(Hash::from_hex).map(PackId);
            found.extend(id.filter(|id| id.file_name() == name));
        }
    }
    Ok(found)
}

/// Carries out a plan, if the repository is still as it was when the plan was made.
///
/// # Errors
/// `LostRace` when it is not, `Corrupt` when what is to be kept cannot be read, `Io`.
pub fn apply(repo: &Repo, plan: &GcPlan, session: &Session) -> Result<GcOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    if repo.state().generation != plan.generation {
        return Err(Error::LostRace { generation: repo.state().generation });
    }
    // First what leads to the versions, then the versions: undo must not lead to what is gone.
    let records_pruned = records::prune(repo.transport(), plan)?;
    let mut outcome = GcOutcome { records_pruned, ..GcOutcome::default() };
    let rewrite: Vec<PackId> = plan.rewrite_packs.iter().map(|(id, _)| *id).collect();
    let written = rewritten(&Depot::Here(repo), plan, session)?;
    let live_packs: HashSet<_> = repo.state().packs.iter().copied().collect();
    let dropped = plan.drop_packs.iter().map(|(id, _)| *id).filter(|id| live_packs.contains(id));
    let old: Vec<PackId> = dropped.chain(rewrite).collect();
    let grace = plan.grace.min(READERS_GRACE);
    if plan.changes_packs() || !repo.state().deleting.is_empty() {
        let state =
            maintain::retire(repo, session, "gc", &old, &plan.orphans, &written.packs, grace)?;
        outcome.count(plan, &state, written.stored_bytes);
    }
    maintain::sweep(repo, session.now, plan.grace);
    Ok(outcome)
}

fn rewritten(depot: &Depot<'_>, plan: &GcPlan, session: &Session) -> Result<Written> {
    let rewrite: Vec<PackId> = plan.rewrite_packs.iter().map(|(id, _)| *id).collect();
    if rewrite.is_empty() {
        return Ok(Written::default());
    }
    let task = session.progress.task("rewriting packs", Unit::Bytes);
    task.set_total(plan.rewrite_packs.iter().map(|(_, bytes)| bytes).sum());
    let gone: Vec<PackId> = plan.drop_packs.iter().map(|(id, _)| *id).collect();
    depot.rewrite(&rewrite, &gone, &|id| plan.live.contains(id), session, &task)
}

impl GcOutcome {
    /// Counts what a published state says of the plan's packs.
    fn count(&mut self, plan: &GcPlan, state: &State, written: u64) {
        let sizes: HashMap<PackId, u64> = plan
            .drop_packs
            .iter()
            .chain(&plan.rewrite_packs)
            .chain(&plan.expired_packs)
            .copied()
            .collect();
        for retired in &state.deleting {
            if let Some(bytes) = sizes.get(&retired.pack) {
                self.freed_bytes += bytes;
                self.packs_removed += 1;
            }
        }
        self.packs_condemned = state.condemned.len() as u64;
        self.freed_bytes = self.freed_bytes.saturating_sub(written);
    }
}

impl RemoteGc {
    /// Carries out the plan. One record says what goes; only then is anything deleted. When somebody
    /// pushes meanwhile, what the new versions need of the packs that go is kept as well.
    ///
    /// # Errors
    /// `LostRace` when others keep coming first, `Corrupt` when what is to be kept cannot be read,
    /// `Remote`.
    pub fn apply(&mut self, repo: &Repo, session: &Session) -> Result<GcOutcome> {
        let written = rewritten(&Depot::There(&self.remote, repo), &self.plan, session)?;
        let mut outcome = GcOutcome::default();
        self.retire(written.packs, repo, session)?;
        outcome.count(&self.plan, self.remote.state()?, written.stored_bytes);
        outcome.records_pruned = records::prune(&*self.remote.transport, &self.plan)?;
        self.remote.forget_old_indexes();
        let now = session.now.ns;
        let grace = i64::try_from(self.plan.grace.as_nanos()).unwrap_or(i64::MAX);
        self.remote.transport.sweep(now.saturating_sub(grace));
        Ok(outcome)
    }

    /// Publishes the record that lets the plan's packs go, on top of whatever is the newest.
    ///
    /// Race: when this fails, the new packs stay where they are. An error of the publishing tells
    /// nothing, for the record may be there or still come; if it does not, they are orphans and go
    /// with a later gc.
    fn retire(&mut self, mut new: Vec<PackId>, repo: &Repo, session: &Session) -> Result<()> {
        let rewrite = self.plan.rewrite_packs.iter();
        // An orphan of the plan that a push has named by now is that push's own.
        let planned = self.plan.drop_packs.iter().chain(rewrite).map(|(id, _)| *id);
        let planned: Vec<PackId> =
            planned.filter(|pack| !self.plan.orphans.contains(pack)).collect();
        let grace = self.plan.grace.min(READERS_GRACE);
        for turn in 0..TURNS {
            let state = self.remote.state()?;
            let live = |pack: &PackId| state.packs.binary_search(pack).is_ok();
            let old: Vec<PackId> = planned.iter().copied().filter(live).collect();
            if !self.plan.changes_packs() && state.deleting.is_empty() {
                return Ok(());
            }
            let remote = &mut self.remote;
            let orphans = &self.plan.orphans;
            match maintain::retire_remote(remote, "gc", &old, orphans, &new, grace, session) {
                Err(Error::Graph(mv_graph::Error::LostRace { .. })) => {}
                other => return other,
            }
            let [high, low, ..] = session.nonces.next();
            let draw = u64::from(high) << 8 | u64::from(low);
            self.remote.transport.back_off(turn, draw);
            self.keep_up(&planned, &mut new, repo, session)?;
        }
        Err(Error::LostRace { generation: self.remote.state()?.generation })
    }

    /// After a lost race: what is in use now and lies only in packs that go is copied as well.
    fn keep_up(
        &mut self,
        planned: &[PackId],
        new: &mut Vec<PackId>,
        repo: &Repo,
        session: &Session,
    ) -> Result<()> {
        session.progress.check()?;
        self.remote.refresh(session)?;
        let remote = &self.remote;
        let state = remote.state()?;
        // Another gc may have taken our packs for abandoned.
        let mut kept = Vec::new();
        for pack in new.drain(..) {
            let retired = state.condemned.iter().chain(&state.deleting).any(|r| r.pack == pack);
            if !retired && remote.transport.size(&pack.file_name())?.is_some() {
                kept.push(pack);
            }
        }
        *new = kept;
        let depot = Depot::There(remote, repo);
        remote.store.open_indexes()?;
        let again = plan_for(&depot, &self.options, session)?;
        let old: Vec<PackId> =
            planned.iter().copied().filter(|p| state.packs.binary_search(p).is_ok()).collect();
        let ours = Store::open_remote(
            std::sync::Arc::clone(&remote.transport),
            &remote.folder,
            new,
            &session.nonces,
        );
        let stays = remote.store.without(&old).join(&ours);
        let mut needed = HashSet::new();
        let going = remote.store.only(&old);
        for kind in [Kind::Blob, Kind::Tree, Kind::Manifest, Kind::List] {
            let ids = going.ids_of(kind)?;
            // A list is no base, and one that lacks a chunk is no file.
            let stays_as_it_is = |id: &Hash| {
                stays.contains_whole(id) || (!going.contains_whole(id) && stays.holds(id))
            };
            let lost = |id: &Hash| again.live.contains(id) && !stays_as_it_is(id);
            needed.extend(ids.into_iter().filter(lost));
        }
        if !needed.is_empty() {
            let task = session.progress.task("rewriting packs", Unit::Bytes);
            let more = depot.rewrite(&old, &[], &|id| needed.contains(id), session, &task)?;
            new.extend(more.packs);
        }
        Ok(())
    }
}
