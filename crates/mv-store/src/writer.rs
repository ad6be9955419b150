//! The write side: objects in, one pack (or a few, when large) out.
//!
//! Nothing is visible before [`StoreWriter::finish`]; a writer that is dropped leaves nothing.
//! An object that the snapshot already has, or that this writer has taken, is counted and dropped.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::codec::{self, CHUNK_LEVEL, Encoding, SOLID_LEVEL};
use crate::error::{Error, Result};
use crate::fs;
use crate::hash::{Hash, Kind, Nonces, id_of, nonce_hex};
use crate::pack::{ClosedPack, PackBuilder, PackId};
use crate::store::Store;

/// Raw bytes of a block of small objects: a random read decodes this much.
const SOLID_BYTES: usize = 256 << 10;
/// Objects from this size on get a block of their own.
pub(crate) const SMALL: usize = 64 << 10;

/// Writes the objects of one operation. Shared between threads by reference.
#[must_use = "objects are published by `finish`"]
pub struct StoreWriter<'a> {
    store: Store,
    /// Where packs are published; a repository folder.
    root: PathBuf,
    nonces: &'a Nonces,
    /// Its own folder below `tmp`, removed when the writer goes.
    session: SessionDir,
    /// Ids taken by this writer. Held for one insertion.
    taken: Mutex<HashSet<Hash>>,
    /// The pack being written. Held while stored bytes are appended, never while compressing.
    packs: Mutex<Packs>,
    /// Small objects that wait for company, one group a kind. Taken before `packs`, never after.
    waiting: Mutex<[Group; 4]>,
    counts: Counts,
}

#[derive(Default)]
struct Packs {
    current: Option<PackBuilder>,
    closed: Vec<ClosedPack>,
}

#[derive(Default)]
struct Counts {
    logical: AtomicU64,
    new: AtomicU64,
    objects: AtomicU64,
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
            packs: Mutex::default(),
            waiting: Mutex::default(),
            counts: Counts::default(),
        })
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
            return self.append(kind, bytes, &[(id, 0)], CHUNK_LEVEL);
        }
        let full = {
            let mut waiting = lock(&self.waiting);
            let group = &mut waiting[usize::from(kind.code())];
            group.push(id, bytes);
            if group.raw.len() >= SOLID_BYTES { std::mem::take(group) } else { Group::default() }
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
                if group.raw.len() >= SOLID_BYTES {
                    self.flush(Kind::Blob, &std::mem::take(&mut group))?;
                }
            }
        }
        if group.raw.len() >= SOLID_BYTES / 2 {
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
            if shared.raw.len() >= SOLID_BYTES { std::mem::take(shared) } else { Group::default() }
        };
        self.flush(Kind::Blob, &full)?;
        Ok(ids)
    }

    fn flush(&self, kind: Kind, group: &Group) -> Result<()> {
        if group.members.is_empty() {
            return Ok(());
        }
        self.append(kind, &group.raw, &group.members, SOLID_LEVEL)
    }

    /// Whether the object is new, and from now on this writer's to store.
    pub(crate) fn claim(&self, id: &Hash) -> bool {
        if self.store.contains(id) {
            return false;
        }
        lock(&self.taken).insert(*id)
    }

    /// Whether this writer has taken the object.
    #[must_use]
    pub fn took(&self, id: &Hash) -> bool {
        lock(&self.taken).contains(id)
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
        let encoded = encode(raw, level)?;
        self.append_encoded(kind, &encoded, raw, members)
    }

    pub(crate) fn append_encoded(
        &self,
        kind: Kind,
        encoded: &Option<Vec<u8>>,
        raw: &[u8],
        members: &[(Hash, u32)],
    ) -> Result<()> {
        let (encoding, stored) = match encoded {
            Some(packed) => (Encoding::Zstd, &packed[..]),
            None => (Encoding::Raw, raw),
        };
        self.append_stored(kind, encoding, stored, raw.len() as u64, members)?;
        self.counts.new.fetch_add(raw.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Appends a block as it is to be stored.
    pub(crate) fn append_stored(
        &self,
        kind: Kind,
        encoding: Encoding,
        stored: &[u8],
        raw_len: u64,
        members: &[(Hash, u32)],
    ) -> Result<()> {
        let mut packs = lock(&self.packs);
        if packs.current.as_ref().is_some_and(PackBuilder::is_full)
            && let Some(full) = packs.current.take()
        {
            packs.closed.push(full.close()?);
        }
        let mut builder = match packs.current.take() {
            Some(builder) => builder,
            None => PackBuilder::create(&self.session.path, &self.nonces.next())?,
        };
        builder.append(kind, encoding, stored, raw_len, members)?;
        packs.current = Some(builder);
        self.counts.objects.fetch_add(members.len() as u64, Ordering::Relaxed);
        Ok(())
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
        let mut written = Written {
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

/// Compresses a block if that pays, and proves that it decodes to the same bytes.
pub(crate) fn encode(raw: &[u8], level: i32) -> Result<Option<Vec<u8>>> {
    let Some(packed) = codec::compress(raw, level)? else { return Ok(None) };
    let mut back = Vec::new();
    match codec::decompress(&packed, raw.len(), &mut back) {
        Ok(()) if back == raw => Ok(Some(packed)),
        // A codec that fails its own round trip is not trusted with this block.
        _ => Ok(None),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
