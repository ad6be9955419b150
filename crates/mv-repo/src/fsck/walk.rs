//! Following every version to its files: what is missing or damaged, and which paths suffer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use mv_graph::reach::{self, Ledgers, Place, Visitor};
use mv_graph::{State, chain};
use mv_store::{Hash, Kind, Store, Unit};

use super::{FsckOptions, FsckReport, Problem, Subject};
use crate::error::Result;
use crate::session::Session;

/// Where a walk begins.
pub(super) struct Roots {
    /// Versions. What is current comes first, so that damage is told of the paths that matter most.
    pub(super) versions: Vec<Hash>,
    /// The ledgers' entries.
    pub(super) entries: HashSet<Hash>,
    /// Ledgers that cannot be followed to their first entry, by the stage's name.
    pub(super) broken: Vec<(String, mv_graph::Error)>,
}

impl Subject<'_> {
    /// Every version that any record that counts names. What a broken ledger still names is
    /// gathered.
    pub(super) fn roots(&self, store: &Store, state: &State) -> Roots {
        let mut versions: Vec<Hash> = state.targets();
        let mut seen: HashSet<Hash> = versions.iter().copied().collect();
        let mut ledgers = Ledgers::default();
        let mut broken = Vec::new();
        let mut follow = |state: &State| {
            for stage in &state.stages {
                if let Err(e) = ledgers.add(store, stage) {
                    broken.push((stage.name.to_string(), e));
                }
            }
        };
        follow(state);
        if self.past {
            for record in chain::history(self.transport, state).flatten() {
                let targets = record.state.targets().into_iter();
                versions.extend(targets.filter(|id| seen.insert(*id)));
                follow(&record.state);
            }
        }
        versions.extend(ledgers.versions.into_iter().filter(|id| seen.insert(*id)));
        Roots { versions, entries: ledgers.entries, broken }
    }

    /// Walks everything that any kept record names, and notes what is missing or damaged and which
    /// paths suffer from it.
    pub(super) fn check_reachable(
        &self,
        state: &State,
        store: &Store,
        options: &FsckOptions,
        report: &mut FsckReport,
        session: &Session,
    ) -> Result<()> {
        let task = session.progress.task("checking versions", Unit::Items);
        if self.nearer.is_some() {
            // Versions form chains: far away each would cost a round trip. What does not come now is
            // asked for again, and then told of.
            let versions = store.ids_of(Kind::Manifest);
            drop(versions.and_then(|ids| store.read_ahead(Kind::Manifest, &ids)));
        }
        let roots = self.roots(store, state);
        for (stage, error) in roots.broken {
            match error {
                mv_graph::Error::Store(
                    mv_store::Error::Remote { .. } | mv_store::Error::Cancelled,
                ) => return Err(error.into()),
                error => report.add("ledger", stage, error),
            }
        }
        let objects = report.problems.iter().filter(|p| p.kind == "object");
        let damaged: BTreeSet<String> = objects.map(|p| p.object.clone()).collect();
        let chunks = match &self.nearer {
            Some(nearer) => nearer.join(store),
            None => store.clone(),
        };
        let mut walk = Walk {
            store,
            chunks: &chunks,
            task: &task,
            full: options.full,
            partial: self.partial,
            damaged,
            found: BTreeMap::new(),
            objects: 0,
            bytes: 0,
        };
        reach::visit(store, &roots.versions, &mut walk)?;
        if !options.full {
            report.checked_objects += walk.objects + roots.entries.len() as u64;
        }
        report.checked_bytes += walk.bytes;
        for (object, (detail, paths)) in walk.found {
            match report.problems.iter_mut().find(|p| p.kind == "object" && p.object == object) {
                Some(problem) => problem.paths = paths,
                None => {
                    report.problems.push(Problem { kind: "object".into(), object, paths, detail });
                }
            }
        }
        Ok(())
    }
}

struct Walk<'a> {
    store: &'a Store,
    /// Where chunks are read to see what a list adds up to.
    chunks: &'a Store,
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
        // A list whose form is damaged is met twice in a row.
        if entry.1.last() != path.as_ref() {
            entry.1.extend(path);
        }
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
        if let mv_graph::Error::Store(mv_store::Error::Cancelled | mv_store::Error::Remote { .. }) =
            error
        {
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
        if self.full {
            match self.store.verify_list(id, self.chunks, self.task) {
                Ok(read) => self.bytes += read,
                Err(e @ (mv_store::Error::Cancelled | mv_store::Error::Remote { .. })) => {
                    return Err(e.into());
                }
                Err(e) => self.note(id, place, e.to_string()),
            }
        }
        Ok(())
    }
}
