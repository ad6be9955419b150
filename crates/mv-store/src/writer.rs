//! The write side: objects in, one pack (or a few, when large) out.
//!
//! Nothing is visible before [`StoreWriter::finish`]; a writer that is dropped leaves nothing.
//! An object that the snapshot already has, or that this writer has taken, is counted and dropped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::codec::{self, Encoding};
use crate::effort::{Effort, Levels, SMALL};
use crate::encode::{self, Base, Encoded};
use crate::error::{Error, Result};
use crate::fs;
use crate::hash::{Hash, Kind, Nonces, id_of, nonce_hex};
use crate::list::ListItem;
use crate::pack::{Block, ClosedPack, MAX_BASE_BYTES, MAX_BASES, PackBuilder, PackId, Stored};
use crate::store::{Chain, Store};
use crate::tables::{Cover, Tables};
use crate::windows::NUMBERS;

/// Chunks of a blob that stand for it in the list of another, at most.
const MOST_LISTED: usize = 1 << 10;

/// Writes the objects of one operation. Shared between threads by reference.
#[must_use = "objects are published by `finish`"]
pub struct StoreWriter<'a> {
    store: Store,
    /// Where packs are published; a repository folder.
    root: PathBuf,
    nonces: &'a Nonces,
    /// Its own folder below `tmp`, removed when the writer goes.
    session: SessionDir,
    /// What this writer has taken, and how it stores it. Held for one insertion.
    taken: Mutex<HashMap<Hash, Form>>,
    /// The chunks of short blobs that this writer stores as lists. Taken before `taken`, never after.
    lists: Mutex<HashMap<Hash, Vec<ListItem>>>,
    /// The pack being written. Held while stored bytes are appended, never while compressing.
    packs: Mutex<Packs>,
    /// Small objects that wait for company, one group a kind. Taken before `packs`, never after.
    waiting: Mutex<[Group; 4]>,
    /// The chunks of blobs that others are coded against.
    pub(crate) tables: Tables,
    levels: Levels,
    /// A store that has what this writer stores anew, in other forms.
    aside: Option<Store>,
    counts: Counts,
}

/// How an object is stored that a writer has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By itself, or coded against others, or soon to be.
    Whole,
    /// As a list: nothing can be coded against it.
    List,
}

#[derive(Default)]
struct Packs {
    current: Option<PackBuilder>,
    closed: Vec<ClosedPack>,
    /// Chunks alone in a block of the current pack, which can be read back.
    spots: HashMap<Hash, Block>,
    /// What chunks need that others may be coded against.
    chains: HashMap<Hash, Chain>,
}

#[derive(Default)]
struct Counts {
    logical: AtomicU64,
    new: AtomicU64,
    objects: AtomicU64,
    /// Raw and stored bytes of new blocks, by the number of their encoding.
    encodings: [(AtomicU64, AtomicU64); Encoding::ALL.len()],
}

/// What [`StoreWriter::finish`] published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The new packs; none when every object was known.
    pub packs: Vec<PackId>,
    /// Raw bytes of the file contents that were offered.
    pub logical_bytes: u64,
    /// Raw bytes of the objects that were new.
    pub new_bytes: u64,
    /// Bytes of the new packs.
    pub stored_bytes: u64,
    /// Objects that were new.
    pub objects: u64,
    /// What each encoding made of the new blocks, but lists.
    pub by_encoding: Vec<Encodings>,
}

/// What one encoding made of some blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encodings {
    /// The encoding.
    pub encoding: Encoding,
    /// Their raw bytes.
    pub raw_bytes: u64,
    /// Their stored bytes.
    pub stored_bytes: u64,
}

/// A folder below `tmp` that belongs to one running operation.
#[derive(Debug)]
struct SessionDir {
    path: PathBuf,
    /// Tells a sweeper that the operation is alive.
    _lock: fs::Lock,
}

impl Drop for SessionDir {
    fn drop(&mut self) {
        fs::sweep_dir(&self.path);
    }
}

/// Small objects of one kind that will share a block.
#[derive(Default)]
struct Group {
    raw: Vec<u8>,
    members: Vec<(Hash, u32)>,
}

impl Group {
    fn push(&mut self, id: Hash, bytes: &[u8]) {
        // A group is flushed long before it reaches 4 GiB.
        let start = u32::try_from(self.raw.len()).unwrap_or(u32::MAX);
        self.raw.extend_from_slice(bytes);
        self.members.push((id, start));
    }
}

impl<'a> StoreWriter<'a> {
    /// Begins an operation against a snapshot. Writes nothing yet but its own empty folder.
    ///
    /// # Errors
    /// `Io` when the temporary folder cannot be made.
    pub fn begin(store: &Store, nonces: &'a Nonces) -> Result<StoreWriter<'a>> {
        StoreWriter::begin_at(store.root(), store, nonces)
    }

    /// The same, publishing packs below another folder than the snapshot's.
    ///
    /// # Errors
    /// As [`StoreWriter::begin`].
    pub fn begin_at(root: &Path, store: &Store, nonces: &'a Nonces) -> Result<StoreWriter<'a>> {
        let path = root.join("tmp").join(nonce_hex(&nonces.next()));
        fs::create_dir_durably(&path)?;
        let lock = fs::Lock::wait(&path.join("lock"))?;
        Ok(StoreWriter {
            store: store.clone(),
            root: root.to_path_buf(),
            nonces,
            session: SessionDir { path, _lock: lock },
            taken: Mutex::default(),
            lists: Mutex::default(),
            packs: Mutex::default(),
            waiting: Mutex::default(),
            tables: Tables::default(),
            levels: Levels::of(Effort::default()),
            aside: None,
            counts: Counts::default(),
        })
    }

    /// The same writer, doing more work or less for bytes of which nothing is known.
    pub fn with_effort(mut self, effort: Effort) -> StoreWriter<'a> {
        self.levels = Levels::of(effort);
        self
    }

    /// The same writer for objects that another store has and that are stored anew: what they are coded
    /// against is read from there.
    pub fn anew_from(mut self, store: &Store) -> StoreWriter<'a> {
        self.aside = Some(store.clone());
        self
    }

    /// Whether another store has what this writer stores.
    pub(crate) fn is_anew(&self) -> bool {
        self.aside.is_some()
    }

    /// The snapshot that this writer deduplicates against.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stores an object of at most 16 MiB (a tree: 64 MiB) and returns its id.
    ///
    /// # Errors
    /// `Invalid` if it is too large, `Io`.
    pub fn put(&self, kind: Kind, bytes: &[u8]) -> Result<Hash> {
        let id = id_of(kind, bytes);
        let most = if kind == Kind::Tree { crate::pack::MAX_RAW } else { crate::pack::MAX_CHUNK };
        if bytes.len() as u64 > most {
            return Err(Error::Invalid {
                what: "object",
                detail: format!("{kind} of {} bytes", bytes.len()),
            });
        }
        if self.claim(&id) {
            self.put_claimed(kind, id, bytes)?;
        }
        Ok(id)
    }

    /// Stores an object that [`StoreWriter::claim`] said is this writer's to store.
    pub(crate) fn put_claimed(&self, kind: Kind, id: Hash, bytes: &[u8]) -> Result<()> {
        if bytes.len() >= SMALL {
            return self.append(kind, bytes, &[(id, 0)], self.levels.chunk);
        }
        let full = {
            let mut waiting = lock(&self.waiting);
            let group = &mut waiting[usize::from(kind.code())];
            group.push(id, bytes);
            if group.raw.len() >= self.levels.solid_bytes {
                std::mem::take(group)
            } else {
                Group::default()
            }
        };
        self.flush(kind, &full)
    }

    /// Stores many small blobs that belong together, so that they share blocks.
    ///
    /// # Errors
    /// As [`StoreWriter::put`], or what the iterator gives.
    pub fn put_together<B: AsRef<[u8]>>(
        &self,
        blobs: impl Iterator<Item = Result<B>>,
    ) -> Result<Vec<(Hash, u64)>> {
        let mut group = Group::default();
        let mut ids = Vec::new();
        for blob in blobs {
            let blob = blob?;
            let bytes = blob.as_ref();
            self.counts.logical.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if bytes.len() >= SMALL {
                ids.push((self.put(Kind::Blob, bytes)?, bytes.len() as u64));
                continue;
            }
            let id = id_of(Kind::Blob, bytes);
            ids.push((id, bytes.len() as u64));
            if self.claim(&id) {
                group.push(id, bytes);
                if group.raw.len() >= self.levels.solid_bytes {
                    self.flush(Kind::Blob, &std::mem::take(&mut group))?;
                }
            }
        }
        if group.raw.len() >= self.levels.solid_bytes / 2 {
            self.flush(Kind::Blob, &group)?;
            return Ok(ids);
        }
        // The rest is too little for a block of its own: it joins whatever else waits.
        let full = {
            let mut waiting = lock(&self.waiting);
            let shared = &mut waiting[usize::from(Kind::Blob.code())];
            let ends = group
                .members
                .iter()
                .skip(1)
                .map(|(_, start)| *start as usize)
                .chain([group.raw.len()]);
            for ((id, start), end) in group.members.iter().zip(ends) {
                shared.push(*id, &group.raw[*start as usize..end]);
            }
            if shared.raw.len() >= self.levels.solid_bytes {
                std::mem::take(shared)
            } else {
                Group::default()
            }
        };
        self.flush(Kind::Blob, &full)?;
        Ok(ids)
    }

    fn flush(&self, kind: Kind, group: &Group) -> Result<()> {
        if group.members.is_empty() {
            return Ok(());
        }
        self.append(kind, &group.raw, &group.members, self.levels.solid)
    }

    /// Whether the object is new, and from now on this writer's to store. A list of which something is
    /// missing is no object: what a gc has left of it counts for nothing.
    pub(crate) fn claim(&self, id: &Hash) -> bool {
        !self.store.holds(id) && self.take(id, Form::Whole)
    }

    /// Takes an object that is to be stored in this form, unless it was taken before.
    pub(crate) fn take(&self, id: &Hash, form: Form) -> bool {
        match lock(&self.taken).entry(*id) {
            Entry::Vacant(entry) => {
                entry.insert(form);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// The same as [`StoreWriter::claim`] for a blob that is to be stored as a list of these chunks.
    pub(crate) fn claim_list(&self, id: &Hash, items: &[ListItem]) -> bool {
        if self.store.holds(id) {
            return false;
        }
        let bytes: u64 = items.iter().map(|item| item.len).sum();
        if bytes > NUMBERS {
            return self.take(id, Form::List);
        }
        // Whoever finds the blob taken finds its chunks as well.
        let mut lists = lock(&self.lists);
        let new = self.take(id, Form::List);
        if new {
            lists.insert(*id, items.to_vec());
        }
        new
    }

    /// The chunks of a blob that is known or taken and nowhere stored whole; none for all others.
    pub(crate) fn listed(&self, id: &Hash) -> Result<Option<Vec<ListItem>>> {
        let taken = lock(&self.taken).get(id).copied();
        match taken {
            Some(Form::Whole) => Ok(None),
            Some(Form::List) => Ok(lock(&self.lists).get(id).cloned()),
            None if self.store.is_only_list(id)? => self.store.chunks(id, MOST_LISTED),
            None => Ok(None),
        }
    }

    /// Whether the object is known or taken.
    pub(crate) fn has(&self, id: &Hash) -> bool {
        self.took(id) || self.store.holds(id)
    }

    /// Whether this writer has taken the object.
    #[must_use]
    pub fn took(&self, id: &Hash) -> bool {
        lock(&self.taken).contains_key(id)
    }

    /// Whether this writer has taken the object, and not as a list.
    pub(crate) fn took_whole(&self, id: &Hash) -> bool {
        lock(&self.taken).get(id) == Some(&Form::Whole)
    }

    /// Counts bytes of file content that were offered, known or not.
    pub(crate) fn count_logical(&self, bytes: u64) {
        self.counts.logical.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Encodes a block and appends it to the pack.
    pub(crate) fn append(
        &self,
        kind: Kind,
        raw: &[u8],
        members: &[(Hash, u32)],
        level: i32,
    ) -> Result<()> {
        self.append_encoded(kind, &encode::plain(raw, level)?, raw, members)
    }

    pub(crate) fn append_encoded(
        &self,
        kind: Kind,
        encoded: &Encoded,
        raw: &[u8],
        members: &[(Hash, u32)],
    ) -> Result<()> {
        let bytes = if encoded.encoding == Encoding::Raw { raw } else { &encoded.stored };
        let (encoding, bases) = (encoded.encoding, &encoded.bases[..]);
        self.append_stored(
            &Stored { kind, encoding, bytes, raw_len: raw.len() as u64, bases },
            members,
        )?;
        self.counts.new.fetch_add(raw.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Appends a block as it is to be stored.
    pub(crate) fn append_stored(&self, form: &Stored<'_>, members: &[(Hash, u32)]) -> Result<()> {
        let chain = self.chain_over(form);
        let mut packs = lock(&self.packs);
        let full = packs.current.take_if(|pack| pack.is_full());
        if full.is_some() {
            packs.spots.clear();
        }
        let mut builder = match packs.current.take() {
            Some(builder) => builder,
            None => PackBuilder::create(&self.session.path, &self.nonces.next())?,
        };
        let block = builder.append(form, members)?;
        packs.current = Some(builder);
        if form.kind == Kind::Blob && form.encoding != Encoding::List {
            if let [(id, _)] = members {
                packs.spots.insert(*id, block);
            }
            if members.len() == 1 || chain.depth > 0 || self.is_anew() {
                packs.chains.extend(members.iter().map(|(id, _)| (*id, chain)));
            }
        }
        drop(packs);
        // Sorting and syncing it takes long, and nobody is to wait for that.
        if let Some(full) = full {
            let closed = full.close()?;
            lock(&self.packs).closed.push(closed);
        }
        self.counts.objects.fetch_add(members.len() as u64, Ordering::Relaxed);
        if form.encoding != Encoding::List {
            let (raw, stored) = &self.counts.encodings[usize::from(form.encoding.code())];
            raw.fetch_add(form.raw_len, Ordering::Relaxed);
            stored.fetch_add(form.bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What has to be read for a block that is about to be written, as far as it is known here.
    fn chain_over(&self, form: &Stored<'_>) -> Chain {
        let mut chain = Chain { bytes: form.bytes.len() as u64, ..Chain::default() };
        for base in form.bases {
            let below = self.chain(base).unwrap_or_default();
            chain.depth = chain.depth.max(below.depth + 1);
            chain.bytes = chain.bytes.saturating_add(below.bytes);
        }
        chain
    }

    /// What has to be read for a chunk that is known or was just written; none when it is neither.
    pub(crate) fn chain(&self, id: &Hash) -> Option<Chain> {
        let written = lock(&self.packs).chains.get(id).copied();
        written.or_else(|| self.store.chain(id))
    }

    /// The one chunk that a chunk of numbers is coded against; none when it is stored in another way.
    pub(crate) fn delta_base(&self, id: &Hash) -> Option<Hash> {
        {
            let packs = lock(&self.packs);
            if let (Some(block), Some(pack)) = (packs.spots.get(id), &packs.current) {
                let bases = pack.bases(block);
                return bases
                    .first()
                    .copied()
                    .filter(|_| block.encoding == Encoding::Delta && bases.len() == 1);
            }
        }
        self.store.delta_base(id)
    }

    /// Reads what a block may be coded against, unless more would have to be read for it than `most`
    /// blocks in a row. Anything that cannot be read is no base.
    pub(crate) fn base(&self, blob: &Hash, cover: &Cover, most: u32) -> Option<Base> {
        if cover.ids.len() > MAX_BASES || cover.bytes > MAX_BASE_BYTES {
            return None;
        }
        let mut chain = Chain::default();
        for id in &cover.ids {
            let below = self.chain(id)?;
            chain.depth = chain.depth.max(below.depth);
            chain.bytes = chain.bytes.saturating_add(below.bytes);
        }
        if chain.depth >= most {
            return None;
        }
        if let Some(aside) = &self.aside {
            let bytes = aside.read_range(blob, cover.begin, cover.bytes).ok()?;
            return Some(Base { ids: cover.ids.clone(), bytes, start: cover.start, chain });
        }
        // One after the other: whoever asks may hold a window, and must not take on another file's.
        let mut bytes = Vec::new();
        for id in &cover.ids {
            let part = self.read_chunk(id)?;
            if bytes.is_empty() { bytes = part } else { bytes.extend_from_slice(&part) }
        }
        (bytes.len() as u64 == cover.bytes).then(|| Base {
            ids: cover.ids.clone(),
            bytes,
            start: cover.start,
            chain,
        })
    }

    /// Reads a chunk that is known or was just written, if its bytes have its id. What was coded against
    /// bytes that a disk has changed would come out right only as long as these stay what they are.
    pub(crate) fn read_chunk(&self, id: &Hash) -> Option<Vec<u8>> {
        self.chunk_bytes(id).filter(|bytes| id_of(Kind::Blob, bytes) == *id)
    }

    /// The same without a look at its id.
    fn chunk_bytes(&self, id: &Hash) -> Option<Vec<u8>> {
        let spot = {
            let packs = lock(&self.packs);
            let pack = packs.current.as_ref();
            let found = packs.spots.get(id).zip(pack);
            found
                .map(|(block, pack)| Some((*block, pack.read_back(block).ok()?, pack.bases(block))))
        };
        match spot {
            None => self.store.chunk_bytes(id).ok(),
            Some(spot) => {
                let (block, stored, bases) = spot?;
                let mut base = Vec::new();
                for id in &bases {
                    base.extend_from_slice(&self.chunk_bytes(id)?);
                }
                let raw_len = usize::try_from(block.raw_len).ok()?;
                codec::decode(block.encoding, &stored, &base, raw_len).ok()
            }
        }
    }

    /// Publishes everything that was new, durably. Until a state record names the packs, nobody
    /// reads them.
    ///
    /// # Errors
    /// `Io`; then nothing that was published is named anywhere, and gc removes it.
    pub fn finish(self) -> Result<Written> {
        let groups = std::mem::take(&mut *lock(&self.waiting));
        for kind in [Kind::Blob, Kind::Tree, Kind::Manifest, Kind::List] {
            self.flush(kind, &groups[usize::from(kind.code())])?;
        }
        let mut packs = std::mem::take(&mut *lock(&self.packs));
        if let Some(last) = packs.current.take() {
            packs.closed.push(last.close()?);
        }
        let counts = Encoding::ALL.iter().zip(&self.counts.encodings);
        let counts = counts.map(|(&encoding, (raw, stored))| Encodings {
            encoding,
            raw_bytes: raw.load(Ordering::Relaxed),
            stored_bytes: stored.load(Ordering::Relaxed),
        });
        let mut written = Written {
            by_encoding: counts.filter(|count| count.raw_bytes > 0).collect(),
            logical_bytes: self.counts.logical.load(Ordering::Relaxed),
            new_bytes: self.counts.new.load(Ordering::Relaxed),
            objects: self.counts.objects.load(Ordering::Relaxed),
            ..Written::default()
        };
        for pack in packs.closed {
            written.stored_bytes += pack.bytes;
            written.packs.push(pack.publish(&self.root)?);
        }
        Ok(written)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
