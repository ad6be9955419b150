//! [`Judge`]: what must hold of the remote after every change, and in the end.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use mv_graph::chain::{self, name_of};
use mv_graph::reach::{Ledgers, reachable};
use mv_graph::{State, ledger, walk};
use mv_store::{Hash, Nonces, PackId, Store, Transport};
use mv_tests::memory_transport::{Gate, Memory, MemoryTransport, Op};

use super::scenario::{Promise, Scenario, clone, gc, session, sound};
use super::stage::digest;

/// What the law says: nothing or what was broken.
type Verdict = Result<(), String>;

pub(super) struct Judge<'a> {
    scenario: &'a Scenario,
    /// Holds indexes of packs, which are the same in every run.
    folder: PathBuf,
    /// The newest records of this run, from the one that it began with.
    records: Vec<(Hash, Arc<State>)>,
    /// Records with the packs that were there, found sound.
    sound: HashSet<u64>,
    /// Moves between records, found allowed.
    moves: HashSet<(Hash, Hash)>,
    /// Places that were found sound in the end.
    ends: HashSet<u64>,
    states: HashMap<Hash, Arc<State>>,
}

/// The newest record of a place, by its name.
fn newest(memory: &Memory) -> Option<(u64, Hash, Vec<u8>)> {
    let objects = memory.objects();
    let (name, object) = objects.range("state/".to_owned().."state0".to_owned()).next_back()?;
    let generation = name.strip_prefix("state/")?.parse().ok()?;
    Some((generation, object.id(), object.bytes().to_vec()))
}

impl<'a> Judge<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Judge<'a> {
        Judge {
            scenario,
            folder: scenario.folder("judge"),
            records: Vec::new(),
            sound: HashSet::new(),
            moves: HashSet::new(),
            ends: HashSet::new(),
            states: HashMap::new(),
        }
    }

    /// A run begins.
    pub(super) fn begin(&mut self) {
        self.records.clear();
        if let Some((generation, hash, bytes)) = newest(&self.scenario.memory) {
            let state = self.decode(generation, hash, &bytes).unwrap();
            self.records.push((hash, state));
        }
    }

    fn decode(&mut self, generation: u64, hash: Hash, bytes: &[u8]) -> Result<Arc<State>, String> {
        if let Some(state) = self.states.get(&hash) {
            return Ok(Arc::clone(state));
        }
        let name = name_of(generation);
        let state = State::decode(bytes, &name).map_err(|e| format!("`{name}`: {e}"))?;
        let state = Arc::new(state);
        self.states.insert(hash, Arc::clone(&state));
        Ok(state)
    }

    /// Something changed.
    pub(super) fn after(&mut self, memory: &Arc<Memory>, op: &Op) -> Verdict {
        if let Op::Create(name, object) = op
            && name.starts_with("state/")
        {
            self.recorded(memory, name, object.id())?;
        }
        self.sound(memory)
    }

    /// Things changed that nobody watched.
    pub(super) fn after_all(&mut self, memory: &Arc<Memory>) -> Verdict {
        let Some((last, ..)) = newest(memory) else { return Ok(()) };
        let known = self.records.last().map_or(0, |(_, state)| state.generation);
        for generation in known + 1..=last {
            let object = memory.objects().get(&name_of(generation)).cloned();
            let object = object.ok_or(format!("generation {generation} is missing"))?;
            self.record(memory, generation, object.id(), object.bytes())?;
        }
        self.sound(memory)
    }

    fn recorded(&mut self, memory: &Arc<Memory>, name: &str, hash: Hash) -> Verdict {
        match newest(memory) {
            Some((generation, newest, bytes)) if newest == hash => {
                self.record(memory, generation, hash, &bytes)
            }
            _ => Err(format!("`{name}` was created behind a newer record")),
        }
    }

    /// A record became the newest: it must follow the one before it, and move only what it may.
    fn record(
        &mut self,
        memory: &Arc<Memory>,
        generation: u64,
        hash: Hash,
        bytes: &[u8],
    ) -> Verdict {
        let next = self.decode(generation, hash, bytes)?;
        let before = self.records.last().cloned();
        self.records.push((hash, Arc::clone(&next)));
        let Some((last, before)) = before else { return Ok(()) };
        if next.generation != before.generation + 1 || next.previous != last {
            return Err(format!("record {generation} does not follow the one before it"));
        }
        if self.moves.contains(&(last, hash)) {
            return Ok(());
        }
        let store = self.store(memory, &next);
        for branch in &before.branches {
            let name = &branch.name;
            match next.branch(name.as_str()) {
                Some(now) if now.target == branch.target => {}
                Some(now) => {
                    let moved = walk::is_ancestor(&store, &branch.target, &now.target);
                    if !moved.is_ok_and(|forward| forward) {
                        return Err(format!("`{name}` lost a version in record {generation}"));
                    }
                }
                None if next.operation == format!("push --delete {name}") => {}
                None => return Err(format!("`{name}` was lost in record {generation}")),
            }
        }
        for tag in &before.tags {
            let now = next.tag(tag.name.as_str());
            if now.is_none_or(|now| now.target != tag.target) {
                return Err(format!("tag `{}` moved in record {generation}", tag.name));
            }
        }
        for stage in &before.stages {
            let now = next.stage(stage.name.as_str());
            let mut moves = now.into_iter().flat_map(|now| ledger::walk(&store, now));
            if !moves.any(|entry| entry.is_ok_and(|(id, _)| id == stage.ledger)) {
                return Err(format!("the ledger of `{}` was cut off", stage.name));
            }
        }
        self.moves.insert((last, hash));
        Ok(())
    }

    fn store(&self, memory: &Arc<Memory>, state: &State) -> Store {
        let gate: Arc<dyn Gate> = Arc::clone(memory) as Arc<dyn Gate>;
        let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new(gate));
        let there = |pack: &PackId| memory.objects().contains_key(&pack.file_name());
        let packs: Vec<PackId> = state.packs.iter().copied().filter(there).collect();
        let nonces = Nonces::from_seed([0x1d; 32]);
        Store::open_remote(transport, &self.folder, &packs, &nonces)
    }

    /// Everything that the newest record names is there, in packs that it lists.
    fn sound(&mut self, memory: &Arc<Memory>) -> Verdict {
        let Some((hash, state)) = self.records.last().cloned() else { return Ok(()) };
        let there: Vec<bool> = {
            let objects = memory.objects();
            let there = |pack: &PackId| {
                objects.get(&pack.file_name()).is_some_and(|object| object.id() == pack.0)
            };
            state.packs.iter().map(there).collect()
        };
        let key = digest((hash, &there));
        if self.sound.contains(&key) {
            return Ok(());
        }
        let generation = state.generation;
        let store = self.store(memory, &state);
        let mut roots = state.targets();
        let ledgers = Ledgers::of(&store, &state.stages)
            .map_err(|e| format!("a ledger of record {generation}: {e}"))?;
        roots.extend(ledgers.versions);
        reachable(&store, &roots, &HashSet::new())
            .map_err(|e| format!("a version of record {generation}: {e}"))?;
        if let Some(lost) = there.iter().position(|there| !there) {
            let pack = state.packs[lost];
            return Err(format!("record {generation} lists the pack {pack}, which is not there"));
        }
        self.sound.insert(key);
        Ok(())
    }

    /// What an actor was told is true.
    pub(super) fn kept(&self, seat: usize) -> Verdict {
        let actor = &self.scenario.actors[seat];
        let states = || self.records.iter().map(|(_, state)| state);
        match &actor.promise {
            Promise::Nothing => Ok(()),
            Promise::At(branch, target) => {
                let at =
                    |state: &Arc<State>| state.branch(branch).is_some_and(|b| b.target == *target);
                match states().any(at) {
                    true => Ok(()),
                    false => {
                        Err(format!("{} was told yes, and `{branch}` never moved", actor.name))
                    }
                }
            }
            Promise::Gone(branch) => match states().any(|state| state.branch(branch).is_none()) {
                true => Ok(()),
                false => Err(format!("{} was told yes, and `{branch}` is there", actor.name)),
            },
        }
    }

    /// What an actor failed to do was done before, if it cannot be done twice.
    pub(super) fn given_up(&self, seat: usize) -> Verdict {
        match self.scenario.actors[seat].promise {
            Promise::Gone(_) => self.kept(seat),
            _ => Ok(()),
        }
    }

    /// All have gone home: a clone works and is sound, and gc finds everything that is of no use.
    pub(super) fn verdict(&mut self, memory: &Arc<Memory>) -> Verdict {
        let key = {
            let objects = memory.objects();
            let all: Vec<_> = objects.iter().map(|(name, object)| (name, object.id())).collect();
            digest(all)
        };
        if self.ends.contains(&key) || newest(memory).is_none() {
            return Ok(());
        }
        let gate: Arc<dyn Gate> = Arc::clone(memory) as Arc<dyn Gate>;
        let transport = MemoryTransport::new(Arc::clone(&gate));
        if let Some(problem) = chain::verify(&transport).unwrap().first() {
            return Err(format!("`{}`: {}", problem.name, problem.detail));
        }
        let home = self.scenario.folder("audience");
        let afresh = || {
            if home.exists() {
                std::fs::remove_dir_all(&home).unwrap();
            }
        };
        let failed = |e: mv_repo::Error| format!("a clone in the end: {e}");
        afresh();
        let session = session([0xfe, 1], gate);
        clone(&home, &session).map_err(failed)?;
        sound(&home, &session);
        // Three: what is dropped, what is deleted, what is forgotten.
        for _ in 0..3 {
            gc(&home, &session).map_err(|e| format!("a gc in the end: {e}"))?;
            self.after_all(memory)?;
        }
        let Some((_, state)) = self.records.last().cloned() else { return Ok(()) };
        for folder in memory.names("packs") {
            for name in memory.names(&folder) {
                if !state.packs.iter().any(|pack| pack.file_name() == name) {
                    return Err(format!("gc leaves `{name}`, which nobody names"));
                }
            }
        }
        if !state.condemned.is_empty() || !state.deleting.is_empty() {
            return Err("gc leaves packs on their way out".to_owned());
        }
        afresh();
        clone(&home, &session).map_err(failed)?;
        sound(&home, &session);
        self.ends.insert(key);
        Ok(())
    }
}
