//! Checking a repository on a remote. What is kept of it here is not believed: its indexes are fetched
//! anew, and everything that says what it has is read there.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use mv_graph::{RemoteSeen, chain};
use mv_store::{Nonces, PackId, Store, Transport, fs as store_fs, nonce_hex};

use super::{Findings, FsckOptions, FsckReport, Subject, newest_readable};
use crate::error::{Error, Result};
use crate::remotes;
use crate::repo::Repo;
use crate::session::Session;

/// How often a check begins anew because the remote's packs were exchanged meanwhile.
const TURNS: u32 = 4;

/// Checks the repository on a remote, as it is there: nothing that is kept of it here is believed.
///
/// # Errors
/// `UnknownRemote`, `Remote` when nobody answers, `Policy` while there is nothing there,
/// `Cancelled`. Damage is in the report.
pub fn fsck_remote(
    repo: &Repo,
    name: &str,
    options: &FsckOptions,
    session: &Session,
) -> Result<FsckReport> {
    let place = There::open(repo, name, session)?;
    for _ in 1..TURNS {
        let findings = place.examine(options, &HashSet::new(), session)?;
        // Somebody's gc may have exchanged the packs while they were read.
        let before = findings.state.as_ref().map(|state| state.generation);
        let moved = newest_readable(&*place.transport).map(|state| state.generation) != before;
        if findings.report.ok() || !moved {
            return Ok(findings.report);
        }
    }
    Ok(place.examine(options, &HashSet::new(), session)?.report)
}

/// A remote that is checked.
pub(super) struct There<'a> {
    repo: &'a Repo,
    pub(super) transport: Arc<dyn Transport>,
    seen: Option<RemoteSeen>,
    /// Indexes that are fetched for this check alone.
    folder: PathBuf,
    nonces: Nonces,
}

impl Drop for There<'_> {
    fn drop(&mut self) {
        store_fs::sweep_dir(&self.folder);
    }
}

impl<'a> There<'a> {
    pub(super) fn open(repo: &'a Repo, name: &str, session: &Session) -> Result<There<'a>> {
        let (name, transport) = remotes::open(repo, Some(name), session)?;
        // A name of its own, so that two checks at once do not sweep each other's indexes away.
        let folder = repo
            .layout()
            .remote(&name)
            .join("tmp")
            .join(format!("check-{}", nonce_hex(&session.nonces.next())));
        let seen = repo.state().remote(name.as_str()).cloned();
        Ok(There { repo, transport, seen, folder, nonces: session.nonces.branch() })
    }

    pub(super) fn store(&self, packs: &[PackId]) -> Store {
        Store::open_remote(Arc::clone(&self.transport), &self.folder, packs, &self.nonces)
    }

    pub(super) fn examine(
        &self,
        options: &FsckOptions,
        sound: &HashSet<PackId>,
        session: &Session,
    ) -> Result<Findings> {
        let subject = Subject {
            transport: &*self.transport,
            open: &|packs| self.store(packs),
            nearer: Some(self.repo.store().here()),
            past: false,
            partial: false,
            sound,
        };
        let mut findings = Findings::default();
        let records = chain::newest(&*self.transport, None);
        if let Err(mv_graph::Error::Store(mv_store::Error::Absent { .. })) = records
            && self.seen.is_none()
        {
            return Err(Error::Policy { what: "there is nothing on that remote yet".into() });
        }
        if let Some(seen) = &self.seen
            && let Err(e @ mv_graph::Error::Rewritten { .. }) =
                chain::newest_since(&*self.transport, seen.generation, &seen.record)
        {
            findings.report.add("state", "state", e);
        }
        subject.examine(options, &mut findings, session)?;
        findings.report = findings.report.finish();
        Ok(findings)
    }
}
