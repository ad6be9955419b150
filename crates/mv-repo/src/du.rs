//! What takes the space.

use std::collections::HashSet;

use mv_graph::reach::{self, Place, Visitor};
use mv_graph::{Component, Manifest};
use mv_store::{Hash, Kind, Unit};

use crate::error::Result;
use crate::repo::Repo;
use crate::session::Session;

/// Sizes of one component over all versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DuPart {
    /// Bytes of its files, summed over all versions.
    pub logical_bytes: u64,
    /// Bytes of its distinct chunks.
    pub unique_bytes: u64,
    /// Bytes that those take in packs.
    pub stored_bytes: u64,
}

/// Sizes of a repository.
#[derive(Clone, Debug)]
pub struct Du {
    /// Versions that refs and the pasts of stages reach.
    pub versions: u64,
    /// Bytes of their files, summed.
    pub logical_bytes: u64,
    /// Bytes of their distinct chunks.
    pub unique_bytes: u64,
    /// Bytes of all live packs.
    pub stored_bytes: u64,
    /// Objects in live packs.
    pub objects: u64,
    /// Live packs.
    pub packs: u64,
    /// The same by component. Content that two share counts for the first.
    pub by_component: [(Component, DuPart); 4],
}

/// Adds up the sizes of everything that refs and the pasts of stages reach. Reads manifests and trees, not files.
///
/// # Errors
/// `Missing`, `Corrupt`.
pub fn du(repo: &Repo, session: &Session) -> Result<Du> {
    let task = session.progress.task("adding up", Unit::Items);
    let mut sum =
        Sum { repo, task: &task, seen: HashSet::new(), parts: Default::default(), versions: 0 };
    let mut roots = repo.state().targets();
    roots.extend(reach::Ledgers::of(repo.store(), &repo.state().stages)?.versions);
    reach::visit(repo.store(), &roots, &mut sum)?;
    let packs = repo.store().packs()?;
    let total = |of: fn(&DuPart) -> u64| sum.parts.iter().map(of).sum();
    Ok(Du {
        versions: sum.versions,
        logical_bytes: total(|p| p.logical_bytes),
        unique_bytes: total(|p| p.unique_bytes),
        stored_bytes: packs.iter().map(|p| p.bytes).sum(),
        objects: packs.iter().map(|p| u64::from(p.objects)).sum(),
        packs: packs.len() as u64,
        by_component: Component::ALL.map(|c| (c, sum.parts[c.index()])),
    })
}

struct Sum<'a> {
    repo: &'a Repo,
    task: &'a mv_store::Task,
    seen: HashSet<Hash>,
    parts: [DuPart; 4],
    versions: u64,
}

impl Visitor for Sum<'_> {
    fn enter(
        &mut self,
        kind: Kind,
        id: &Hash,
        bytes: Option<u64>,
        place: &Place<'_>,
    ) -> mv_graph::Result<bool> {
        self.task.add(1);
        self.task.check()?;
        if kind == Kind::Manifest {
            self.versions += 1;
            let manifest = Manifest::read(self.repo.store(), id)?;
            for component in Component::ALL {
                self.parts[component.index()].logical_bytes += manifest.component(component).bytes;
            }
        }
        // In a part of a repository files are counted that are not here, and take no room.
        if self.repo.partial().is_some() && !self.repo.store().contains(id) {
            if let Some(component) = place.component
                && self.seen.insert(*id)
            {
                self.parts[component.index()].unique_bytes += bytes.unwrap_or_default();
            }
            return Ok(false);
        }
        if let Some(component) = place.component
            && self.seen.insert(*id)
        {
            let part = &mut self.parts[component.index()];
            part.stored_bytes += self.repo.store().stored_len_of(id)?;
            // A file stored as a list is counted by its chunks.
            if kind == Kind::Blob && self.repo.store().children(id)?.is_none() {
                part.unique_bytes += self.repo.store().len_of(id)?;
            }
        }
        Ok(true)
    }
}
