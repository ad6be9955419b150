//! Upkeep that operations do by themselves: merging small packs, dropping retired ones, pruning
//! old state records, sweeping abandoned temporary files.
//!
//! All of it is best effort. A failure leaves the repository as it was, and the operation that it
//! followed stands.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use mv_graph::chain::Record;
use mv_graph::reach::Ledgers;
use mv_graph::{Retired, State, Time, chain};
use mv_store::{
    Hash, PackId, Store, Transport, Unit, fs as store_fs, merge_packs, plan_merge, verify_pack,
};

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::remote::Remote;
use crate::repo::Repo;
use crate::session::Session;
use crate::unfinished::Unfinished;

/// How long a replaced pack stays for readers that began before.
pub(crate) const READERS_GRACE: Duration = Duration::from_secs(60 * 60);
/// Packs that wait for readers, at most; beyond that the oldest go at once.
const MAX_CONDEMNED: usize = 64;
/// Records that are always kept.
const MIN_RECORDS: usize = 64;
/// How long records are kept at least.
pub(crate) const KEEP_RECORDS: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// After this long a temporary file that nobody holds was left behind.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// What follows an operation that wrote a pack.
pub(crate) fn after(repo: &Repo, session: &Session) {
    let Ok(repo) = repo.fresh(session) else { return };
    drop(merge_small(&repo, session));
    if let Ok(repo) = repo.fresh(session) {
        drop(prune_records(&repo, session.now));
    }
    sweep(&repo, session.now, ABANDONED);
}

/// Merges small packs if enough have piled up, and moves on what was retired before. A damaged
/// pack is left to `fsck`; it must not end merging for the others.
fn merge_small(repo: &Repo, session: &Session) -> Result<()> {
    let Some(plan) = plan_merge(&repo.store().packs()?) else { return Ok(()) };
    let task = session.progress.task("merging packs", Unit::Bytes);
    task.set_total(plan.bytes);
    let store = repo.store();
    let merge = |packs: &[PackId]| {
        merge_packs(store.root(), store, packs, &[], &|_| true, &session.nonces, &task)
    };
    let mut packs = plan.packs;
    let written = match merge(&packs) {
        Err(e) if e.is_corruption() => {
            let mut sound = Vec::with_capacity(packs.len());
            for pack in packs {
                if verify_pack(&store.here(), pack, &task)?.problems.is_empty() {
                    sound.push(pack);
                }
            }
            packs = sound;
            merge(&packs)?
        }
        other => other?,
    };
    if packs.len() < 2 {
        return Ok(());
    }
    retire(repo, session, "merge packs", &packs, &[], &written.packs, READERS_GRACE).map(drop)
}

/// Publishes a state in which `new` packs stand for `old` ones: the old are condemned, those
/// condemned longer than `grace` are deleted, and those seen to be gone are forgotten. `orphans`,
/// which no record names, are marked as being deleted before they are: whoever is about to name
/// one loses the race and sees the mark. Refs, HEAD and what can be undone stay as they are.
pub(crate) fn retire(
    repo: &Repo,
    session: &Session,
    operation: &str,
    old: &[PackId],
    orphans: &[PackId],
    new: &[PackId],
    grace: Duration,
) -> Result<State> {
    let gone = gone(repo.state(), repo.transport())?;
    let base = repo.state().clone();
    let retirement = Retirement { old, orphans, gone: &gone, now: session.now, grace };
    let record = repo.advance(session, operation, new, &[], &mut |state| {
        // Whoever published meanwhile may rely on what this plan drops: it has to be made anew.
        let kept: HashSet<_> = state.packs.iter().copied().collect();
        if state.generation != base.generation + 1 || old.iter().any(|pack| !kept.contains(pack)) {
            return Err(Error::LostRace { generation: state.generation });
        }
        retirement.apply(state);
        keep_cursor(state, &base);
        Ok(())
    })?;
    for retired in &record.state.deleting {
        repo.transport().delete(&retired.pack.file_name())?;
    }
    Ok(record.state)
}

/// Publishes a record that changes neither HEAD nor a ref of the user's, over which undo passes.
pub(crate) fn quietly(
    repo: &Repo,
    session: &Session,
    operation: &str,
    packs: &[PackId],
    roots: &[Hash],
    edit: &mut dyn FnMut(&mut State) -> Result<()>,
) -> Result<Record> {
    repo.advance(session, operation, packs, roots, &mut |state| {
        let before = chain::read(repo.transport(), state.generation - 1)?;
        keep_cursor(state, &before.state);
        edit(state)
    })
}

/// Publishes a record on a remote in which `new` packs stand for `old` ones, then deletes what it
/// says is being deleted. The same steps as here, see [`retire`].
pub(crate) fn retire_remote(
    remote: &mut Remote,
    operation: &str,
    old: &[PackId],
    orphans: &[PackId],
    new: &[PackId],
    grace: Duration,
    session: &Session,
) -> Result<()> {
    let base = remote.state()?.clone();
    let gone = gone(&base, &*remote.transport)?;
    let actor = Some(session.author.clone());
    let mut next = base.next(operation, session.nonces.next(), session.now, actor);
    next.add_packs(new);
    Retirement { old, orphans, gone: &gone, now: session.now, grace }.apply(&mut next);
    remote.publish(next, session)?;
    for retired in &remote.state()?.deleting {
        remote.transport.delete(&retired.pack.file_name())?;
    }
    Ok(())
}

/// A record of upkeep is no operation of the user's: undo passes over it.
fn keep_cursor(state: &mut State, base: &State) {
    // `State::next` was made from the newest record; its cursor fields say "own generation".
    state.cursor = state.before;
    state.before = base.before;
    state.redo = base.redo.clone();
}

/// Packs on their way out, and those that are out.
pub(crate) struct Retirement<'a> {
    /// Packs that others stand for from now on.
    pub(crate) old: &'a [PackId],
    /// Packs that no record ever named.
    pub(crate) orphans: &'a [PackId],
    /// Packs that were being deleted and are seen to be gone.
    pub(crate) gone: &'a HashSet<PackId>,
    pub(crate) now: Time,
    /// How long a condemned pack stays for readers.
    pub(crate) grace: Duration,
}

impl Retirement<'_> {
    /// Moves the packs through the lists of a state that is about to be published.
    pub(crate) fn apply(&self, state: &mut State) {
        state.packs.retain(|pack| !self.old.contains(pack));
        state.deleting.retain(|retired| !self.gone.contains(&retired.pack));
        let (expired, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut state.condemned)
            .into_iter()
            .partition(|r| expired(r.since, self.now, self.grace));
        state.condemned = waiting;
        state.deleting.extend(expired);
        let generation = state.generation;
        let retire = |pack: &PackId| Retired { pack: *pack, since: self.now, generation };
        if self.grace.is_zero() {
            state.deleting.extend(self.old.iter().map(retire));
        } else {
            state.condemned.extend(self.old.iter().map(retire));
        }
        // One that was an orphan when the plan was made may have been named, or found by another gc.
        let mut known: HashSet<PackId> = state.packs.iter().copied().collect();
        known.extend(state.condemned.iter().chain(&state.deleting).map(|retired| retired.pack));
        let orphans = self.orphans.iter().filter(|pack| !known.contains(pack));
        state.deleting.extend(orphans.map(retire));
        // Each record names all condemned packs; a burst of merges must not make records long.
        state.condemned.sort_by_key(|r| std::cmp::Reverse(r.generation));
        let oldest = state.condemned.split_off(state.condemned.len().min(MAX_CONDEMNED));
        state.deleting.extend(oldest);
        state.condemned.sort_by_key(|r| r.pack);
        state.deleting.sort_by_key(|r| r.pack);
        state.deleting.dedup_by_key(|r| r.pack);
    }
}

/// The packs that were being deleted and are not there any more.
pub(crate) fn gone(state: &State, transport: &dyn Transport) -> Result<HashSet<PackId>> {
    let mut gone = HashSet::new();
    for retired in &state.deleting {
        if transport.size(&retired.pack.file_name())?.is_none() {
            gone.insert(retired.pack);
        }
    }
    Ok(gone)
}

/// The bytes that packs on their way out still take.
pub(crate) fn bytes_of<'a>(
    transport: &dyn Transport,
    retired: impl Iterator<Item = &'a Retired>,
) -> Result<u64> {
    let mut bytes = 0;
    for retired in retired {
        bytes += transport.size(&retired.pack.file_name())?.unwrap_or(0);
    }
    Ok(bytes)
}

/// Whether `since` lies further back than `grace`. Clocks only decide politeness: a wrong one makes
/// a slow reader try again, or a pack stay longer.
pub(crate) fn expired(since: Time, now: Time, grace: Duration) -> bool {
    let age = now.ns.saturating_sub(since.ns);
    i64::try_from(grace.as_nanos()).is_ok_and(|grace| age >= grace)
}

/// Deletes the oldest records beyond those that are always kept.
pub(crate) fn prune_records(repo: &Repo, now: Time) -> Result<u64> {
    let generations = chain::generations(repo.transport())?;
    let spare = generations.len().saturating_sub(MIN_RECORDS);
    let mut pruned = 0;
    for generation in generations.into_iter().take(spare) {
        let record = chain::read(repo.transport(), generation)?;
        if !expired(record.state.time, now, KEEP_RECORDS) {
            break;
        }
        repo.transport().delete(&chain::name_of(generation))?;
        pruned += 1;
    }
    Ok(pruned)
}

/// Removes temporary files that interrupted operations left.
pub(crate) fn sweep(repo: &Repo, now: Time, age: Duration) {
    let now = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::try_from(now.ns).unwrap_or(0));
    if let Some(before) = now.checked_sub(age) {
        store_fs::sweep_abandoned(&repo.layout().tmp(), before);
    }
}

/// What gc begins from.
pub(crate) struct Roots {
    /// Every version that must be kept: what any kept record's refs, HEAD, saved state or stages
    /// name, or a stage's ledger.
    pub(crate) versions: Vec<Hash>,
    /// The entries of the ledgers.
    pub(crate) ledger_entries: HashSet<Hash>,
    /// The oldest record in the window, counted back from the newest without a gap.
    pub(crate) oldest: u64,
}

/// Gathers the roots, with the newest records that `window` accepts.
pub(crate) fn roots(
    depot: &Depot<'_>,
    objects: &Store,
    window: &dyn Fn(usize, &State) -> bool,
) -> Result<Roots> {
    let newest = depot.state();
    let mut oldest = newest.generation;
    let mut versions: HashSet<Hash> = newest.targets().into_iter().collect();
    let mut ledgers = Ledgers::of(objects, &newest.stages)?;
    for (turn, record) in (1..).zip(chain::history(depot.transport(), newest)) {
        let state = record?.state;
        if !window(turn, &state) {
            break;
        }
        oldest = state.generation;
        versions.extend(state.targets());
        state.stages.iter().try_for_each(|stage| ledgers.add(objects, stage))?;
    }
    if let Depot::Here(repo) = depot
        && let Some(merge) = Unfinished::of(repo)?
        && objects.contains(&merge.left)
    {
        versions.insert(merge.left);
    }
    versions.extend(ledgers.versions);
    let versions = versions.into_iter().collect();
    Ok(Roots { versions, ledger_entries: ledgers.entries, oldest })
}
