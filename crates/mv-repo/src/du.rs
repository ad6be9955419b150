//! What takes the space, by component, by version and by encoding.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use mv_graph::reach::{self, Place, Visitor};
use mv_graph::{Component, Manifest};
use mv_store::{Encoding, Encodings, Hash, Kind, Unit};

use crate::error::Result;
use crate::maintain;
use crate::repo::Repo;
use crate::session::Session;

/// Sizes of some content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DuPart {
    /// Bytes of its files, summed over all versions.
    pub logical_bytes: u64,
    /// Bytes of its distinct chunks.
    pub unique_bytes: u64,
    /// Bytes that those take in packs.
    pub stored_bytes: u64,
    /// What each encoding made of them.
    pub by_encoding: Vec<Encodings>,
}

/// Sizes of one version.
#[derive(Clone, Debug)]
pub struct DuVersion {
    /// The version.
    pub id: Hash,
    /// How it is called: its first tag by name, or when it was made.
    pub version: String,
    /// The first line of its message.
    pub subject: String,
    /// All of its files; what is unique and stored counts for the oldest version that has it.
    pub sizes: DuPart,
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
    /// Bytes of packs that were replaced and are not deleted yet.
    pub retired_bytes: u64,
    /// Objects in live packs.
    pub objects: u64,
    /// Live packs.
    pub packs: u64,
    /// The same by component. Content that two share counts for the first.
    pub by_component: [(Component, DuPart); 4],
    /// What each encoding made of all of it.
    pub by_encoding: Vec<Encodings>,
    /// The same by version, newest first.
    pub by_version: Vec<DuVersion>,
}

/// Adds up the sizes of everything that refs and the pasts of stages reach. Reads manifests and trees, not files.
///
/// # Errors
/// `Missing`, `Corrupt`.
pub fn du(repo: &Repo, session: &Session) -> Result<Du> {
    let task = session.progress.task("adding up", Unit::Items);
    let mut roots = repo.state().targets();
    roots.extend(reach::Ledgers::of(repo.store(), &repo.state().stages)?.versions);
    let versions = oldest_first(repo, &roots)?;
    let mut sum = Sum {
        repo,
        task: &task,
        seen: HashSet::new(),
        places: HashMap::new(),
        parts: Default::default(),
        versions: vec![Tally::default(); versions.len()],
    };
    for (at, (id, manifest)) in versions.iter().enumerate() {
        sum.places.insert(*id, at);
        for component in Component::ALL {
            let bytes = manifest.component(component).bytes;
            sum.parts[component.index()].sizes.logical_bytes += bytes;
            sum.versions[at].sizes.logical_bytes += bytes;
        }
    }
    let ids: Vec<Hash> = versions.iter().map(|(id, _)| *id).collect();
    reach::visit(repo.store(), &ids, &mut sum)?;
    let packs = repo.store().packs()?;
    let mut all = Tally::default();
    sum.parts.iter().for_each(|part| all.add(part));
    let by_version = versions.iter().zip(sum.versions).rev().map(|((id, manifest), tally)| {
        let version = called(repo, id).unwrap_or_else(|| manifest.created.version_stamp());
        let subject = manifest.subject().to_owned();
        DuVersion { id: *id, version, subject, sizes: tally.finish() }
    });
    let by_version = by_version.collect();
    let parts = sum.parts.map(Tally::finish);
    Ok(Du {
        versions: versions.len() as u64,
        logical_bytes: all.sizes.logical_bytes,
        unique_bytes: all.sizes.unique_bytes,
        stored_bytes: packs.iter().map(|p| p.bytes).sum(),
        retired_bytes: maintain::bytes_of(
            repo.transport(),
            repo.state().condemned.iter().chain(&repo.state().deleting),
        )?,
        objects: packs.iter().map(|p| u64::from(p.objects)).sum(),
        packs: packs.len() as u64,
        by_component: Component::ALL.map(|c| (c, parts[c.index()].clone())),
        by_encoding: all.finish().by_encoding,
        by_version,
    })
}

/// The first tag of a version.
fn called(repo: &Repo, id: &Hash) -> Option<String> {
    let tag = repo.state().tags.iter().find(|tag| tag.target == Some(*id))?;
    Some(tag.name.to_string())
}

/// All versions that some reach, so that what two of them share counts for the older one.
fn oldest_first(repo: &Repo, roots: &[Hash]) -> Result<Vec<(Hash, Manifest)>> {
    let mut found = HashMap::new();
    let mut open = roots.to_vec();
    while let Some(id) = open.pop() {
        if let Entry::Vacant(entry) = found.entry(id) {
            let manifest = Manifest::read(repo.store(), &id)?;
            open.extend(&manifest.parents);
            entry.insert(manifest);
        }
    }
    let mut versions: Vec<(Hash, Manifest)> = found.into_iter().collect();
    versions.sort_by_key(|(id, manifest)| (manifest.created.ns, *id));
    Ok(versions)
}

/// Sizes while they are being added up.
#[derive(Clone, Debug, Default)]
struct Tally {
    sizes: DuPart,
    /// Raw and stored bytes by the number of the encoding.
    encodings: [(u64, u64); Encoding::ALL.len()],
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.sizes.logical_bytes += other.sizes.logical_bytes;
        self.sizes.unique_bytes += other.sizes.unique_bytes;
        self.sizes.stored_bytes += other.sizes.stored_bytes;
        for (sum, (raw, stored)) in self.encodings.iter_mut().zip(other.encodings) {
            sum.0 += raw;
            sum.1 += stored;
        }
    }

    fn finish(self) -> DuPart {
        let encodings = Encoding::ALL.into_iter().zip(self.encodings);
        let used = encodings.filter(|(_, (raw, _))| *raw > 0);
        let by_encoding = used
            .map(|(encoding, (raw_bytes, stored_bytes))| Encodings {
                encoding,
                raw_bytes,
                stored_bytes,
            })
            .collect();
        DuPart { by_encoding, ..self.sizes }
    }
}

struct Sum<'a> {
    repo: &'a Repo,
    task: &'a mv_store::Task,
    seen: HashSet<Hash>,
    /// The number of each version.
    places: HashMap<Hash, usize>,
    parts: [Tally; 4],
    versions: Vec<Tally>,
}

impl Sum<'_> {
    /// Counts an object for its component and its version.
    fn count(&mut self, place: &Place<'_>, tally: &Tally) {
        if let Some(component) = place.component {
            self.parts[component.index()].add(tally);
        }
        if let Some(at) = self.places.get(place.manifest) {
            self.versions[*at].add(tally);
        }
    }
}

impl Visitor for Sum<'_> {
    fn enter(
        &mut self,
        _: Kind,
        id: &Hash,
        bytes: Option<u64>,
        place: &Place<'_>,
    ) -> mv_graph::Result<bool> {
        self.task.add(1);
        self.task.check()?;
        if !self.seen.insert(*id) {
            return Ok(true);
        }
        let mut tally = Tally::default();
        // In a part of a repository files are counted that are not here, and take no room.
        if self.repo.partial().is_some() && !self.repo.store().contains(id) {
            tally.sizes.unique_bytes = bytes.unwrap_or_default();
            self.count(place, &tally);
            return Ok(false);
        }
        let stored = self.repo.store().stored_as(id)?;
        tally.sizes.stored_bytes = stored.stored_bytes;
        // A file stored as a list is counted by its chunks. An environment is no file.
        let of_files = stored.kind == Kind::Blob && place.component.is_some();
        if of_files && stored.encoding != Encoding::List {
            tally.sizes.unique_bytes = stored.raw_bytes;
            tally.encodings[usize::from(stored.encoding.code())] =
                (stored.raw_bytes, stored.stored_bytes);
        }
        self.count(place, &tally);
        Ok(true)
    }
}
