//! Objects that are coded against others: which copy to choose, and the bytes of its bases.
//!
//! A copy of an object in a pack may need other objects, and those others again. The **depth** of a
//! copy is 0 when it needs none, else one more than that of its deepest base, each taken at its
//! least. Whoever reads, copies or drops objects chooses the copy of least depth. So what is chosen
//! is never a circle, even when two packs hold two objects, each coded against the other.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use super::cache::BlockCache;
use super::{Found, Store, mismatch};
use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{Hash, Kind, id_of};
use crate::pack::{Block, MAX_BASE_BYTES, MAX_CHUNK, Pack, PackId};

/// Copies that are deeper are not read; writers stay far below.
pub(crate) const MAX_DEPTH: u32 = 32;
/// Others that an object may need; only hostile packs reach it, and the next two.
const MAX_OTHERS: usize = 1 << 16;
/// Raw bytes that may be decoded for one object, so that what a few bytes name comes to an end.
const MAX_WORK: u64 = 16 << 30;
/// Raw bytes of bases that may be held at once for one object.
const MAX_HELD: u64 = 256 << 20;
/// Choices of copies that are remembered: some 10 MB.
pub(super) const REMEMBERED: usize = 1 << 16;

/// What has to be read for an object besides its own block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Blocks that have to be decoded one after the other before its own.
    pub(crate) depth: u32,
    /// Stored bytes of its own block and all of those, as far as they are this object's share.
    pub(crate) bytes: u64,
    /// Raw bytes that are decoded for it, a block as often as another one needs it.
    pub(crate) work: u64,
    /// Raw bytes of bases that are held at once while it is decoded.
    pub(crate) held: u64,
    /// Whether another pack has a copy of it too, or of anything that it needs.
    pub(crate) twin: bool,
}

/// The copy of each object that is read, and what it needs; none where there is no such copy.
pub(super) type Choices = HashMap<Hash, Option<(Found, Chain)>>;

/// Where an object is taken from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) slot: usize,
    /// The number of its block in the pack.
    pub(crate) block: u32,
    pub(crate) stored_len: u32,
    /// What the block is coded against.
    pub(crate) bases: Vec<Hash>,
}

impl Store {
    /// The copy of a blob or chunk that needs the fewest others, of those that can be decoded with
    /// what is here; lists do not count.
    ///
    /// # Errors
    /// What opening a pack gives, when no copy was found in the others.
    pub(super) fn best(&self, id: &Hash) -> Result<Option<(Found, Chain)>> {
        let known = self.0.choices.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
        if let Some(choice) = known {
            return Ok(choice);
        }
        let mut search = Search::default();
        if let Err(error) = search.gather(self, id) {
            // Whoever asks again is not to look for so long again.
            self.0.choices.lock().unwrap_or_else(PoisonError::into_inner).insert(*id, None);
            return Err(error);
        }
        search.settle();
        let choice = search.settled.get(id).copied();
        match search.unreadable {
            Some(error) if choice.is_none() => return Err(error),
            // With all packs there might be better ones.
            Some(_) => {}
            None => {
                let mut choices = self.0.choices.lock().unwrap_or_else(PoisonError::into_inner);
                if choices.len() > REMEMBERED {
                    choices.clear();
                }
                choices.extend(search.open.into_keys().map(|id| (id, None)));
                choices.extend(search.settled.into_iter().map(|(id, choice)| (id, Some(choice))));
            }
        }
        Ok(choice)
    }

    /// What has to be read for a chunk; none when it is not here, or cannot be decoded.
    pub(crate) fn chain(&self, id: &Hash) -> Option<Chain> {
        self.best(id).ok().flatten().map(|(_, chain)| chain)
    }

    /// The depth of a block that is coded against these.
    pub(crate) fn depth_over(&self, bases: &[Hash]) -> u32 {
        let depth = |base: &Hash| self.chain(base).map_or(MAX_DEPTH, |chain| chain.depth + 1);
        bases.iter().map(depth).max().unwrap_or(0)
    }

    /// The copies of an object that are no lists. What cannot be opened has none, and is noted.
    fn copies(&self, id: &Hash, unreadable: &mut Option<Error>) -> Vec<Candidate> {
        let mut copies = Vec::new();
        for slot in 0..self.0.slots.len() {
            let found = match self.locate_in(slot, id) {
                Ok(Some(found)) if found.block.encoding != Encoding::List => found,
                Ok(_) => continue,
                Err(e) => {
                    unreadable.get_or_insert(e);
                    continue;
                }
            };
            let bases = self.pack(slot).and_then(|pack| pack.index.bases(&found.block));
            // A record that is not sound is no copy.
            copies.extend(bases.ok().map(|bases| Candidate { found, bases }));
        }
        copies
    }

    /// The objects that the best copy of an object is coded against; none when it needs none.
    ///
    /// # Errors
    /// What opening a pack gives.
    pub fn bases_of(&self, id: &Hash) -> Result<Vec<Hash>> {
        match self.locate(id)? {
            Some(found) if found.block.encoding.has_bases() => {}
            _ => return Ok(Vec::new()),
        }
        let Some((found, _)) = self.best(id)? else { return Ok(Vec::new()) };
        self.pack(found.slot)?.index.bases(&found.block)
    }

    /// The one chunk that the best copy of a chunk of numbers is coded against; none when it is stored in
    /// another way.
    pub(crate) fn delta_base(&self, id: &Hash) -> Option<Hash> {
        let (found, _) = self.best(id).ok()??;
        if found.block.encoding != Encoding::Delta {
            return None;
        }
        let bases = self.pack(found.slot).ok()?.index.bases(&found.block).ok()?;
        <[Hash; 1]>::try_from(bases).ok().map(|[base]| base)
    }

    /// Adds objects to others, with all that they are coded against, and what those are. Costs a look at
    /// each of them.
    ///
    /// # Errors
    /// What opening a pack gives.
    pub fn add_with_bases(&self, to: &mut HashSet<Hash>, ids: Vec<Hash>) -> Result<()> {
        let mut coded = false;
        for slot in 0..self.0.slots.len() {
            coded |= self.pack(slot)?.index.base_count() > 0;
        }
        to.extend(&ids);
        let mut open = if coded { ids } else { Vec::new() };
        while let Some(id) = open.pop() {
            open.extend(self.bases_of(&id)?.into_iter().filter(|base| to.insert(*base)));
        }
        Ok(())
    }

    /// The objects that blocks of a pack are coded against.
    ///
    /// # Errors
    /// `Stale` for a pack that is not in the snapshot, or what opening it gives.
    pub fn bases_in(&self, pack: PackId) -> Result<HashSet<Hash>> {
        let slot = self.pack_ids().position(|id| id == pack);
        let slot = slot.ok_or_else(|| Error::Stale { name: pack.to_string() })?;
        Ok(self.pack(slot)?.index.all_bases().collect())
    }

    /// The best place to take an object from: a list only where it is stored in no other way, for others
    /// may be coded against it.
    pub(crate) fn origin(&self, id: &Hash) -> Result<Option<Origin>> {
        let found = match self.locate(id)? {
            Some(found) if found.is_list() => match self.best(id)? {
                Some((whole, _)) => Some(whole),
                None => Some(self.better(id, found)),
            },
            Some(found) if found.block.encoding.has_bases() => match self.better(id, found) {
                list if list.is_list() => Some(list),
                _ => self.best(id)?.map(|(best, _)| best),
            },
            other => other,
        };
        let Some(Found { slot, place, block }) = found else { return Ok(None) };
        let bases = self.pack(slot)?.index.bases(&block)?;
        Ok(Some(Origin { slot, block: place.block, stored_len: block.stored_len, bases }))
    }

    /// Where the best copy of an object is: a slot, and the number of a block in its pack.
    pub(crate) fn block_of(&self, id: &Hash) -> Result<Option<(usize, u32)>> {
        Ok(self.best(id)?.map(|(found, _)| (found.slot, found.place.block)))
    }

    /// Reads a chunk without comparing it with its id: for whoever compares what comes of it.
    pub(crate) fn chunk_bytes(&self, id: &Hash) -> Result<Vec<u8>> {
        match self.best(id)? {
            Some((found, _)) => self.bytes_of(&found),
            None => Err(Error::Missing { kind: Kind::Blob, id: *id }),
        }
    }

    /// The bytes of a block's bases, one after the other; empty for a block without.
    pub(crate) fn base_bytes(&self, pack: &Pack, block: &Block) -> Result<Vec<u8>> {
        self.gather_bases(pack, block, &mut |id| self.base(id))
    }

    /// Reads an object that others are coded against, without comparing it with its id.
    fn base(&self, id: &Hash) -> Result<Vec<u8>> {
        match self.best(id)? {
            Some((found, _)) => self.bytes_of(&found),
            None => match self.elsewhere()? {
                Some(elsewhere) => elsewhere.get(Kind::Blob, id, MAX_CHUNK),
                None => Err(Error::Missing { kind: Kind::Blob, id: *id }),
            },
        }
    }

    fn gather_bases(
        &self,
        pack: &Pack,
        block: &Block,
        read: &mut dyn FnMut(&Hash) -> Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let mut all: Vec<u8> = Vec::new();
        let mut there: HashMap<Hash, Range<usize>> = HashMap::new();
        for id in pack.index.bases(block)? {
            let start = all.len();
            // One that is named again is not read again.
            let known = there.get(&id).cloned();
            let bytes = if known.is_none() { read(&id)? } else { Vec::new() };
            let len = known.as_ref().map_or(bytes.len(), Range::len);
            if (start + len) as u64 > MAX_BASE_BYTES {
                return Err(Error::corrupt("pack", pack.id, "the bases of a block are too large"));
            }
            match known {
                Some(range) => all.extend_from_within(range),
                None if all.is_empty() => all = bytes,
                None => all.extend_from_slice(&bytes),
            }
            there.insert(id, start..all.len());
        }
        Ok(all)
    }

    /// Reads an object whose bases cannot be believed: each is compared with its id, and all copies
    /// are tried. For what came out wrong the quick way.
    pub(super) fn prove_at(&self, found: &Found) -> Result<Vec<u8>> {
        let bases = self.pack(found.slot)?.index.bases(&found.block)?;
        let mut proof = Proof::default();
        proof.gather(self, &bases)?;
        proof.settle(self);
        proof.read(self, found)
    }
}

impl Chain {
    /// Of a copy, before what it is coded against.
    fn of(found: &Found, twin: bool) -> Chain {
        let work = found.block.raw_len;
        Chain { depth: 0, bytes: found.stored_len(), work, held: 0, twin }
    }
}

/// A copy of an object and what it is coded against.
struct Candidate {
    found: Found,
    bases: Vec<Hash>,
}

/// The search for the copies of least depth: of an object and of all that it may need.
#[derive(Default)]
struct Search {
    /// Copies of objects of which none is settled.
    open: HashMap<Hash, Vec<Candidate>>,
    settled: HashMap<Hash, (Found, Chain)>,
    /// Why not all packs were looked at.
    unreadable: Option<Error>,
}

impl Search {
    /// Finds the copies of an object and of all that these may need. Those that need nothing are
    /// settled.
    fn gather(&mut self, store: &Store, id: &Hash) -> Result<()> {
        let mut seen = HashSet::from([*id]);
        let mut open = vec![*id];
        while let Some(next) = open.pop() {
            if seen.len() > MAX_OTHERS + 1 {
                return Err(too_deep(id));
            }
            let known =
                store.0.choices.lock().unwrap_or_else(PoisonError::into_inner).get(&next).copied();
            match known {
                Some(Some(choice)) => {
                    self.settled.insert(next, choice);
                    continue;
                }
                Some(None) => {
                    self.open.insert(next, Vec::new());
                    continue;
                }
                None => {}
            }
            let copies = store.copies(&next, &mut self.unreadable);
            if let Some(Candidate { found, .. }) = copies.iter().find(|copy| copy.bases.is_empty())
            {
                let chain = Chain::of(found, copies.len() > 1);
                self.settled.insert(next, (*found, chain));
                continue;
            }
            let bases = copies.iter().flat_map(|copy| &copy.bases);
            open.extend(bases.filter(|base| seen.insert(**base)));
            self.open.insert(next, copies);
        }
        Ok(())
    }

    /// What has to be read for a copy, when all that it is coded against is settled; none, too, for one
    /// that needs more than any writer lets it.
    fn chain_over(&self, copy: &Candidate, twin: bool) -> Option<Chain> {
        let mut chain = Chain::of(&copy.found, twin);
        let (mut held, mut blocks) = (0, HashSet::new());
        for base in &copy.bases {
            let (found, below) = self.settled.get(base)?;
            chain.depth = chain.depth.max(below.depth + 1);
            chain.bytes = chain.bytes.saturating_add(below.bytes);
            chain.held = chain.held.max(below.held);
            chain.twin |= below.twin;
            held += found.raw_len();
            // What lies in one block is decoded together.
            if blocks.insert((found.slot, found.place.block)) {
                chain.work = chain.work.saturating_add(below.work);
            }
        }
        chain.held = chain.held.saturating_add(held);
        (chain.work <= MAX_WORK && chain.held <= MAX_HELD).then_some(chain)
    }

    /// Settles the others, those of least depth first.
    fn settle(&mut self) {
        for depth in 1..=MAX_DEPTH {
            if self.open.is_empty() {
                return;
            }
            let choice = |(id, copies): (&Hash, &Vec<Candidate>)| {
                let chain = |copy: &Candidate| {
                    let chain = self.chain_over(copy, copies.len() > 1)?;
                    (chain.depth == depth).then_some((copy.found, chain))
                };
                copies.iter().find_map(chain).map(|choice| (*id, choice))
            };
            let choices: Vec<_> = self.open.iter().filter_map(choice).collect();
            for (id, choice) in choices {
                self.open.remove(&id);
                self.settled.insert(id, choice);
            }
        }
    }
}

/// Where an object's bytes are that were compared with its id.
enum Proven {
    /// Where any reader takes them from.
    Quickly,
    /// In this copy, decoded with proven bases.
    Here(Found),
}

/// The search for sound copies of what an object is coded against.
#[derive(Default)]
struct Proof {
    /// Copies of objects of which none was proven yet.
    open: HashMap<Hash, Vec<Candidate>>,
    proven: HashMap<Hash, Proven>,
    /// Decoded blocks of proven copies.
    blocks: BlockCache,
    /// What is wrong with an object that has no sound copy.
    error: Option<Error>,
}

impl Proof {
    /// Compares objects with their ids, and what those are coded against that come out wrong.
    fn gather(&mut self, store: &Store, ids: &[Hash]) -> Result<()> {
        let mut seen: HashSet<Hash> = ids.iter().copied().collect();
        let mut open: Vec<Hash> = seen.iter().copied().collect();
        while let Some(id) = open.pop() {
            if seen.len() > MAX_OTHERS {
                return Err(too_deep(&id));
            }
            match store.base(&id) {
                Ok(bytes) if id_of(Kind::Blob, &bytes) == id => {
                    self.proven.insert(id, Proven::Quickly);
                    continue;
                }
                Ok(_) => drop(self.error.get_or_insert(mismatch(Kind::Blob, &id))),
                Err(e @ (Error::Cancelled | Error::Remote { .. })) => return Err(e),
                Err(e) => drop(self.error.get_or_insert(e)),
            }
            let copies = store.copies(&id, &mut None);
            let bases = copies.iter().flat_map(|copy| &copy.bases);
            open.extend(bases.filter(|base| seen.insert(**base)));
            self.open.insert(id, copies);
        }
        Ok(())
    }

    /// Proves the others, as far as they can be decoded with what is proven.
    fn settle(&mut self, store: &Store) {
        // A copy that is deeper is not read.
        for _ in 0..MAX_DEPTH {
            let mut sound = Vec::new();
            let mut open = std::mem::take(&mut self.open);
            for (id, copies) in &mut open {
                let ready = |proof: &Proof, copy: &Candidate| {
                    copy.bases.iter().all(|base| proof.proven.contains_key(base))
                };
                let tried = copies.extract_if(.., |copy| ready(self, copy)).collect::<Vec<_>>();
                let is_sound = |copy: &Candidate| {
                    self.read(store, &copy.found)
                        .is_ok_and(|bytes| id_of(Kind::Blob, &bytes) == *id)
                };
                let found = tried.into_iter().find(is_sound);
                sound.extend(found.map(|copy| (*id, Proven::Here(copy.found))));
            }
            sound.iter().for_each(|(id, _)| drop(open.remove(id)));
            self.open = open;
            if sound.is_empty() {
                return;
            }
            self.proven.extend(sound);
        }
    }

    /// Reads a copy of an object, with proven bases.
    fn read(&mut self, store: &Store, found: &Found) -> Result<Vec<u8>> {
        let key = (found.slot, found.place.block);
        let block = match self.blocks.get(key) {
            Some(block) => block,
            None => {
                let pack = store.pack(found.slot)?;
                let base =
                    store.gather_bases(pack, &found.block, &mut |id| self.bytes(store, id))?;
                let stored = pack.stored(&*store.file(found.slot)?, &found.block)?;
                let block = Arc::new(pack.decode(stored, &base, &found.block)?);
                self.blocks.put(key, &block);
                block
            }
        };
        let (start, len) = (found.place.start as usize, found.place.len as usize);
        Ok(block.get(start..start + len).unwrap_or_default().to_vec())
    }

    fn bytes(&mut self, store: &Store, id: &Hash) -> Result<Vec<u8>> {
        match self.proven.get(id) {
            Some(Proven::Quickly) => store.base(id),
            Some(Proven::Here(found)) => {
                let found = *found;
                self.read(store, &found)
            }
            None => {
                let missing = Error::Missing { kind: Kind::Blob, id: *id };
                Err(self.error.take().unwrap_or(missing))
            }
        }
    }
}

fn too_deep(id: &Hash) -> Error {
    Error::corrupt("object", id, "too many others are needed to decode it")
}
