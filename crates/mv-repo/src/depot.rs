//! A repository as upkeep sees it: this one, or a remote. Both have packs, a chain of records and a
//! transport, and the same rules for what may be dropped.

use mv_graph::State;
use mv_store::{
    Hash, PackId, Recipient, Store, Task, Transport, Written, fs as store_fs, merge_packs,
};

use crate::error::Result;
use crate::remote::Remote;
use crate::repo::Repo;
use crate::session::Session;

/// This repository, or a remote.
#[derive(Clone, Copy)]
pub(crate) enum Depot<'a> {
    /// The one around the working tree.
    Here(&'a Repo),
    /// A remote, and the repository here, whose copies of objects need not be fetched.
    There(&'a Remote, &'a Repo),
}

impl Depot<'_> {
    /// The state that the plan is made from.
    pub(crate) fn state(&self) -> &State {
        match self {
            Depot::Here(repo) => repo.state(),
            Depot::There(remote, repo) => {
                remote.record().map_or_else(|| repo.state(), |record| &record.state)
            }
        }
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        match self {
            Depot::Here(repo) => repo.transport(),
            Depot::There(remote, _) => &*remote.transport,
        }
    }

    /// The objects in its packs.
    pub(crate) fn store(&self) -> Store {
        match self {
            Depot::Here(repo) => repo.store().here(),
            Depot::There(remote, _) => remote.store.clone(),
        }
    }

    /// The same, read from here where that is nearer.
    pub(crate) fn nearest(&self) -> Store {
        match self {
            Depot::Here(repo) => repo.store().here(),
            Depot::There(remote, repo) => repo.store().here().join(&remote.store),
        }
    }

    /// Whether not everything is meant to be there.
    pub(crate) fn is_partial(&self) -> bool {
        matches!(self, Depot::Here(repo) if repo.partial().is_some())
    }

    /// Writes what `keep` wants of some packs into new ones, which no record names yet. What only the
    /// packs in `gone` have is given up.
    pub(crate) fn rewrite(
        &self,
        packs: &[PackId],
        gone: &[PackId],
        keep: &dyn Fn(&Hash) -> bool,
        session: &Session,
        task: &Task,
    ) -> Result<Written> {
        match self {
            Depot::Here(repo) => {
                let store = repo.store().here();
                Ok(merge_packs(store.root(), &store, packs, gone, keep, &session.nonces, task)?)
            }
            Depot::There(remote, _) => {
                let scratch = remote.folder.join("leaving");
                store_fs::sweep_dir(&scratch);
                let store = &remote.store;
                let written =
                    merge_packs(&scratch, store, packs, gone, keep, &session.nonces, task)?;
                let packs =
                    remote.recipient(&scratch, session).take_scratch(&written.packs, task)?;
                store_fs::sweep_dir(&scratch);
                Ok(Written { packs, ..written })
            }
        }
    }
}

impl Remote {
    /// Whoever packs are sent to from a scratch folder.
    pub(crate) fn recipient<'a>(
        &'a self,
        scratch: &'a std::path::Path,
        session: &'a Session,
    ) -> Recipient<'a> {
        Recipient {
            transport: &self.transport,
            folder: &self.folder,
            scratch,
            nonces: &session.nonces,
        }
    }
}
