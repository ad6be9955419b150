//! Bringing back what is damaged or missing, here or on a remote.
//!
//! What is sound in damaged packs goes into new ones, together with sound copies of the rest from
//! wherever there are some. Every object is compared with its id on its way, so nobody has to be
//! trusted. Then one record names the new packs instead of the damaged ones, whose files stay until
//! upkeep deletes them.
//!
//! Nothing that can be read is lost. A damaged pack stays in use as long as something is lacking that
//! a version needs and that may be in it: a pack that is taken out of use is deleted in time. An
//! error of the system says nothing about what is stored, so it takes no pack out of use.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mv_graph::State;
use mv_graph::reach::{self, Place, Visitor};
use mv_store::{
    Hash, Kind, PackId, Store, StoreWriter, Task, Trust, Unit, fs as store_fs, rescue,
    rescue_lists, verify_indexes,
};

use super::remote::There;
use super::{Findings, FsckOptions, FsckReport, OPERATION, Subject, examine_again, working};
use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::maintain;
use crate::remotes;
use crate::repo::Repo;
use crate::session::Session;

/// Nothing that was retired earlier is deleted by a repair: it may be needed for the next.
const NEVER: Duration = Duration::MAX;
/// Damaged packs themselves.
const SALVAGED: &str = "damaged packs";
/// Packs that others stand for and whose files are still there.
const RETIRED: &str = "packs that were replaced";
const HERE: &str = "this repository";
const WORKING: &str = "the working tree";

/// An object that is whole again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repaired {
    /// Its id.
    pub object: Hash,
    /// Where a sound copy was: a remote's name, or in words.
    pub from: String,
}

/// What a repair did.
#[derive(Clone, Debug, Default)]
pub struct RepairOutcome {
    /// What is wrong now.
    pub report: FsckReport,
    /// What was brought back, sorted.
    pub repaired: Vec<Repaired>,
    /// Sound objects that were copied out of damaged packs.
    pub salvaged: u64,
    /// Damaged packs that were taken out of use.
    pub retired: Vec<PackId>,
    /// Of those, the ones that held something that could neither be read nor brought back, and that
    /// no version needs.
    pub lossy: Vec<PackId>,
    /// Damaged packs that stay in use, because something that is lacking may be in them.
    pub kept: Vec<PackId>,
    /// Remotes that could not be asked, each with the reason.
    pub not_asked: Vec<(String, String)>,
}

/// Repairs this repository from the working tree and from every remote that it knows. Everything is
/// checked in full, before and after.
///
/// # Errors
/// As [`Repo::open`]; `LostRace` when somebody else was first, `Cancelled`, `Io`. What could not be
/// repaired is in the outcome.
pub fn repair(repo: &Repo, session: &Session) -> Result<RepairOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    let full = FsckOptions { full: true, sample: None };
    let layout = repo.layout();
    let findings = examine_again(layout, &full, &HashSet::new(), session)?;
    let mut outcome = RepairOutcome::default();
    if !findings.needs_repair() {
        outcome.report = findings.report;
        return Ok(outcome);
    }
    findings.must_be_of(repo.state())?;
    let open = |packs: &[PackId]| Store::open(&layout.dot, packs);
    let mut sources = vec![
        Source::own(SALVAGED, openable(&open(&findings.damaged), session)?.0, Trust::Nothing),
        Source::own(RETIRED, retired(&Depot::Here(repo), &open, session)?, Trust::Index),
        Source { name: WORKING.to_owned(), place: Copies::WorkingTree },
    ];
    let names: Vec<String> = repo.local_config().remotes.keys().cloned().collect();
    for name in names {
        let asked = remotes::connect(repo, Some(&name), false, session)
            .and_then(|remote| Ok(openable(&remote.store, session)?.0));
        match asked {
            Ok(store) => sources.push(Source::elsewhere(&name, store)),
            Err(Error::Store(mv_store::Error::Cancelled)) => {
                return Err(mv_store::Error::Cancelled.into());
            }
            Err(e) => outcome.not_asked.push((name, e.to_string())),
        }
    }
    let store = open(&repo.state().packs);
    let mend = Mend::plan(Depot::Here(repo), store, &findings, sources, &layout.dot, session)?;
    let new = mend.run(&mut outcome)?;
    let old = outcome.retired.clone();
    if !(old.is_empty() && new.is_empty()) {
        maintain::retire(repo, session, OPERATION, &old, &[], &new, NEVER)?;
    }
    outcome.report = examine_again(layout, &full, &findings.sound, session)?.report;
    outcome.report.count_too(&findings.report);
    Ok(outcome)
}

/// Repairs a remote from this repository. Everything there is checked in full, before and after.
///
/// # Errors
/// As [`super::fsck_remote`]; `LostRace` when somebody else was first, `Corrupt` when the remote's
/// newest record is damaged, which no object can make whole.
pub fn repair_remote(repo: &Repo, name: &str, session: &Session) -> Result<RepairOutcome> {
    let place = There::open(repo, name, session)?;
    let full = FsckOptions { full: true, sample: None };
    let findings = place.examine(&full, &HashSet::new(), session)?;
    let mut outcome = RepairOutcome::default();
    if !findings.needs_repair() {
        outcome.report = findings.report;
        return Ok(outcome);
    }
    let mut remote = remotes::connect(repo, Some(name), false, session)?;
    let scratch = remote.folder.join("leaving");
    store_fs::sweep_dir(&scratch);
    let new = {
        findings.must_be_of(remote.state()?)?;
        let depot = Depot::There(&remote, repo);
        let open = |packs: &[PackId]| place.store(packs);
        let sources = vec![
            Source::elsewhere(HERE, repo.store().here()),
            Source::own(SALVAGED, openable(&open(&findings.damaged), session)?.0, Trust::Nothing),
            Source::own(RETIRED, retired(&depot, &open, session)?, Trust::Index),
        ];
        let store = open(&depot.state().packs);
        let mend = Mend::plan(depot, store, &findings, sources, &scratch, session)?;
        let new = mend.run(&mut outcome)?;
        let task = session.progress.task("sending", Unit::Bytes);
        remote.recipient(&scratch, session).take_scratch(&new, &task)?
    };
    store_fs::sweep_dir(&scratch);
    let old = outcome.retired.clone();
    if !(old.is_empty() && new.is_empty()) {
        match maintain::retire_remote(&mut remote, OPERATION, &old, &[], &new, NEVER, session) {
            Err(Error::Graph(mv_graph::Error::LostRace { generation })) => {
                return Err(Error::LostRace { generation });
            }
            other => other?,
        }
    }
    outcome.report = place.examine(&full, &findings.sound, session)?.report;
    outcome.report.count_too(&findings.report);
    Ok(outcome)
}

/// Those packs of a store that open, and the others: each look for an object in such a one would be
/// another try to open it.
fn openable(store: &Store, session: &Session) -> Result<(Store, Vec<PackId>)> {
    let task = session.progress.task("opening packs", Unit::Items);
    let packs: Vec<PackId> = store.pack_ids().collect();
    let failed = verify_indexes(store, &packs, &task)?;
    let failed: Vec<PackId> = failed.into_iter().map(|(pack, _)| pack).collect();
    Ok((if failed.is_empty() { store.clone() } else { store.without(&failed) }, failed))
}

/// The packs that are on their way out and still there, as far as they open.
fn retired(
    depot: &Depot<'_>,
    open: &dyn Fn(&[PackId]) -> Store,
    session: &Session,
) -> Result<Store> {
    let state = depot.state();
    let mut there = Vec::new();
    for retired in state.condemned.iter().chain(&state.deleting) {
        if depot.transport().size(&retired.pack.file_name())?.is_some() {
            there.push(retired.pack);
        }
    }
    Ok(openable(&open(&there), session)?.0)
}

impl Findings {
    /// Whether anything is wrong that sound copies of objects can mend.
    fn needs_repair(&self) -> bool {
        let mendable = |kind: &str| matches!(kind, "pack" | "object" | "ledger");
        self.report.problems.iter().any(|problem| mendable(&problem.kind))
    }

    /// Refuses a state that somebody else has recorded since the check.
    fn must_be_of(&self, state: &State) -> Result<()> {
        let generation = self.state.as_ref().map(|checked| checked.generation);
        if generation == Some(state.generation) {
            return Ok(());
        }
        Err(Error::LostRace { generation: state.generation })
    }
}

/// A place that may have sound copies.
struct Source {
    name: String,
    place: Copies,
}

enum Copies {
    /// In packs that are what is repaired, or were.
    Own(Store, Trust),
    /// In packs elsewhere.
    Elsewhere(Store),
    /// In files.
    WorkingTree,
}

impl Source {
    fn own(name: &str, store: Store, trust: Trust) -> Source {
        Source { name: name.to_owned(), place: Copies::Own(store, trust) }
    }

    fn elsewhere(name: &str, store: Store) -> Source {
        Source { name: name.to_owned(), place: Copies::Elsewhere(store) }
    }

    fn store(&self) -> Option<&Store> {
        match &self.place {
            Copies::Own(store, _) | Copies::Elsewhere(store) => Some(store),
            Copies::WorkingTree => None,
        }
    }

    fn is_damaged(&self) -> bool {
        matches!(self.place, Copies::Own(_, Trust::Nothing))
    }

    /// A place elsewhere that stops answering is no reason not to ask the next.
    fn asked(&self, answer: mv_store::Result<()>, outcome: &mut RepairOutcome) -> Result<()> {
        match (answer, &self.place) {
            (Err(e @ mv_store::Error::Remote { .. }), Copies::Elsewhere(_)) => {
                outcome.not_asked.push((self.name.clone(), e.to_string()));
                Ok(())
            }
            (answer, _) => Ok(answer?),
        }
    }
}

/// A repair that is about to be made. Making it writes nothing.
struct Mend<'a> {
    depot: Depot<'a>,
    session: &'a Session,
    findings: &'a Findings,
    /// In the order in which they are asked.
    sources: Vec<Source>,
    /// Live packs in which nothing is wrong.
    healthy: Store,
    /// Live packs of which something cannot be read now.
    unreadable: Store,
    /// Live packs of which something is damaged.
    damaged: Store,
    /// Everything that there is anywhere.
    joined: Store,
    /// Objects that no healthy pack has: those of the damaged packs, and what versions need.
    wanted: HashSet<Hash>,
    /// Objects that versions need.
    needed: HashSet<Hash>,
    /// Damaged packs whose index cannot be believed.
    unsound: Vec<PackId>,
    /// The folder below which new packs are written.
    root: PathBuf,
}

impl<'a> Mend<'a> {
    fn plan(
        depot: Depot<'a>,
        store: Store,
        findings: &'a Findings,
        sources: Vec<Source>,
        root: &Path,
        session: &'a Session,
    ) -> Result<Mend<'a>> {
        let not_healthy: Vec<PackId> =
            findings.damaged.iter().chain(&findings.unreadable).copied().collect();
        let healthy = store.without(&not_healthy);
        // Packs that cannot be read now may be read next time: what is in them is not given up.
        let unreadable = store.only(&findings.unreadable);
        let places = sources.iter().filter_map(Source::store);
        let nearest = match depot {
            Depot::Here(_) => healthy.clone(),
            Depot::There(_, repo) => repo.store().here().join(&healthy),
        };
        let joined = places.fold(nearest, |all, place| all.join(place)).join(&unreadable);
        let (damaged, unopened) = openable(&store.only(&findings.damaged), session)?;
        let (told, mut unsound) = damaged.ids_as_told()?;
        unsound.extend(unopened);
        let mut wanted: HashSet<Hash> = told.into_iter().collect();
        wanted.extend(findings.bad.iter());
        let subject = Subject {
            transport: depot.transport(),
            open: &|_| store.clone(),
            nearer: None,
            past: matches!(depot, Depot::Here(_)),
            partial: depot.is_partial(),
            sound: &HashSet::new(),
        };
        let roots = subject.roots(&joined, depot.state());
        let task = session.progress.task("finding what is missing", Unit::Items);
        let mut needs = Needs { ids: roots.entries, task: &task, partial: depot.is_partial() };
        needs.ids.extend(depot.state().stages.iter().map(|stage| stage.ledger));
        reach::visit(&joined, &roots.versions, &mut needs)?;
        let needed = needs.ids;
        wanted.extend(&needed);
        let there = |id: &Hash| unreadable.contains(id) && !findings.bad.contains(id);
        wanted.retain(|id| !healthy.contains(id) && !there(id));
        let root = root.to_path_buf();
        Ok(Mend {
            depot,
            session,
            findings,
            sources,
            healthy,
            unreadable,
            damaged,
            joined,
            wanted,
            needed,
            unsound,
            root,
        })
    }

    /// Writes packs with all that is found, which no record names yet.
    fn run(&self, outcome: &mut RepairOutcome) -> Result<Vec<PackId>> {
        let task = self.session.progress.task("looking for sound copies", Unit::Bytes);
        let mut left = self.wanted.clone();
        let writer = StoreWriter::begin_at(&self.root, &self.healthy, &self.session.nonces)?;
        for source in &self.sources {
            if left.is_empty() {
                break;
            }
            match (&source.place, self.depot) {
                (Copies::Own(store, trust), _) => {
                    rescue(&writer, store, &left, *trust, &task)?;
                }
                (Copies::Elsewhere(store), _) => {
                    let answer = rescue(&writer, store, &left, Trust::Index, &task);
                    source.asked(answer, outcome)?;
                }
                (Copies::WorkingTree, Depot::Here(repo)) => {
                    // What is sound in its damaged pack need not be made again.
                    let lost = left.iter().filter(|id| !self.was_sound(id)).copied().collect();
                    working::rescue(repo, &writer, &self.joined, &lost, self.session)?;
                }
                (Copies::WorkingTree, Depot::There(..)) => {}
            }
            self.note(source, &writer, &mut left, outcome);
        }
        let mut packs = writer.finish()?.packs;
        packs.extend(self.decoded_again(&packs, &mut left, outcome, &task)?);
        packs.extend(self.lists(&packs, &mut left, outcome, &task)?);
        outcome.repaired.sort();
        self.judge(&left, outcome);
        Ok(packs)
    }

    /// Takes what can be decoded now that what it is coded against was brought back.
    fn decoded_again(
        &self,
        brought: &[PackId],
        left: &mut HashSet<Hash>,
        outcome: &mut RepairOutcome,
        task: &Task,
    ) -> Result<Vec<PackId>> {
        let mut packs = brought.to_vec();
        let mut before = usize::MAX;
        while !left.is_empty() && left.len() < before {
            before = left.len();
            let parts = self.healthy.join(&Store::open(&self.root, &packs));
            let writer = StoreWriter::begin_at(&self.root, &parts, &self.session.nonces)?;
            for source in &self.sources {
                if let Copies::Own(store, trust) = &source.place {
                    rescue(&writer, store, left, *trust, task)?;
                    self.note(source, &writer, left, outcome);
                }
            }
            packs.extend(writer.finish()?.packs);
        }
        Ok(packs.split_off(brought.len()))
    }

    /// Takes lists, whose chunks must be there first: they are in the packs that were just written.
    /// A list whose chunks are lost is kept if it is all there is to tell of them.
    fn lists(
        &self,
        chunks: &[PackId],
        left: &mut HashSet<Hash>,
        outcome: &mut RepairOutcome,
        task: &Task,
    ) -> Result<Vec<PackId>> {
        let parts = self.healthy.join(&Store::open(&self.root, chunks)).join(&self.unreadable);
        let writer = StoreWriter::begin_at(&self.root, &parts, &self.session.nonces)?;
        let most = crate::fetch::disk_size(&self.root)?;
        let (own, others): (Vec<&Source>, Vec<&Source>) =
            self.sources.iter().partition(|source| source.is_damaged());
        let proven = own.iter().chain(&others).map(|source| (source, true));
        for (source, proof) in proven.chain(own.iter().map(|source| (source, false))) {
            if left.is_empty() {
                break;
            }
            let Some(store) = source.store() else { continue };
            let answer = rescue_lists(&writer, store, &parts, left, proof, most, task);
            source.asked(answer, outcome)?;
            self.note(source, &writer, left, outcome);
        }
        Ok(writer.finish()?.packs)
    }

    /// Notes what was found in a place, of what was left to find.
    fn note(
        &self,
        source: &Source,
        writer: &StoreWriter<'_>,
        left: &mut HashSet<Hash>,
        outcome: &mut RepairOutcome,
    ) {
        left.retain(|id| {
            if !writer.took(id) {
                return true;
            }
            if source.is_damaged() || self.was_sound(id) {
                outcome.salvaged += 1;
            } else {
                outcome.repaired.push(Repaired { object: *id, from: source.name.clone() });
            }
            false
        });
    }

    /// Whether an object is sound in its damaged pack: it was never lost, wherever it is copied from.
    fn was_sound(&self, id: &Hash) -> bool {
        self.damaged.contains(id) && !self.findings.bad.contains(id)
    }

    /// Says which damaged packs stay in use.
    fn judge(&self, left: &HashSet<Hash>, outcome: &mut RepairOutcome) {
        let lacking = left.iter().any(|id| self.needed.contains(id));
        for &pack in &self.findings.damaged {
            // A pack of which something cannot be read now is not given up.
            let readable = !self.findings.unreadable.contains(&pack);
            let alone = self.damaged.only(&[pack]);
            let holds_lost =
                self.unsound.contains(&pack) || left.iter().any(|id| alone.contains(id));
            if !readable || (lacking && holds_lost) {
                outcome.kept.push(pack);
                continue;
            }
            outcome.retired.push(pack);
            if holds_lost {
                outcome.lossy.push(pack);
            }
        }
    }
}

/// Gathers everything that versions need and that is anywhere to be found, or named.
struct Needs<'a> {
    ids: HashSet<Hash>,
    task: &'a Task,
    /// Whether files' contents are not all meant to be there.
    partial: bool,
}

impl Visitor for Needs<'_> {
    fn enter(
        &mut self,
        kind: Kind,
        id: &Hash,
        _: Option<u64>,
        _: &Place<'_>,
    ) -> mv_graph::Result<bool> {
        self.task.add(1);
        self.task.check()?;
        if self.partial && kind == Kind::Blob {
            return Ok(false);
        }
        self.ids.insert(*id);
        Ok(true)
    }

    fn problem(
        &mut self,
        _: Kind,
        _: &Hash,
        _: &Place<'_>,
        error: mv_graph::Error,
    ) -> mv_graph::Result<()> {
        match error {
            mv_graph::Error::Store(mv_store::Error::Cancelled) => Err(error),
            _ => Ok(()),
        }
    }
}
