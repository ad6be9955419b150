//! Sending versions to a remote.
//!
//! What the remote lacks is found from the indexes of its packs, which are kept here; nothing is
//! listed. New packs go first, then one record that names them and moves the refs. Whoever loses
//! the race for that record reads the newest one and begins anew from it: whether the refs may
//! still move, whether the packs relied upon are still live, whether its own packs are still there.
//! What was sent is not sent again.

mod refs;

use std::collections::HashSet;

use mv_graph::missing::{Missing, Wanted, Whole, missing};
use mv_graph::walk::Ancestors;
use mv_graph::{RefName, State, Tracking};
use mv_store::{Hash, PackId, Store, Task, Transfer, Unit, fs as store_fs, plan_merge};

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::maintain;
use crate::remote::{Remote, Sent};
use crate::remotes;
use crate::repo::Repo;
use crate::session::Session;
use crate::tracking::{remember_seen, set_tracking};
use refs::{Edits, Selection};

pub use crate::tracking::RefChange;

/// How often a lost race is tried again: enough for many writers at once.
const TURNS: u32 = 64;

/// Packs below this size are gathered after a push: eight of them are 8 MiB at most.
const UPKEEP: u64 = 1 << 20;

/// What to send, and where to.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// The remote; `origin` or the only one when none is named.
    pub remote: Option<String>,
    /// Branches, tags and stages; the current branch when none is named.
    pub refs: Vec<String>,
    /// Every branch, tag and stage.
    pub all: bool,
    /// Delete these refs there instead.
    pub delete: bool,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Let a branch there go back, or to another history, if it still is where it was last seen.
    pub force_with_lease: bool,
    /// Take a remote that was set back or exchanged as it is now.
    pub accept_rewind: bool,
}

/// What was sent, or would be.
#[derive(Clone, Debug, Default)]
pub struct PushOutcome {
    /// The remote's name.
    pub remote: String,
    /// Its address.
    pub url: String,
    /// What moved there.
    pub refs: Vec<RefChange>,
    /// Objects that were sent.
    pub objects: u64,
    /// Bytes that were sent, as stored.
    pub bytes: u64,
    /// Bytes of these versions' files that were there already, unpacked.
    pub already_there_bytes: u64,
}

/// Sends versions to a remote, and everything that they need and it lacks.
///
/// # Errors
/// `Behind` when a ref there has moved on, `Policy` for a tag that is another version there,
/// `UnknownRemote`, `UnknownRevision`, `LostRace` when others keep coming first, `Remote`,
/// `Corrupt` for anything here that is damaged.
pub fn push(repo: &Repo, options: &PushOptions, session: &Session) -> Result<PushOutcome> {
    let selection = Selection::of(repo, options)?;
    let remote = options.remote.as_deref();
    let mut remote = remotes::connect(repo, remote, options.accept_rewind, session)?;
    if !options.dry_run {
        remote.create(session)?;
    }
    let mut push = Push { repo, options, selection, sent: Sent::of(&remote), session };
    let mut outcome = PushOutcome {
        remote: remote.name.to_string(),
        url: repo.local_config().remotes[remote.name.as_str()].url.clone(),
        ..PushOutcome::default()
    };
    for turn in 0..TURNS {
        match push.attempt(&mut remote, &mut outcome) {
            Ok(()) => {
                if !options.dry_run {
                    // The push stands, whether or not it can be noted here.
                    drop(push.remember(&remote));
                    upkeep(&mut remote, repo, session);
                }
                return Ok(outcome);
            }
            Err(Error::Graph(mv_graph::Error::LostRace { .. })) => {
                let [high, low, ..] = session.nonces.next();
                remote.transport.back_off(turn, u64::from(high) << 8 | u64::from(low));
            }
            // A pack of the remote went while it was read: its newest record knows better.
            Err(Error::Store(mv_store::Error::Stale { name })) => {
                remote.look_again(&name, session)?;
            }
            Err(e) => return Err(e),
        }
        session.progress.check()?;
        remote.refresh(session)?;
    }
    Err(Error::LostRace { generation: remote.record().map_or(0, |r| r.state.generation) })
}

/// Gathers the small packs of a remote when many have piled up, so that a thousand pushes leave a few
/// packs. Only what is little: a push must not move much more than its own. Best effort; whoever comes
/// first does it.
fn upkeep(remote: &mut Remote, repo: &Repo, session: &Session) {
    let small = |packs: &[mv_store::PackInfo]| -> Vec<mv_store::PackInfo> {
        packs.iter().filter(|pack| pack.bytes < UPKEEP).copied().collect()
    };
    let Some(merge) = remote.store.packs().ok().and_then(|packs| plan_merge(&small(&packs))) else {
        return;
    };
    let task = session.progress.task("gathering packs", Unit::Bytes);
    let depot = Depot::There(remote, repo);
    let Ok(written) = depot.rewrite(&merge.packs, &[], &|_| true, session, &task) else { return };
    let (old, new) = (&merge.packs, &written.packs);
    let grace = maintain::READERS_GRACE;
    drop(maintain::retire_remote(remote, "merge packs", old, &[], new, grace, session));
}

struct Push<'a> {
    repo: &'a Repo,
    options: &'a PushOptions,
    selection: Selection,
    sent: Sent,
    session: &'a Session,
}

impl Push<'_> {
    /// One try on top of the newest record that was read.
    fn attempt(&mut self, remote: &mut Remote, outcome: &mut PushOutcome) -> Result<()> {
        let base = remote.record().map(|record| record.state.clone());
        let complete = self.complete(base.as_ref())?;
        let edits = Edits::plan(self, remote, base.as_ref(), &complete)?;
        outcome.refs = edits.changes.clone();
        if edits.changes.is_empty() {
            return Ok(());
        }
        if let Some(state) = &base
            && !self.sent.packs.is_empty()
        {
            self.sent.check(remote, state)?;
        }
        let there = self.there(remote)?;
        let lacking = self.lacking(&there, &edits.roots, &complete)?;
        outcome.already_there_bytes = lacking.there_bytes;
        let local = self.repo.store();
        let transfer = self.plan_transfer(local, &there, &lacking)?;
        if self.options.dry_run {
            outcome.objects = transfer.objects;
            outcome.bytes = transfer.bytes;
            return Ok(());
        }
        if transfer.objects > 0 {
            let task = self.session.progress.task("sending", Unit::Bytes);
            task.set_total(transfer.bytes);
            self.send(remote, &transfer, &task)?;
            outcome.objects += transfer.objects;
            outcome.bytes += task.done();
        }
        self.publish(remote, &edits)
    }

    /// The live packs there and those of ours that wait for their record.
    fn there(&self, remote: &Remote) -> Result<Store> {
        let sent = Store::open_remote(
            std::sync::Arc::clone(&remote.transport),
            &remote.folder,
            &self.sent.packs,
            &self.session.nonces,
        );
        let there = remote.store.join(&sent);
        there.open_indexes()?;
        Ok(there)
    }

    /// Versions that are complete there: those that its refs reach, as far as they are known here.
    fn complete(&self, base: Option<&State>) -> Result<HashSet<Hash>> {
        let here = self.repo.store().here();
        let targets = base.map(State::targets).unwrap_or_default();
        let known: Vec<Hash> = targets.into_iter().filter(|id| here.contains(id)).collect();
        Ancestors::new(&here, &known).map(|version| Ok(version?.0)).collect()
    }

    fn lacking(
        &self,
        there: &Store,
        roots: &refs::Roots,
        complete: &HashSet<Hash>,
    ) -> Result<Missing> {
        let task = self.session.progress.task("finding what is missing", Unit::Items);
        let here = self.repo.store().here();
        let wanted = Wanted {
            roots: &roots.versions,
            complete,
            has: &|id| there.contains(id),
            holds: &|id| there.holds(id),
            scope: &Whole,
            depth: None,
            partial: self.repo.partial().is_some(),
        };
        let mut lacking = missing(&here, &wanted, &task)?;
        let entries = roots.entries.iter().filter(|id| !there.contains(id));
        lacking.objects.extend(entries);
        Ok(lacking)
    }

    fn plan_transfer(&self, local: &Store, there: &Store, lacking: &Missing) -> Result<Transfer> {
        let transfer = Transfer::plan(&local.here(), &lacking.objects, there)?;
        match transfer.missing.first() {
            None => Ok(transfer),
            Some(id) => {
                Err(mv_store::Error::Missing { kind: mv_store::Kind::Blob, id: *id }.into())
            }
        }
    }

    fn send(&mut self, remote: &Remote, transfer: &Transfer, task: &Task) -> Result<()> {
        let scratch = remote.folder.join("leaving");
        let to = remote.recipient(&scratch, self.session);
        let (sent, session) = (&mut self.sent, self.session);
        let mut note = |pack: PackId| {
            sent.add(pack, session).map_err(|e| match e {
                Error::Store(e) => e,
                other => mv_store::Error::Invalid { what: "pack", detail: other.to_string() },
            })
        };
        let source = self.repo.store().here();
        transfer.send(&source, &to, task, &mut note)?;
        store_fs::sweep_dir(&scratch);
        Ok(())
    }

    fn publish(&mut self, remote: &mut Remote, edits: &Edits) -> Result<()> {
        let base = remote.state()?.clone();
        let actor = Some(self.session.author.clone());
        let nonce = self.session.nonces.next();
        let mut next = base.next(&self.selection.operation(), nonce, self.session.now, actor);
        next.add_packs(&self.sent.packs);
        edits.apply(&mut next);
        remote.publish(next, self.session)?;
        self.sent.clear();
        remote.forget_old_indexes();
        Ok(())
    }

    /// Writes down what the remote has now. The push stands whether or not others come between.
    fn remember(&self, remote: &Remote) -> Result<()> {
        remote.keep_record(self.session);
        let (name, state) = (&remote.name, remote.state()?);
        let seen = remote.seen();
        let tracking = self.tracking(name, state);
        let now = self.repo.state();
        if now.remote(name.as_str()) == seen.as_ref() && tracking.iter().all(|t| is_tracked(now, t))
        {
            return Ok(());
        }
        maintain::quietly(
            self.repo,
            self.session,
            &format!("push {name}"),
            &[],
            &[],
            &mut |next| {
                remember_seen(next, name, seen.clone());
                let gone = |t: &Tracking| state.branch(t.branch.as_str()).is_none();
                next.tracking.retain(|t| t.remote != *name || !gone(t));
                for one in &tracking {
                    set_tracking(next, one.clone());
                }
                Ok(())
            },
        )?;
        Ok(())
    }

    /// The branches that were pushed, as they are there now.
    fn tracking(&self, name: &RefName, state: &State) -> Vec<Tracking> {
        let pushed = self.selection.branches.iter().filter_map(|b| state.branch(b.name.as_str()));
        let known = |target: &Hash| self.repo.store().here().contains(target);
        pushed
            .filter(|branch| known(&branch.target))
            .map(|branch| Tracking {
                remote: name.clone(),
                branch: branch.name.clone(),
                target: branch.target,
            })
            .collect()
    }
}

fn is_tracked(state: &State, one: &Tracking) -> bool {
    state.tracked(one.remote.as_str(), one.branch.as_str()).is_some_and(|t| t.target == one.target)
}
