//! Fetching what a remote has and this repository lacks.
//!
//! Everything arrives in a quarantine, `.mv/remotes/<name>/packs`: each object is compared with its
//! id, then everything that the new versions need is looked up once more, and only then do the packs
//! and the record that names them become visible. What has arrived stays there when the rest does
//! not, and the next fetch goes on from it.

mod refs;

use std::collections::HashSet;

use mv_graph::missing::{Missing, Scope, Wanted, Whole, missing};
use mv_graph::walk::Ancestors;
use mv_graph::{State, Tracking};
use mv_store::{Hash, Kind, PackId, Store, Transfer, Unit, adopt, verify_lists};

pub(crate) use refs::Incoming;

use crate::error::{Error, Result};
use crate::maintain;
use crate::partial::Partial;
use crate::remote::Remote;
use crate::remotes;
use crate::repo::Repo;
use crate::session::Session;
use crate::tracking::{RefChange, remember_seen, set_tracking};

/// How often a fetch begins anew because the remote's packs were exchanged meanwhile.
const TURNS: u32 = 64;

/// What to fetch, and where from.
#[derive(Clone, Debug, Default)]
pub struct FetchOptions {
    /// The remote; `origin` or the only one when none is named.
    pub remote: Option<String>,
    /// Branches; all when none is named.
    pub branches: Vec<String>,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Forget branches that are not there any more.
    pub prune: bool,
    /// Take a remote that was set back or exchanged as it is now.
    pub accept_rewind: bool,
}

/// What was fetched, or would be.
#[derive(Clone, Debug, Default)]
pub struct FetchOutcome {
    /// The remote's name.
    pub remote: String,
    /// Its address.
    pub url: String,
    /// What moved here: `origin/main`, tags, stages.
    pub refs: Vec<RefChange>,
    /// Objects that were fetched.
    pub objects: u64,
    /// Bytes that were fetched, as stored.
    pub bytes: u64,
    /// Bytes of these versions' files that were here already, unpacked.
    pub already_there_bytes: u64,
    /// What was there and was not taken, and why, each in one line.
    pub warnings: Vec<String>,
}

/// Fetches the branches of a remote, with the tags and stages that come with them.
///
/// # Errors
/// `UnknownRemote`, `UnknownRevision` for a branch that is not there, `Rewritten`, `Remote`,
/// `Corrupt` for anything that is not what it claims: then nothing becomes visible.
pub fn fetch(repo: &Repo, options: &FetchOptions, session: &Session) -> Result<FetchOutcome> {
    let name = options.remote.as_deref();
    let mut remote = remotes::connect(repo, name, options.accept_rewind, session)?;
    for _ in 0..TURNS {
        match attempt(repo, &remote, options, session) {
            // Somebody's gc dropped a pack while it was read: the newest record knows better.
            Err(Error::Store(mv_store::Error::Stale { name })) => {
                remote.look_again(&name, session)?;
            }
            other => return other,
        }
        session.progress.check()?;
    }
    Err(Error::LostRace { generation: remote.record().map_or(0, |r| r.state.generation) })
}

fn attempt(
    repo: &Repo,
    remote: &Remote,
    options: &FetchOptions,
    session: &Session,
) -> Result<FetchOutcome> {
    let mut outcome = FetchOutcome {
        remote: remote.name.to_string(),
        url: repo.local_config().remotes[remote.name.as_str()].url.clone(),
        ..FetchOutcome::default()
    };
    if remote.record().is_none() {
        return Ok(outcome);
    }
    let state = remote.state()?;
    let incoming = Incoming::plan(repo, remote, state, options)?;
    outcome.refs = incoming.changes(repo.state());
    outcome.warnings = incoming.warnings.clone();
    let task = session.progress.task("finding what is missing", Unit::Items);
    let complete = complete(repo)?;
    let (partial, depth) = (repo.partial(), repo.partial().and_then(|p| p.depth));
    let scope: &dyn Scope = match partial {
        Some(partial) => partial,
        None => &Whole,
    };
    let arrival = Arrival {
        local: repo.store().here(),
        remote,
        roots: incoming.roots.clone(),
        entries: incoming.entries.clone(),
        complete,
        scope,
        depth,
    };
    let lacking = arrival.lacking(&task)?;
    drop(task);
    outcome.already_there_bytes = lacking.there_bytes;
    let transfer = arrival.plan(&lacking)?;
    outcome.objects = transfer.objects;
    outcome.bytes = transfer.bytes;
    if options.dry_run {
        return Ok(outcome);
    }
    let packs = arrival.receive(&transfer, &repo.layout().dot, session)?;
    record(repo, remote, &incoming, &packs, !outcome.refs.is_empty(), session)?;
    remote.keep_record(session);
    remote.forget_old_indexes();
    if !packs.is_empty() {
        maintain::after(repo, session);
    }
    Ok(outcome)
}

/// Versions of which everything is here that is meant to be: those that refs reach.
fn complete(repo: &Repo) -> Result<HashSet<Hash>> {
    let here = repo.store().here();
    Ancestors::new(&here, &repo.state().targets()).map(|version| Ok(version?.0)).collect()
}

/// Publishes the record: packs, tracked branches, tags and stages.
fn record(
    repo: &Repo,
    remote: &Remote,
    incoming: &Incoming,
    packs: &[PackId],
    changed: bool,
    session: &Session,
) -> Result<()> {
    let seen = remote.seen();
    if packs.is_empty() && !changed && repo.state().remote(remote.name.as_str()) == seen.as_ref() {
        return Ok(());
    }
    let operation = format!("fetch {}", remote.name);
    let mut edit = |state: &mut State| {
        incoming.apply(state)?;
        remember_seen(state, &remote.name, seen.clone());
        Ok(())
    };
    if incoming.is_quiet() {
        // Nothing of the user's own moves, so there is nothing to undo.
        maintain::quietly(repo, session, &operation, packs, &incoming.roots, &mut edit)?;
    } else {
        repo.advance(session, &operation, packs, &incoming.roots, &mut edit)?;
    }
    Ok(())
}

/// Objects on their way from a remote into a repository folder.
pub(crate) struct Arrival<'a> {
    /// What is here.
    pub(crate) local: Store,
    pub(crate) remote: &'a Remote,
    /// Versions that are wanted.
    pub(crate) roots: Vec<Hash>,
    /// Entries of ledgers that are wanted.
    pub(crate) entries: HashSet<Hash>,
    /// Versions that are complete here.
    pub(crate) complete: HashSet<Hash>,
    pub(crate) scope: &'a dyn Scope,
    pub(crate) depth: Option<u64>,
}

impl Arrival<'_> {
    fn wanted<'w>(
        &'w self,
        has: &'w dyn Fn(&Hash) -> bool,
        holds: &'w dyn Fn(&Hash) -> bool,
    ) -> Wanted<'w> {
        Wanted {
            roots: &self.roots,
            complete: &self.complete,
            has,
            holds,
            scope: self.scope,
            depth: self.depth,
            partial: false,
        }
    }

    /// Finds what neither this repository nor the quarantine has.
    pub(crate) fn lacking(&self, task: &mv_store::Task) -> Result<Missing> {
        let arrived = self.remote.arrived()?;
        let here = self.local.join(&arrived);
        let all = here.join(&self.remote.store);
        self.remote.store.open_indexes()?;
        // Versions form chains: without this each would cost a round trip.
        if !self.roots.iter().all(|id| self.complete.contains(id)) {
            let versions = self.remote.store.ids_of(Kind::Manifest)?;
            let fresh: Vec<Hash> = versions.into_iter().filter(|id| !here.contains(id)).collect();
            all.read_ahead(Kind::Manifest, &fresh)?;
        }
        let has = |id: &Hash| here.contains(id);
        let holds = |id: &Hash| here.holds(id);
        let mut lacking = missing(&all, &self.wanted(&has, &holds), task)?;
        lacking.objects.extend(self.entries.iter().filter(|id| !here.contains(id)));
        Ok(lacking)
    }

    /// Says how it travels.
    ///
    /// # Errors
    /// `Missing` when the remote lacks something that its versions need.
    pub(crate) fn plan(&self, lacking: &Missing) -> Result<Transfer> {
        let here = self.local.join(&self.remote.arrived()?);
        let transfer = Transfer::plan(&self.remote.store, &lacking.objects, &here)?;
        match transfer.missing.first() {
            None => Ok(transfer),
            Some(id) => Err(mv_store::Error::Missing { kind: Kind::Blob, id: *id }.into()),
        }
    }

    /// Fetches, checks, and moves into `dot`, where nobody reads the packs before a record names
    /// them.
    pub(crate) fn receive(
        &self,
        transfer: &Transfer,
        dot: &std::path::Path,
        session: &Session,
    ) -> Result<Vec<PackId>> {
        let folder = &self.remote.folder;
        if transfer.objects > 0 {
            let task = session.progress.task("receiving", Unit::Bytes);
            task.set_total(transfer.bytes);
            let source = &self.remote.store;
            let here = self.local.join(&self.remote.arrived()?);
            transfer.receive(source, &here, folder, &session.nonces, &task)?;
        }
        let arrived = self.remote.arrived()?;
        let packs: Vec<PackId> = arrived.pack_ids().collect();
        if packs.is_empty() {
            return Ok(packs);
        }
        let task = session.progress.task("checking", Unit::Items);
        if let Err(e) = self.check(&arrived, &packs, disk_size(dot)?, &task) {
            if matches!(&e, Error::Store(e) if e.is_corruption())
                || matches!(&e, Error::Graph(e) if e.is_corruption())
            {
                self.remote.drop_arrived();
            }
            return Err(e);
        }
        adopt(folder, dot, &packs)?;
        Ok(packs)
    }

    /// Looks once more at everything that is wanted, with what has arrived.
    fn check(
        &self,
        arrived: &Store,
        packs: &[PackId],
        most: u64,
        task: &mv_store::Task,
    ) -> Result<()> {
        let here = self.local.join(arrived);
        verify_lists(&here, packs, most, task)?;
        // Everything is there, has the form that it must have and the size that its tree says.
        let has = |id: &Hash| here.contains(id);
        let holds = |id: &Hash| here.holds(id);
        let found = missing(&here, &self.wanted(&has, &holds), task)?;
        let entries = self.entries.iter().filter(|id| !here.contains(id));
        match found.objects.iter().chain(entries).next() {
            Some(id) => Err(mv_store::Error::Missing { kind: Kind::Blob, id: *id }.into()),
            None => Ok(()),
        }
    }
}

/// The bytes that the disk has, free or not: no file of a version can be larger.
pub(crate) fn disk_size(path: &std::path::Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(path)
        .map_err(|e| Error::io("ask for the size of the disk below", path.to_path_buf(), e))?;
    Ok(disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// Fetches the contents of some files of versions whose directories are here or on the remote: what
/// a command in a part of a repository is about to read. Says whether there was anything to fetch.
pub(crate) fn contents(repo: &Repo, blobs: &[Hash], session: &Session) -> Result<bool> {
    let Some(Partial { remote, .. }) = repo.partial() else { return Ok(false) };
    let here = repo.store().here();
    let absent: HashSet<Hash> = blobs.iter().filter(|id| !here.contains(id)).copied().collect();
    if absent.is_empty() {
        return Ok(false);
    }
    let remote = remotes::connect(repo, Some(remote), false, session)?;
    remote.store.open_indexes()?;
    let ids: Vec<Hash> = absent.iter().copied().collect();
    remote.store.read_ahead(Kind::Blob, &ids)?;
    let mut lacking = Missing { objects: absent, ..Missing::default() };
    for id in ids {
        let parts = remote.store.children(&id)?.unwrap_or_default();
        lacking.objects.extend(parts.into_iter().filter(|part| !here.contains(part)));
    }
    let arrival = Arrival {
        local: here,
        remote: &remote,
        roots: Vec::new(),
        entries: HashSet::new(),
        complete: HashSet::new(),
        scope: &Whole,
        depth: None,
    };
    let transfer = arrival.plan(&lacking)?;
    let packs = arrival.receive(&transfer, &repo.layout().dot, session)?;
    maintain::quietly(repo, session, "fetch files", &packs, &[], &mut |_| Ok(()))?;
    Ok(true)
}

/// The branches of a state as a remote's.
pub(crate) fn tracking_of(remote: &Remote, state: &State) -> Vec<Tracking> {
    let branches = state.branches.iter();
    branches
        .map(|branch| Tracking {
            remote: remote.name.clone(),
            branch: branch.name.clone(),
            target: branch.target,
        })
        .collect()
}

/// Sets where branches stand.
pub(crate) fn track(state: &mut State, tracking: &[Tracking]) {
    tracking.iter().for_each(|one| set_tracking(state, one.clone()));
}
