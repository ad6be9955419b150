//! The read side: a snapshot of the live packs of one repository, here or on a remote, or of both.
//!
//! Cheap to clone and safe to share between threads. Packs are opened when first needed; at most
//! [`OPEN_FILES`] of them keep a file open, so any number of packs works under `ulimit -n 64`.

pub(crate) mod ahead;
mod bases;
pub(crate) mod blocks;
mod cache;
mod census;
mod chunks;
mod large;
mod lists;
mod snapshot;
mod stream;

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{Hash, HashPrefix, Kind, id_of};
use crate::list::{self, List, ListItem};
use crate::pack::{Block, Home, Pack, PackFile, PackId, Place};

use ahead::ReadAhead;
use cache::BlockCache;
use large::Handed;
use snapshot::Elsewhere;

use bases::Choices;
pub(crate) use bases::{Chain, MAX_DEPTH, Origin};
pub use census::StoredAs;
pub(crate) use large::Worth;
pub use snapshot::OpenElsewhere;

/// Pack files kept open at once.
const OPEN_FILES: usize = 12;

/// A snapshot of live packs.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    root: PathBuf,
    slots: Vec<Slot>,
    /// Where the last object was found: neighbours are usually in the same pack.
    last: AtomicUsize,
    /// Open pack files, least recently used first. Held only to look up and to open, never while reading.
    files: Mutex<VecDeque<(usize, Arc<PackFile>)>>,
    /// Decoded blocks that hold several objects, least recently used first. Never held while decoding.
    blocks: Mutex<BlockCache>,
    /// Stored bytes that were fetched before they were asked for. Never held while fetching.
    ahead: Mutex<ReadAhead>,
    /// Which copies of objects are read. Held only to look up and to note.
    choices: Mutex<Choices>,
    /// Lists of which everything was seen to be here, by slot and block. Held only to look up and to note.
    complete: Mutex<HashSet<(usize, u32)>>,
    /// Where objects are looked for that are not in these packs.
    elsewhere: Option<Elsewhere>,
}

struct Slot {
    id: PackId,
    home: Home,
    pack: OnceLock<Pack>,
}

/// An object that was found.
#[derive(Clone, Copy)]
struct Found {
    slot: usize,
    place: Place,
    block: Block,
}

/// A pack of the snapshot, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackInfo {
    /// Its name.
    pub id: PackId,
    /// Length of its file.
    pub bytes: u64,
    /// Objects in it.
    pub objects: u32,
}

impl Store {
    /// The repository folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The ids of the snapshot's packs.
    pub fn pack_ids(&self) -> impl Iterator<Item = PackId> {
        self.0.slots.iter().map(|slot| slot.id)
    }

    /// Every pack in numbers; opens them all.
    ///
    /// # Errors
    /// `Stale`, `Corrupt`, `Io` of the first pack that does not open.
    pub fn packs(&self) -> Result<Vec<PackInfo>> {
        (0..self.0.slots.len())
            .map(|slot| {
                let pack = self.pack(slot)?;
                Ok(PackInfo { id: pack.id, bytes: pack.bytes, objects: pack.index.objects() })
            })
            .collect()
    }

    /// How many requests to a pack's place are worth having under way at once.
    pub(crate) fn lanes_of(&self, slot: usize) -> usize {
        self.0.slots[slot].home.lanes()
    }

    pub(crate) fn pack(&self, slot: usize) -> Result<&Pack> {
        let slot = &self.0.slots[slot];
        if let Some(pack) = slot.pack.get() {
            return Ok(pack);
        }
        let opened = Pack::open(&slot.home, slot.id)?;
        Ok(slot.pack.get_or_init(|| opened))
    }

    /// Finds an object in any pack. A pack that does not open hides nothing that another one has.
    fn locate(&self, id: &Hash) -> Result<Option<Found>> {
        let count = self.0.slots.len();
        let last = self.0.last.load(Ordering::Relaxed);
        let mut unreadable = None;
        for turn in 0..count {
            // Packs are listed by id, not by age: where the last object was is the best first guess.
            let slot =
                if turn == 0 { last.min(count - 1) } else { turn - usize::from(turn <= last) };
            match self.locate_in(slot, id) {
                Ok(None) => {}
                Ok(found) => {
                    if slot != last {
                        self.0.last.store(slot, Ordering::Relaxed);
                    }
                    return Ok(found);
                }
                Err(e) => unreadable = unreadable.or(Some(e)),
            }
        }
        unreadable.map_or(Ok(None), Err)
    }

    fn locate_in(&self, slot: usize, id: &Hash) -> Result<Option<Found>> {
        let index = &self.pack(slot)?.index;
        let Some(n) = index.find(id) else { return Ok(None) };
        let (place, block) = index.place(n)?;
        Ok(Some(Found { slot, place, block }))
    }

    /// Finds an object of this kind here, or else the store to ask for it.
    fn find_here(&self, kind: Kind, id: &Hash) -> Result<std::result::Result<Found, &Store>> {
        match (self.find_as(kind, id), &self.0.elsewhere) {
            (Err(Error::Missing { .. }), Some(elsewhere)) => Ok(Err(elsewhere.store()?)),
            (found, _) => found.map(Ok),
        }
    }

    fn find_as(&self, kind: Kind, id: &Hash) -> Result<Found> {
        let mut found = self.locate(id)?.ok_or(Error::Missing { kind, id: *id })?;
        if found.block.kind != kind {
            found = self.other_copies(kind, id, found.slot).next().ok_or_else(|| {
                let detail = format!("it is stored as a {}", found.block.kind);
                Error::Corrupt { what: "object", name: format!("{kind} {id}"), detail }
            })?;
        }
        let sure = !found.is_list() && !found.block.encoding.has_bases();
        Ok(if sure { found } else { self.better(id, found) })
    }

    /// The copies of an object in other packs than one. A pack that does not open has none.
    fn other_copies(&self, kind: Kind, id: &Hash, but: usize) -> impl Iterator<Item = Found> {
        let slots = (0..self.0.slots.len()).filter(move |slot| *slot != but);
        slots
            .filter_map(|slot| self.locate_in(slot, id).ok().flatten())
            .filter(move |found| found.block.kind == kind)
    }

    /// Reads an object where it was found; if it is damaged there, the next copy that is sound.
    fn sound<T>(
        &self,
        kind: Kind,
        id: &Hash,
        first: &Found,
        read: impl Fn(&Found) -> Result<T>,
    ) -> Result<T> {
        match read(first) {
            Err(error) if is_damage(&error) => {
                let mut others = self.other_copies(kind, id, first.slot);
                others.find_map(|found| read(&found).ok()).ok_or(error)
            }
            other => other,
        }
    }

    /// Whether the object is here, with everything that is needed to decode it; of one that is a list,
    /// only whether that is here, which [`Store::holds`] does not believe. A pack that cannot be read
    /// counts as not having it: the writer then stores the object again, which is always safe.
    #[must_use]
    pub fn contains(&self, id: &Hash) -> bool {
        match self.locate(id) {
            Ok(Some(found)) => !found.block.encoding.has_bases() || self.chain(id).is_some(),
            _ => false,
        }
    }

    /// Whether the object is here in any way but as a list, with everything that is needed to decode it:
    /// what others may be coded against.
    #[must_use]
    pub fn contains_whole(&self, id: &Hash) -> bool {
        match self.locate(id) {
            Ok(Some(found)) if found.is_list() => self.chain(id).is_some(),
            Ok(Some(found)) => !found.block.encoding.has_bases() || self.chain(id).is_some(),
            _ => false,
        }
    }

    /// Whether the object is here, telling an unreadable pack from a missing object.
    ///
    /// # Errors
    /// `Stale`, `Corrupt`, `Io`.
    pub fn has(&self, id: &Hash) -> Result<bool> {
        Ok(self.locate(id)?.is_some())
    }

    /// A blob's length, without reading it.
    ///
    /// # Errors
    /// `Missing`, or what opening a pack gives.
    pub fn len_of(&self, id: &Hash) -> Result<u64> {
        match self.find_here(Kind::Blob, id)? {
            Ok(found) => Ok(found.raw_len()),
            Err(elsewhere) => elsewhere.len_of(id),
        }
    }

    /// Reads a whole object and compares it with its id. A copy that is damaged does not count where
    /// another pack has a sound one.
    ///
    /// # Errors
    /// `Missing`, `Corrupt` (also when it has more than `cap` bytes, which only hostile objects have), `Io`.
    pub fn get(&self, kind: Kind, id: &Hash, cap: u64) -> Result<Vec<u8>> {
        let found = match self.find_here(kind, id)? {
            Ok(found) => found,
            Err(elsewhere) => return elsewhere.get(kind, id, cap),
        };
        self.sound(kind, id, &found, |found| self.get_at(kind, id, found, cap))
    }

    fn get_at(&self, kind: Kind, id: &Hash, found: &Found, cap: u64) -> Result<Vec<u8>> {
        if found.raw_len() > cap {
            let detail = format!("it has {} bytes, the limit is {cap}", found.raw_len());
            return Err(Error::corrupt("object", format!("{kind} {id}"), detail));
        }
        if found.block.encoding != Encoding::List {
            return self.whole_at(kind, id, found);
        }
        let mut bytes = Vec::new();
        let mut out = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok(())
        };
        self.copy_list(id, self.list_of(found, id)?, self, &mut Handed::new(None, &mut out))?;
        Ok(bytes)
    }

    /// Reads an object that is stored whole in this copy, and compares it with its id.
    fn whole_at(&self, kind: Kind, id: &Hash, found: &Found) -> Result<Vec<u8>> {
        if found.block.encoding == Encoding::List {
            return Err(Error::corrupt("object", format!("{kind} {id}"), "it is a list here"));
        }
        self.checked(kind, id, found)
    }

    /// Reads an object that is no list and compares it with its id. When it comes out wrong, its bases
    /// are compared with theirs.
    fn checked(&self, kind: Kind, id: &Hash, found: &Found) -> Result<Vec<u8>> {
        let sound = |bytes: Vec<u8>| -> Result<Vec<u8>> {
            if id_of(kind, &bytes) == *id { Ok(bytes) } else { Err(mismatch(kind, id)) }
        };
        match self.bytes_of(found).and_then(sound) {
            Err(e) if found.block.encoding.has_bases() && is_damage(&e) => {
                self.prove_at(found).and_then(sound)
            }
            other => other,
        }
    }

    /// Reads an object that is no list, without comparing it with its id.
    fn bytes_of(&self, found: &Found) -> Result<Vec<u8>> {
        let (start, len) = (found.place.start as usize, found.place.len as usize);
        if start == 0 && len as u64 == found.block.raw_len {
            return self.decode(found.slot, &found.block);
        }
        let block = self.cached(found)?;
        block.get(start..start + len).map(<[u8]>::to_vec).ok_or_else(|| {
            Error::corrupt("pack", self.0.slots[found.slot].id, "a block is shorter than recorded")
        })
    }

    /// The decoded block of an object, or its list, out of the cache if it is there.
    fn cached(&self, found: &Found) -> Result<Arc<Vec<u8>>> {
        let key = (found.slot, found.place.block);
        let cached = self.0.blocks.lock().unwrap_or_else(PoisonError::into_inner).get(key);
        if let Some(block) = cached {
            return Ok(block);
        }
        let block = Arc::new(self.decode(found.slot, &found.block)?);
        self.0.blocks.lock().unwrap_or_else(PoisonError::into_inner).put(key, &block);
        Ok(block)
    }

    fn decode(&self, slot: usize, block: &Block) -> Result<Vec<u8>> {
        let pack = self.pack(slot)?;
        let key = (slot, block.offset);
        let ahead = self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner).take(key);
        let stored = match ahead {
            Some(stored) => stored,
            None => pack.stored(&*self.file(slot)?, block)?,
        };
        let base = self.base_bytes(pack, block)?;
        pack.decode(stored, &base, block)
    }

    fn file(&self, slot: usize) -> Result<Arc<PackFile>> {
        let mut files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = files.iter().position(|(s, _)| *s == slot) {
            if let Some(entry) = files.remove(at) {
                files.push_back(entry);
            }
        } else {
            if files.len() >= OPEN_FILES {
                files.pop_front();
            }
            files.push_back((slot, self.pack(slot)?.open_file()?));
        }
        files
            .back()
            .map(|(_, file)| Arc::clone(file))
            .ok_or_else(|| Error::Stale { name: slot.to_string() })
    }

    fn list_of(&self, found: &Found, id: &Hash) -> Result<List> {
        // A list is often asked for several times in a row, and may lie far away.
        let bytes = self.cached(found)?;
        List::decode(&bytes, Some(found.block.raw_len), id)
    }

    /// The list of the first copy whose form is sound.
    fn sound_list(&self, id: &Hash, first: &Found) -> Result<List> {
        self.sound(Kind::Blob, id, first, |found| self.list_of(found, id))
    }

    /// A node of a list tree, which must be at this height.
    pub(super) fn list_node(&self, item: &ListItem, height: u8) -> Result<List> {
        let bytes = self.get(Kind::List, &item.id, list::MAX_BYTES as u64)?;
        let node = List::decode(&bytes, Some(item.len), &item.id)?;
        if node.height == height {
            Ok(node)
        } else {
            Err(Error::corrupt("list", item.id, "it is at the wrong height"))
        }
    }

    /// The objects of a kind whose ids begin with the prefix.
    ///
    /// # Errors
    /// What opening a pack gives.
    pub fn find(&self, prefix: &HashPrefix, kind: Kind) -> Result<Vec<Hash>> {
        let mut ids = Vec::new();
        for slot in 0..self.0.slots.len() {
            let index = &self.pack(slot)?.index;
            for n in index.find_prefix(prefix) {
                if index.place(n)?.1.kind == kind {
                    ids.push(index.id(n));
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("root", &self.0.root)
            .field("packs", &self.0.slots.len())
            .finish()
    }
}

impl Found {
    /// At least 1, so that an empty object counts as something that is kept.
    fn stored_len(&self) -> u64 {
        let stored = u64::from(self.block.stored_len);
        if self.block.encoding == Encoding::List || self.block.raw_len == 0 {
            return stored.max(1);
        }
        (stored * u64::from(self.place.len) / self.block.raw_len).max(1)
    }

    fn raw_len(&self) -> u64 {
        match self.block.encoding {
            Encoding::List => self.block.raw_len,
            _ => u64::from(self.place.len),
        }
    }
}

/// Whether another copy may be sound.
fn is_damage(error: &Error) -> bool {
    error.is_corruption() || matches!(error, Error::Io { .. })
}

fn mismatch(kind: Kind, id: &Hash) -> Error {
    Error::Corrupt {
        what: "object",
        name: format!("{kind} {id}"),
        detail: "its bytes do not match its id".into(),
    }
}
